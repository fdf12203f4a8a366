"""The bodies that make and change a session: everything that a client may say of one."""

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, WithJsonSchema

from tessera.model.kinds import DEFAULT_KIND, BucketName, Step
from tessera.model.session import Customer, Model
from tessera.model.status import Status
from tessera.model.values import JsonObject, Text, storable


def _email(text: str) -> str:
    local, _, domain = text.rpartition("@")
    if not local or not domain or any(character.isspace() for character in text):
        raise ValueError("not an e-mail address")
    return text


_MAX_STEP, _MAX_STEP_NAME = 999, 100


def _step(value: Any) -> Step:
    if (type(value) is int and 0 <= value <= _MAX_STEP) or (
        isinstance(value, str) and 1 <= len(value) <= _MAX_STEP_NAME
    ):
        return storable(value)
    raise ValueError("a step is a text of 1 to 100 characters or an integer from 0 to 999")


Email = Annotated[str, Field(max_length=254), AfterValidator(storable), AfterValidator(_email)]
Reference = Annotated[Text, Field(min_length=1, max_length=200)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Amount = Annotated[int, Field(ge=0, lt=10**15, strict=True)]
StepValue = Annotated[
    Any, AfterValidator(_step), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]})
]
Steps = Annotated[list[StepValue], Field(max_length=100)]
Products = Annotated[list[JsonObject], Field(max_length=500)]
Seconds = Annotated[int, Field(strict=True, ge=1, le=10**9)]


class Body(Model):
    """What a client sends: camelCase alone, and nothing unknown."""

    model_config = ConfigDict(extra="forbid", validate_by_name=False)


class _Fields(Body):
    """What a client may say of a session, at its creation and later."""

    email: Email | None = None
    current_step: StepValue | None = None
    completed_steps: Steps | None = None
    customer: Customer | None = None
    products: Products | None = None
    amount: Amount | None = None
    currency: Currency | None = None
    cart_id: Reference | None = None
    metadata: JsonObject | None = None


class CreateSession(_Fields):
    """The body of POST /sessions. An id cannot be offered: ids are made here."""

    kind: Annotated[str, Field(max_length=50)] = DEFAULT_KIND
    data: Annotated[dict[BucketName, JsonObject], Field(max_length=20)] | None = None
    ttl_seconds: Seconds | None = Field(default=None, description="This session's idle timeout.")


class UpsellsPatch(Body):
    """The part of the upsells that a service may set."""

    offers: Annotated[list[JsonObject], Field(max_length=100)] | None = None


class SessionPatch(_Fields):
    """The body of PATCH /sessions/{id}: a merge patch (RFC 7396), null removes."""

    status: Status | None = Field(default=None, description="By service tokens only.")
    vault_id: Reference | None = Field(default=None, description="By service tokens only.")
    transaction_id: Reference | None = Field(default=None, description="By service tokens only.")
    upsells: UpsellsPatch | None = Field(default=None, description="By service tokens only.")

    SERVICE_ONLY: ClassVar = ("status", "vaultId", "transactionId", "upsells")

    def as_patch(self) -> dict[str, JsonValue]:
        """The merge patch as it was sent, validated: only the fields that were there, nulls kept."""
        return self.model_dump(by_alias=True, exclude_unset=True, mode="json")


class Extend(Body):
    """The body of POST /sessions/{id}/extend."""

    seconds: Seconds | None = Field(default=None, description="From now; default: the idle timeout.")


class Login(Body):
    """The body of POST /sessions/{id}/login. `claims` go into the access token: nothing personal."""

    customer_id: Annotated[Text, Field(min_length=1, max_length=200)]
    claims: Annotated[JsonObject, Field(max_length=20)] | None = None
