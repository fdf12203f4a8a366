"""Messages and answers, as they go over the wire: camelCase, times RFC 3339."""

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

Role: TypeAlias = Literal["user", "assistant", "system", "tool"]


class NewMessage(TypedDict):
    """A message to append. `content` is a text or any JSON; `messageId` makes a repetition harmless."""

    role: Role
    content: Any
    messageId: NotRequired[str]
    createdAt: NotRequired[str]
    metadata: NotRequired[dict[str, Any]]


class Message(TypedDict):
    """A message as it is kept. `seq` is its number within its conversation."""

    messageId: str
    seq: int
    role: Role
    content: Any
    createdAt: str
    metadata: NotRequired[dict[str, Any]]


class Remembered(Message):
    """A message out of a customer's memory; `score` is its relevance, with a query."""

    sessionId: str
    conversationId: str
    score: NotRequired[float]


class Memory(TypedDict):
    """Messages over all conversations of a customer. Not complete: there was no time or room for the oldest."""

    messages: list[Remembered]
    complete: bool
