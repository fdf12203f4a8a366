"""What can be done with a conversation, as flows."""

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from tessera_client.account import Account
from tessera_client.flow import Ask, Flow, call, encoded
from tessera_client.messages import Memory, Message, NewMessage

MAX_BATCH = 100
MAX_PAGE = 1_000
MAX_BYTES = 1024 * 1024
_ENVELOPE = len(b'{"messages":[]}')


def messages_path(session_id: str) -> str:
    """Return where the messages of a session are."""
    return f"/sessions/{quote(session_id, safe='')}/messages"


def append(account: Account, path: str, messages: Iterable[NewMessage]) -> Flow[list[Message]]:
    """Append in order, in as many requests as it takes: each is kept as a whole, or not at all.

    Every message gets an id before the first try, and the service keeps the first message of an id: a request
    whose answer was lost can be sent again.
    """
    kept: list[Message] = []
    named: list[Any] = [{**message, "messageId": message.get("messageId") or str(uuid4())} for message in messages]
    for batch in batches(named):
        answer = yield from call(account, Ask("POST", path, body={"messages": batch}))
        kept += answer["messages"]
    return kept


def batches(messages: Iterable[Any]) -> Iterator[list[Any]]:
    """Split into what one request holds: 100 messages, 1 MiB. A message that is larger alone goes alone."""
    batch: list[Any] = []
    size = _ENVELOPE
    for message in messages:
        length = len(encoded(message)) + 1
        if batch and (len(batch) == MAX_BATCH or size + length > MAX_BYTES):
            yield batch
            batch, size = [], _ENVELOPE
        batch.append(message)
        size += length
    if batch:
        yield batch


def read(
    account: Account, path: str, limit: int | None, before: int | None, after: int | None
) -> Flow[list[Message]]:
    """Return messages, oldest first, page by page: the newest ones, or those next to `before` or `after`.

    All are of one conversation: if it is ended between two pages, the reading begins anew.
    """
    while True:
        messages = yield from (
            _newer(account, path, limit, after) if after is not None else _older(account, path, limit, before)
        )
        if messages is not None:
            return messages


def _older(account: Account, path: str, limit: int | None, before: int | None) -> Flow[list[Message] | None]:
    """Read backwards; None when the conversation was another one on the way."""
    pages: list[list[Message]] = []
    conversation, left = None, limit
    while left is None or left > 0:
        size = MAX_PAGE if left is None else min(MAX_PAGE, left)
        page = yield from call(account, Ask("GET", path, params={"limit": size, "before": before}))
        if pages and page["conversationId"] != conversation:
            return None
        conversation, before = page["conversationId"], page["before"]
        pages.append(page["messages"])
        left = None if left is None else left - len(page["messages"])
        if before is None:
            break
    return [message for page in reversed(pages) for message in page]


def _newer(account: Account, path: str, limit: int | None, after: int) -> Flow[list[Message] | None]:
    """Read forwards until nothing newer is left; None when the conversation was another one on the way."""
    messages: list[Message] = []
    conversation = None
    while limit is None or len(messages) < limit:
        size = MAX_PAGE if limit is None else min(MAX_PAGE, limit - len(messages))
        page = yield from call(account, Ask("GET", path, params={"limit": size, "after": after}))
        if messages and page["conversationId"] != conversation:
            return None
        if not page["messages"]:
            break
        conversation = page["conversationId"]
        messages += page["messages"]
        after = messages[-1]["seq"]
    return messages


def pop(account: Account, path: str, key: str | None = None) -> Flow[Message | None]:
    """Remove the newest message and return it; None when there is none.

    The Idempotency-Key makes a repetition harmless: the answer that was lost comes again, and no second one goes.
    """
    ask = Ask("POST", f"{path}/pop", headers={"Idempotency-Key": key or str(uuid4())})
    answer = yield from call(account, ask)
    return answer["message"]


def clear(account: Account, path: str) -> Flow[None]:
    """End the conversation; what was said goes to the archive, reads show the new, empty one."""
    yield from call(account, Ask("DELETE", path))


def recall(account: Account, customer_id: str, query: str | None, limit: int) -> Flow[Memory]:
    """Return what a customer's conversations hold: the newest messages, or those that fit the query best."""
    path = f"/customers/{quote(customer_id, safe='')}/messages"
    return (yield from call(account, Ask("GET", path, params={"limit": limit, "query": query})))


def create(account: Account, body: dict[str, Any]) -> Flow[dict[str, Any]]:
    """Create a session; return the answer. With its key, a repetition finds the session that was made."""
    ask = Ask("POST", "/sessions", body=body, headers={"Idempotency-Key": str(uuid4())})
    return (yield from call(account, ask))
