"""Messages: what a client sends, and what it is answered; a message as it is shown is in `tessera.model.parts`."""

from typing import Annotated

from pydantic import Field

from tessera.model.bodies import Body, Reference
from tessera.model.clock import GivenMoment
from tessera.model.parts import Message, Role
from tessera.model.session import Model
from tessera.model.values import Json, JsonObject

MAX_BATCH = 100


class NewMessage(Body):
    """A message as a client sends it. `message_id` makes a repetition harmless: the first one stands."""

    message_id: Reference | None = Field(default=None, description="Made by the service when absent.")
    role: Role
    content: Json = Field(description="A text or any JSON.")
    created_at: GivenMoment | None = Field(default=None, description="When it was said; by default now.")
    metadata: JsonObject | None = None


class Append(Body):
    """The body of POST /sessions/{id}/messages: all of them are kept, or none."""

    messages: Annotated[list[NewMessage], Field(min_length=1, max_length=MAX_BATCH)]


def named(messages: list[NewMessage], request_id: str | None) -> list[NewMessage]:
    """Name what has no id, so that it is known again when the request is repeated; None is one that is not."""
    return [
        message
        if message.message_id or request_id is None
        else message.model_copy(update={"message_id": f"{request_id}.{place}"})
        for place, message in enumerate(messages, 1)
    ]


def _absent(part: object) -> bool:
    return part is None


class Appended(Model):
    """What an append made, or had made before: its messages in the order of the request."""

    conversation_id: str
    first_seq: int
    last_seq: int
    messages: list[Message]


class MessagePage(Model):
    """Messages of the open conversation, oldest first; `before` leads to the page with the earlier ones."""

    conversation_id: str | None
    messages: list[Message]
    before: int | None = Field(description="A sequence number; null when there is nothing earlier.")


class Popped(Model):
    """The message that was removed; null when there was none."""

    message: Message | None


class Remembered(Message):
    """A message out of a customer's memory."""

    session_id: str
    conversation_id: str
    score: float | None = Field(default=None, exclude_if=_absent, description="With `query`: its relevance.")


class Memory(Model):
    """Messages over all conversations of a customer, newest first or by relevance."""

    messages: list[Remembered]
    complete: bool = Field(description="False when the oldest messages found no room or no time.")
