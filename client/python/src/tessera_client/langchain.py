"""A conversation of Tessera as LangChain's chat message history. Needs `tessera-client[langchain]`."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    message_to_dict,
    messages_from_dict,
)

from tessera_client.asynchronous import AsyncTessera
from tessera_client.client import Tessera
from tessera_client.messages import Message, NewMessage, Role
from tessera_client.repeats import Ids, Unsettled
from tessera_client.texts import Path, as_text, kept_by, put_back, taken_out

FRAMEWORK = "langchain"
MAX_ID = 200
_OURS = "cnv_"
"""How the ids begin that the service makes; a message that comes from there may go elsewhere under another."""

_ROLES: dict[str, Role] = {
    "human": "user",
    "HumanMessageChunk": "user",
    "ai": "assistant",
    "AIMessageChunk": "assistant",
    "system": "system",
    "SystemMessageChunk": "system",
    "tool": "tool",
    "ToolMessageChunk": "tool",
    "function": "tool",
    "FunctionMessageChunk": "tool",
}
_PLAIN = {"user": "human", "assistant": "ai", "system": "system"}


class TesseraChatMessageHistory(BaseChatMessageHistory):
    """The open conversation of a session, of any length, safe for several writers.

    Texts are kept plain, for other readers; all the rest of a message (tool calls, usage, parts that are no text)
    comes back as it was. A message's own `id` makes its repetition harmless. `session_id` may be `me`; `aio` is
    the client for the asynchronous methods, by default one that shares the tokens of `tessera`.
    """

    def __init__(self, session_id: str, tessera: Tessera, *, aio: AsyncTessera | None = None) -> None:
        super().__init__()
        self.session_id = session_id
        self._conversation = tessera.conversation(session_id)
        self._aio = (aio or AsyncTessera.sharing(tessera)).conversation(session_id)
        self._unsettled = Unsettled()

    @property
    def messages(self) -> list[BaseMessage]:  # pyright: ignore[reportIncompatibleVariableOverride] - LangChain allows both
        """All messages of the open conversation, oldest first; each look asks the service."""
        return [shown(message) for message in self._conversation.read()]

    async def aget_messages(self) -> list[BaseMessage]:
        """Return all messages of the open conversation, oldest first."""
        return [shown(message) for message in await self._aio.read()]

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Append messages. The same call after one that failed adds nothing twice."""
        new = [kept(message) for message in messages]
        with self._ids(new) as ids:
            self._conversation.append(_named(new, ids))

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Append messages. The same call after one that failed or was cancelled adds nothing twice."""
        new = [kept(message) for message in messages]
        with self._ids(new) as ids:
            await self._aio.append(_named(new, ids))

    def clear(self) -> None:
        """End the conversation; the next message begins a new one."""
        self._conversation.clear()
        self._unsettled.settle()

    async def aclear(self) -> None:
        """End the conversation; the next message begins a new one."""
        await self._aio.clear()
        self._unsettled.settle()

    def _ids(self, messages: list[NewMessage]) -> Ids:
        return self._unsettled.ids("add", messages, count=len(messages))


def kept(message: BaseMessage) -> NewMessage:
    """Return a message of LangChain as it is kept. Raises TypeError for an artifact that is not JSON."""
    written = _essential(message)
    text, rest = taken_out(written, _texts(message))
    role = _role(message)
    new: NewMessage = {"role": role, "content": text}
    if written != {"type": _PLAIN.get(role), "data": {"content": text}}:
        new["metadata"] = {FRAMEWORK: rest}
    if message.id is not None:
        new["messageId"] = _id(message.id)
    return new


def shown(message: Message) -> BaseMessage:
    """Return a kept message as LangChain's; one that somebody else wrote by its role."""
    text = as_text(message["content"])
    rest = kept_by(FRAMEWORK, message)
    if rest is not None:
        return messages_from_dict([put_back(text, rest)])[0]
    match message["role"]:
        case "assistant":
            return AIMessage(text)
        case "system":
            return SystemMessage(text)
        case "tool":
            return ToolMessage(text, tool_call_id=message["messageId"])
        case _:
            return HumanMessage(text)


def _named(messages: list[NewMessage], ids: list[str]) -> Iterator[NewMessage]:
    return ({"messageId": id_, **message} for id_, message in zip(ids, messages, strict=True))


def _essential(message: BaseMessage) -> dict[str, Any]:
    """Return what LangChain writes of a message, without what it fills in when it reads."""
    written = message_to_dict(message)
    data = {
        name: value
        for name, value in written["data"].items()
        if name == "content" or (name != "type" and value is not None and value not in ({}, []))
    }
    return {"type": written["type"], "data": data}


def _texts(message: BaseMessage) -> Iterator[Path]:
    """Return where the text of a message may be: its content, or the first block of its content with one."""
    yield ("data", "content")
    for place in range(len(message.content)):
        yield ("data", "content", place, "text")


def _role(message: BaseMessage) -> Role:
    role = getattr(message, "role", None)
    if role in _PLAIN or role == "tool":
        return role  # pyright: ignore[reportReturnType] - just compared with all of them
    return _ROLES.get(message.type, "user")


def _id(own: str) -> str:
    """Return the message's own id where the service can take it, else one that always comes of it."""
    if 1 <= len(own) <= MAX_ID and own.isprintable() and not own.startswith(_OURS):
        return own
    return str(uuid5(NAMESPACE_URL, own))
