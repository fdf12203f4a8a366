"""What lies beside a session, as it is shown; apart, since sessions/get alone needs all of it."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from tessera.model.clock import Moment
from tessera.model.session import Model, Session, Stored


def _absent(part: object) -> bool:
    return part is None


class Role(StrEnum):
    """Who speaks."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    TOOL = "tool"


class Message(Model):
    """A message as it is shown. `seq` is dense in its conversation; what was popped leaves its number empty."""

    message_id: str
    seq: int
    role: Role
    content: Any
    created_at: Moment
    metadata: Stored | None = Field(default=None, exclude_if=_absent)


class Action(StrEnum):
    """What happens to a cart."""

    CART_INITIALIZED = "cart_initialized"
    ITEM_ADDED = "item_added"
    ITEM_REMOVED = "item_removed"


class CartAction(Model):
    """A cart action; its id sorts by the time at which it was recorded."""

    id: str
    cart_id: str
    action: Action
    details: Stored | None = None
    at: Moment


ShownView = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "properties": {"productId": {"type": "string"}}, "required": ["productId"]}),
]
"""A view as it was sent: a product, and fields of the shop's own."""


class Activity(Model):
    """The newest 100 cart actions, fewer if large, and the last 10 views, newest first."""

    cart_actions: list[CartAction]
    views: list[ShownView]


class SessionWithParts(Session):
    """A session with the parts that `include` asked for; those that are absent are left out."""

    data: dict[str, Stored] | None = Field(
        default=None, exclude_if=_absent, description="With include=data: by bucket."
    )
    messages: list[Message] | None = Field(
        default=None,
        exclude_if=_absent,
        description="With include=messages: the newest 100 or 1 MB, oldest first.",
    )
    activity: Activity | None = Field(
        default=None, exclude_if=_absent, description="With include=activity: newest first."
    )
    degraded: bool | None = Field(
        default=None, exclude_if=_absent, description="True when L1 stands in for a failing table."
    )
