"""A conversation of Tessera as a session of the OpenAI Agents SDK. Needs `tessera-client[openai-agents]`."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

from agents.items import TResponseInputItem
from agents.memory.session_settings import SessionSettings

from tessera_client.asynchronous import AsyncTessera
from tessera_client.client import Tessera
from tessera_client.messages import Message, NewMessage, Role
from tessera_client.repeats import Unsettled
from tessera_client.texts import Path, as_text, kept_by, put_back, taken_out

FRAMEWORK = "openai-agents"
_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_PLAIN = ("user", "assistant", "system")


class TesseraSession:
    """The open conversation of a session, by the SDK's `Session` protocol; safe for several writers.

    Items of every kind come back unchanged. Texts are kept plain, for other readers. `session_id` may be `me`.
    `session_settings.limit` is how many items `get_items` returns when it is not told. `add_items` or `pop_item`
    that was cancelled, or failed, and is called again next, is done once.
    """

    session_settings: SessionSettings | None

    def __init__(
        self,
        session_id: str,
        tessera: AsyncTessera | Tessera,
        session_settings: SessionSettings | dict[str, Any] | None = None,
    ) -> None:
        self.session_id = session_id
        self.session_settings = (
            SessionSettings(**session_settings) if isinstance(session_settings, dict) else session_settings
        )
        shared = AsyncTessera.sharing(tessera) if isinstance(tessera, Tessera) else tessera
        self._conversation = shared.conversation(session_id)
        self._unsettled = Unsettled()

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """Return the newest `limit` items, oldest first; all without a limit, or with a negative one."""
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        if limit is not None and limit < 0:
            limit = None
        return [shown(message) for message in await self._conversation.read(limit)]

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Append items. Ids of items are not looked at: the SDK gives the same one to several."""
        if not items:
            return
        with self._unsettled.ids("add", items, count=len(items)) as ids:
            await self._conversation.append(_named(items, ids))

    async def pop_item(self) -> TResponseInputItem | None:
        """Remove the newest item and return it, None if there is none. Of several callers each gets another."""
        with self._unsettled.ids("pop", count=1) as ids:
            message = await self._conversation.pop(key=ids[0])
        return None if message is None else shown(message)

    async def clear_session(self) -> None:
        """End the conversation; the next item begins a new one."""
        await self._conversation.clear()
        self._unsettled.settle()


def kept(item: TResponseInputItem) -> NewMessage:
    """Return an item as it is kept."""
    written = cast("dict[str, Any]", item)
    text, rest = taken_out(written, _texts(written))
    role = _role(written)
    new: NewMessage = {"role": role, "content": text}
    if role not in _PLAIN or written != {"role": role, "content": text}:
        new["metadata"] = {FRAMEWORK: rest}
    return new


def shown(message: Message) -> TResponseInputItem:
    """Return a kept message as an item; one that somebody else wrote as the plain message of its role.

    What a tool said elsewhere stands as the assistant's words: it is nobody's instruction.
    """
    text = as_text(message["content"])
    rest = kept_by(FRAMEWORK, message)
    if rest is not None:
        return cast("TResponseInputItem", put_back(text, rest))
    role = message["role"] if message["role"] in _PLAIN else "assistant"
    return cast("TResponseInputItem", {"role": role, "content": text})


def _named(items: Sequence[TResponseInputItem], ids: list[str]) -> Iterator[NewMessage]:
    return ({**kept(item), "messageId": id_} for id_, item in zip(ids, items, strict=True))


def _texts(item: dict[str, Any]) -> Iterator[Path]:
    """Return where the text of an item may be: what was said, given back by a tool, thought, asked of one."""
    for part in ("content", "output", "summary"):
        yield (part,)
        parts = item.get(part)
        if isinstance(parts, list):
            yield from ((part, place, "text") for place in range(len(cast("list[Any]", parts))))
    yield ("arguments",)


def _role(item: dict[str, Any]) -> Role:
    """Return who speaks: the item's role, else a tool for what it gave back, else the assistant."""
    role = item.get("role")
    if isinstance(role, str) and role in _ROLES:
        return _ROLES[role]
    return "tool" if str(item.get("type", "")).endswith("_output") else "assistant"
