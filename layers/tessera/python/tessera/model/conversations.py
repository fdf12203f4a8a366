"""What becomes of a conversation: messages are appended, the newest is taken away, it ends.

The core of the session is the sequencer: it holds the open conversation and its newest sequence number, and every
decision stands on both. Decisions are pure; `stores.conversations` writes them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tessera.errors import Invalid
from tessera.model.changes import Change, Clause
from tessera.model.clock import MINUTE_SECONDS, SECOND, Millis
from tessera.model.ids import CONVERSATION_PREFIX
from tessera.model.life import touched
from tessera.model.messages import NewMessage
from tessera.model.record import MESSAGES, Record

type Ranges = list[list[int]]
"""Closed ranges of sequence numbers, ascending and apart: [[3, 5], [9, 9]]."""

MAX_SKEW: Millis = 5 * MINUTE_SECONDS * SECOND
"""How far the clock of a client may be ahead of ours."""

_OWN_ID = re.compile(rf"({CONVERSATION_PREFIX}[a-z2-7]{{26}})\.([1-9]\d{{0,9}})")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message is: its conversation, its number, and the number with which its segment begins."""

    conversation_id: str
    seq: int
    first_seq: int

    def attributes(self) -> dict[str, Any]:
        """The place as it is kept."""
        return {"conversationId": self.conversation_id, "seq": self.seq, "firstSeq": self.first_seq}

    @staticmethod
    def of(attributes: Mapping[str, Any]) -> "Place":
        """Read a place."""
        return Place(attributes["conversationId"], attributes["seq"], attributes["firstSeq"])


@dataclass(frozen=True, slots=True)
class Appending:
    """A decided append: the change of the core, the segment's messages by number, the places of all.

    `places` has an entry for each message of the request; `ids` are the places to keep for the ids of clients.
    """

    change: Change
    conversation_id: str
    first_seq: int
    messages: Mapping[str, Mapping[str, Any]]
    places: Sequence[Place]
    ids: Mapping[str, Place]
    begins: bool


def appended(
    record: Record,
    wanted: Sequence[NewMessage],
    known: Mapping[str, Place],
    *,
    now: Millis,
    new_conversation_id: Callable[[], str],
) -> Appending:
    """Decide an append to the session as it is in `record`.

    `known` holds the places of those ids that were appended before: these stay where they are. A message without
    an id gets `<conversation>.<seq>`, which nobody else can get.
    """
    conversation_id = record.session.conversation_id or new_conversation_id()
    seq = first_seq = record.last_seq + 1
    messages: dict[str, Mapping[str, Any]] = {}
    places: list[Place] = []
    ids: dict[str, Place] = {}
    for position, message in enumerate(wanted):
        message_id = message.message_id
        place = _known(message_id, known, ids, record, position)
        if place is None:
            place = Place(conversation_id, seq, first_seq)
            messages[str(seq)] = _kept(message, message_id or f"{conversation_id}.{seq}", position, now)
            if message_id is not None:
                ids[message_id] = place
            seq += 1
        places.append(place)
    change = _sequenced(record, now) | Change(
        {("conversationId",): conversation_id, ("lastSeq",): seq - 1} | _parts(record)
    )
    return Appending(change, conversation_id, first_seq, messages, places, ids, begins=first_seq == 1)


def _known(
    message_id: str | None, known: Mapping[str, Place], ids: Mapping[str, Place], record: Record, position: int
) -> Place | None:
    """Return where the message is already: before this append, or earlier in the same one."""
    if message_id is None:
        return None
    if message_id in record.spare_ids:
        return Place.of(record.spare_ids[message_id])
    own = own_place(message_id)
    if own is not None and own.conversation_id == record.session.conversation_id:
        if own.seq <= record.last_seq:
            return own
        raise Invalid.at(f"/messages/{position}/messageId", "is the service's for a message that is still to come")
    return known.get(message_id) or ids.get(message_id)


def own_place(message_id: str) -> Place | None:
    """Return the place that an id of the service's own names, in whichever session; None for any other id."""
    own = _OWN_ID.fullmatch(message_id)
    return Place(own[1], int(own[2]), 0) if own else None


def _kept(message: NewMessage, message_id: str, position: int, now: Millis) -> dict[str, Any]:
    if message.created_at is not None and message.created_at > now + MAX_SKEW:
        raise Invalid.at(f"/messages/{position}/createdAt", "lies in the future")
    kept: dict[str, Any] = {
        "messageId": message_id,
        "role": message.role.value,
        "content": message.content,
        "createdAt": now if message.created_at is None else message.created_at,
    }
    return kept if message.metadata is None else kept | {"metadata": message.metadata}


def _parts(record: Record) -> dict[tuple[str, ...], Any]:
    return {} if record.has_messages else {("parts",): [*record.parts, MESSAGES]}


def _sequenced(record: Record, now: Millis) -> Change:
    """What every write to the conversation stands on.

    The container may remember the core from its last write, so whatever the decision took from it is a condition:
    the caller's epoch (a revocation in between wins), the open conversation (a clear), the newest number (another
    writer), the parts. Of all that race for a number one alone finds the core unmoved; the others are told what is
    there and decide anew on that.
    """
    session = record.session
    conversation = (
        Clause(("conversationId",), "absent")
        if session.conversation_id is None
        else Clause(("conversationId",), "is", session.conversation_id)
    )
    last = Clause(("lastSeq",), "is", record.last_seq) if record.last_seq else Clause(("lastSeq",), "absent")
    return touched(record, now) | Change(
        clauses=(
            conversation,
            last,
            Clause(("epoch",), "is", record.epoch),
            Clause(("parts",), "is", list(record.parts)),
        ),
        add={("version",): 1},
    )


def cleared(record: Record, *, now: Millis, new_conversation_id: Callable[[], str]) -> Change | None:
    """Decide the end of the open conversation and the beginning of the next; None if nothing was said yet."""
    if not record.last_seq:
        return None
    fresh = Change({("conversationId",): new_conversation_id()}, remove=frozenset({("lastSeq",)}))
    return _sequenced(record, now) | fresh


def popped(record: Record, *, now: Millis) -> Change:
    """Decide that a message goes: the core only counts as touched, for numbers are never given twice."""
    return _sequenced(record, now)


def newest(last_seq: int, gone: Ranges) -> int:
    """Return the newest number that was not popped; 0 for none."""
    for first, last in reversed(gone):
        if last != last_seq:
            break
        last_seq = first - 1
    return last_seq


def without(seq: int, gone: Ranges) -> Ranges:
    """Return the popped ranges with another number, which lies behind, before or between them."""
    numbers = sorted([*gone, [seq, seq]])
    joined: Ranges = []
    for first, last in numbers:
        if joined and first <= joined[-1][1] + 1:
            joined[-1][1] = max(joined[-1][1], last)
        else:
            joined.append([first, last])
    return joined


def is_gone(seq: int, gone: Ranges) -> bool:
    """Whether the number was popped."""
    return any(first <= seq <= last for first, last in gone)
