"""Settings: one typed object, read once from the environment that template.yaml sets."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Json, ValidationError

from tessera.errors import Misconfigured

_list = BeforeValidator(lambda text: [part.strip() for part in text.split(",") if part.strip()])


class Settings(BaseModel):
    """What a function is told. Each field is the environment variable of the same name in capitals."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=partial(str.upper), populate_by_name=True
    )

    table_name: Annotated[str, Field(min_length=1)]
    keys_secret: Annotated[str, Field(min_length=1)]
    archive_bucket: Annotated[str, Field(min_length=1)]
    analytics_bucket: Annotated[str, Field(min_length=1)]
    issuer: Annotated[str, Field(min_length=1)]
    audience: Annotated[str, Field(min_length=1)]
    allowed_origins: Annotated[tuple[str, ...], _list] = ()
    path_prefix: str = ""
    rate_limits: Literal["on", "off"] = "on"
    creations_per_minute: Annotated[int, Field(ge=1)] = 100
    requests_per_minute: Annotated[int, Field(ge=1)] = 600
    kinds: Json[dict[str, dict[str, Any]]] = Field(default={}, validate_default=False)
    log_salt: Annotated[str, Field(min_length=1)]
    tracing: Literal["on", "off"] = "off"
    metrics_flush_seconds: Annotated[int, Field(ge=0)] = 10
    store_timeout_seconds: Annotated[float, Field(gt=0)] = 1
    facts_stream: str = ""
    cleanup_shards: Annotated[int, Field(ge=1, le=100)] = 16
    experiments: Json[dict[str, dict[str, Any]]] = Field(default={}, validate_default=False)
    bitrix24: Literal["on", "off"] = "off"
    bitrix_webhook_secret: str = ""
    bitrix_deal_stage_id: Annotated[str, Field(min_length=1)] = "NEW"
    bitrix_assigned_by_id: Annotated[int, Field(ge=1)] = 1
    dead_letters_url: str = ""
    events_source: str = ""
    athena_workgroup: str = ""
    payment_provider: Annotated[str, Field(pattern=r"^(|sandbox|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$")] = ""
    glue_database: str = ""
    realtime_table: str = ""
    callback_url: str = ""
    history_messages: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    history_seconds: Annotated[int, Field(ge=1)] = 86_400
    app_topics: Annotated[tuple[str, ...], _list] = ("*",)
    frames_per_minute: Annotated[int, Field(ge=1)] = 600
    posts_per_second: Annotated[int, Field(ge=1)] = 1_000
    push_keys_secret: str = ""
    push_hosts: Annotated[tuple[str, ...], _list] = ()
    push_contact: str = ""

    @staticmethod
    def of(environment: Mapping[str, str]) -> "Settings":
        """Read the environment, or refuse with the names (never the values) of what is wrong in it."""
        try:
            return Settings.model_validate(dict(environment))
        except ValidationError as error:
            wrong = ", ".join(str(part["loc"][0]) for part in error.errors())
            raise Misconfigured(f"missing or wrong in the environment: {wrong}") from None
