"""The messages of a conversation, out of the table as far as it has them, out of the archive for the rest."""

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from tessera.archive import objects
from tessera.model.conversations import Appending, Place, Ranges, is_gone
from tessera.model.messages import Message as Shown
from tessera.model.messages import MessagePage
from tessera.model.record import Record
from tessera.stores.bucket import Bucket
from tessera.stores.keys import conversation_of, first_seq_of, head_key, range_key, segment_key
from tessera.stores.overflow import resolved
from tessera.stores.table import Item, Key, Table

MAX_PAGE_BYTES = 3_000_000
"""What the messages of a page may have together; Lambda's answers end at 6 MB, with JSON escaped once more."""

MAX_PART_BYTES = 1_000_000
"""The same beside a session and its other parts."""

NEWEST = 100
_CHUNK = 100
_OBJECTS = 32  # asked for at once
_LONGEST_SEGMENT = 100

type Message = dict[str, Any]
"""A message as it is stored, with its `seq`."""


class History:
    """Reads conversations, ended ones too. All reads of the table are consistent: a writer reads what it wrote."""

    def __init__(self, table: Table, bucket: Callable[[], Bucket]) -> None:
        self._table, self._bucket = table, bucket

    def beside(self, record: Record) -> list[Shown]:
        """Return the newest messages, oldest first, as many as one answer holds beside a session's other parts."""
        return self.page(record, most_bytes=MAX_PART_BYTES).messages

    def page(
        self,
        record: Record,
        *,
        limit: int = NEWEST,
        before: int | None = None,
        after: int | None = None,
        most_bytes: int = MAX_PAGE_BYTES,
    ) -> MessagePage:
        """Return a page of a session's open conversation, oldest first.

        The newest `limit` by default, those `before` a number, or those `after` it. Fewer when they are large.
        """
        newest_first, conversation_id = after is None, record.session.conversation_id
        low = 1 if after is None else after + 1
        high = record.last_seq if before is None else min(record.last_seq, before - 1)
        found: list[Message] = []
        if conversation_id is not None and low <= high:
            walked = self.walk(record.id, conversation_id, low, high, newest_first=newest_first, chunk=limit)
            found = list(islice(fitting(walked, most_bytes), limit))
        if newest_first:
            found.reverse()
        messages = [Shown.model_validate(message) for message in found]
        earlier = messages[0].seq if messages and messages[0].seq > 1 else None
        return MessagePage(conversation_id=conversation_id, messages=messages, before=earlier)

    def get(self, session_id: str, place: Place) -> Message | None:
        """Return one message, None when it was popped."""
        walked = self.walk(session_id, place.conversation_id, place.seq, place.seq, newest_first=True, chunk=1)
        return next(walked, None)

    def appended(self, session_id: str, plan: Appending) -> list[Message]:
        """Return the messages that an append answers with: its own, and those that were there before.

        Without what was popped since, and fewer when they are large.
        """

        def found() -> Iterator[Message]:
            for place in plan.places:
                own = plan.messages.get(str(place.seq)) if place.conversation_id == plan.conversation_id else None
                message = {**own, "seq": place.seq} if own else self.get(session_id, place)
                if message is not None:
                    yield message

        return list(fitting(found()))

    def whole(self, message: Mapping[str, Any]) -> Message:
        """Return a message with its content, wherever that lies."""
        return resolved(message, self._bucket)

    def walk(
        self,
        session_id: str,
        conversation_id: str,
        low: int,
        high: int,
        *,
        newest_first: bool,
        chunk: int = _CHUNK,
    ) -> Iterator[Message]:
        """Give the messages from `low` to `high` one by one, in order or backwards.

        What the table does not have any more, whole segments that its TTL took, is read from the archive in its
        place. `chunk`: how many messages are likely to be wanted, and so how much to ask for at once.
        """
        expected = high if newest_first else low
        for segment in self._segments(
            session_id, conversation_id, low, high, newest_first=newest_first, chunk=chunk
        ):
            numbers = sorted(filter(lambda seq: low <= seq <= high, map(int, segment["messages"])))
            if not numbers:
                continue
            gap = (numbers[-1] + 1, expected) if newest_first else (expected, numbers[0] - 1)
            yield from self._archived(session_id, conversation_id, *gap, newest_first=newest_first, chunk=chunk)
            for seq in reversed(numbers) if newest_first else numbers:
                message = segment["messages"][str(seq)]
                if message is not None:
                    yield self.whole({**message, "seq": seq})
            expected = numbers[0] - 1 if newest_first else numbers[-1] + 1
            if not low <= expected <= high:
                return
        rest = (low, expected) if newest_first else (expected, high)
        yield from self._archived(session_id, conversation_id, *rest, newest_first=newest_first, chunk=chunk)

    def _segments(
        self, session_id: str, conversation_id: str, low: int, high: int, *, newest_first: bool, chunk: int
    ) -> Iterator[Item]:
        """Give the segments with messages from `low` to `high`, no more of them than are taken."""
        first = segment_key(session_id, conversation_id, max(0, low - _LONGEST_SEGMENT + 1))
        last = segment_key(session_id, conversation_id, high)
        while first.sk <= last.sk:
            found = end = 0
            for segment in self._table.query_between(
                first.pk, first.sk, last.sk, newest_first=newest_first, limit=chunk
            ):
                yield segment
                found, end = found + 1, first_seq_of(Key(segment["pk"], segment["sk"]))
            if found < chunk:
                return
            if newest_first:
                last = segment_key(session_id, conversation_id, end - 1)
            else:
                first = segment_key(session_id, conversation_id, end + 1)

    def _archived(
        self, session_id: str, conversation_id: str, low: int, high: int, *, newest_first: bool, chunk: int
    ) -> Iterator[Message]:
        """Give archived messages from `low` to `high`; an object that a purge has just taken is passed over."""
        if low > high:
            return
        head = self._table.get(head_key(session_id, conversation_id)) or {}
        gone: Ranges = head.get("popped", [])
        ranges = self._ranges(session_id, conversation_id, low, high, newest_first=newest_first)
        bodies = (body for batch in _batches(ranges, chunk) for body in self._bucket().get_many(batch))
        for body in bodies:
            lines = objects.decode(body) if body is not None else []
            for line in reversed(lines) if newest_first else lines:
                if low <= line["seq"] <= high and not is_gone(line["seq"], gone):
                    yield objects.stored(line)

    def _ranges(
        self, session_id: str, conversation_id: str, low: int, high: int, *, newest_first: bool
    ) -> Iterator[tuple[str, int]]:
        """Give the keys of the objects with messages from `low` to `high`, and how many each has."""
        below = range_key(session_id, conversation_id, low)
        over = range_key(session_id, conversation_id, high)
        start = range_key(session_id, conversation_id, 0)
        holder = list(self._table.query_between(below.pk, start.sk, below.sk, newest_first=True, limit=1))
        first = holder[0]["sk"] if holder else below.sk
        for item in self._table.query_between(below.pk, first, over.sk, newest_first=newest_first):
            key = Key(item["pk"], item["sk"])
            first_seq, last_seq = item["first"], item["last"]
            yield objects.key(*conversation_of(key), first_seq, last_seq), last_seq - first_seq + 1


def _batches(ranges: Iterator[tuple[str, int]], chunk: int) -> Iterator[list[str]]:
    """Give the keys of as many objects at a time as have that many messages; large ones would fill the memory."""
    keys: list[str] = []
    messages = 0
    for key, count in ranges:
        keys.append(key)
        messages += count
        if messages >= chunk or len(keys) == _OBJECTS:
            yield keys
            keys, messages = [], 0
    if keys:
        yield keys


def fitting(messages: Iterator[Message], most_bytes: int = MAX_PAGE_BYTES) -> Iterator[Message]:
    """Give as many of them as one answer may hold, at least one."""
    total = 0
    for message in messages:
        total += weight(message)
        if total > most_bytes and total > weight(message):
            return
        yield message


def weight(message: Message) -> int:
    """Estimate the bytes of a message in an answer: JSON writes a control character in six."""
    return len(json.dumps(message, ensure_ascii=False).encode()) + 100
