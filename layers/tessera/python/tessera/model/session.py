"""The unified session, as the contract shows it."""

from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from tessera.model.clock import Millis, Moment
from tessera.model.kinds import Step
from tessera.model.status import Status
from tessera.model.values import Json, Text, storable

Stored = Annotated[dict[str, Any], WithJsonSchema({"type": "object"})]
"""A JSON object that was checked when it came in."""


class Model(BaseModel):
    """camelCase in JSON and in the store, snake_case in Python."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,  # a trace in the log must not repeat what is personal
    )


class Customer(Model):
    """Who it is. `customer_id` comes from services only; a company may keep further fields."""

    model_config = ConfigDict(extra="allow", validate_by_name=False)
    __pydantic_extra__: dict[str, Json]  # pyright: ignore[reportIncompatibleVariableOverride] - pydantic's own way

    customer_id: Annotated[Text, Field(min_length=1, max_length=200)] | None = None
    first_name: Text | None = None
    last_name: Text | None = None
    phone: Text | None = None

    @model_validator(mode="after")
    def _storable_names(self) -> Self:
        storable(self.model_extra)
        return self


class Upsells(Model):
    """Offers and what was decided on them."""

    accepted: list[Text] = []
    declined: list[Text] = []
    offers: list[Stored] = []


class Session(Model):
    """A session in full; every field is present, null when unset."""

    id: str
    kind: str
    email: str | None = None
    status: Status = Status.PENDING
    current_step: Step | None = None
    completed_steps: list[Step] = []
    customer: Customer | None = None
    products: list[Stored] | None = None
    amount: int | None = Field(default=None, description="In minor units of the currency.")
    currency: str | None = Field(default=None, description="ISO 4217.")
    upsells: Upsells = Upsells()
    vault_id: str | None = None
    transaction_id: str | None = None
    cart_id: str | None = None
    conversation_id: str | None = None
    metadata: Stored | None = None
    version: int = Field(default=1, strict=True)
    created_at: Moment
    updated_at: Moment
    last_activity_at: Moment
    expires_at: Moment
    absolute_expires_at: Moment

    def live(self, now: Millis) -> bool:
        """Whether it may still be used at that moment."""
        return self.status != Status.EXPIRED and now < self.expires_at

    @property
    def customer_id(self) -> str | None:
        """The customer that it is linked to."""
        return self.customer.customer_id if self.customer else None


class SessionPage(Model):
    """Sessions of a customer, newest first; `cursor` leads to the next page, null at the end."""

    sessions: list[Session]
    cursor: str | None


class Validity(Model):
    """Whether a session is still good, also for one that is not."""

    valid: bool
    status: Status
    reason: str | None = Field(description="idle-timeout, absolute-timeout or ended; null while valid.")
    expires_at: Moment
    idle_seconds_left: int
