"""What the writes of a conversation consist of: the segment, the ids, the head, and what they stand on."""

from collections.abc import Mapping, Sequence
from typing import Any

from tessera.model.changes import Admitted, Change, Clause
from tessera.model.clock import DAY_SECONDS, SECOND, Millis
from tessera.model.conversations import Appending, Place, popped, without
from tessera.model.kinds import Kind
from tessera.model.record import Record, ttl
from tessera.stores.attributes import size
from tessera.stores.heads import memory_of
from tessera.stores.keys import core_key, head_key, message_id_key, segment_key
from tessera.stores.overflow import MOVED, Overflow
from tessera.stores.table import (
    ABSENT,
    BY_CUSTOMER,
    MAX_ITEM_BYTES,
    MAX_WRITES,
    PRESENT,
    Item,
    Key,
    Put,
    Update,
    Write,
)

_BROOM_SECONDS = 60 * DAY_SECONDS  # what no archive run has ended by then, TTL takes


def appending(
    record: Record, plan: Appending, allowed: Admitted, kind: Kind, messages: dict[str, Any]
) -> tuple[Update, list[Put]]:
    """Return the writes of an append: the change of the core; the segment, the head if it begins, the ids.

    `messages` are those of the plan as an item can hold them.
    """
    last = ttl(record.session.absolute_expires_at, record.retention_seconds)
    segment: Item = {
        **segment_key(record.id, plan.conversation_id, plan.first_seq)._asdict(),
        "messages": messages,
        "at": allowed.now,
        "ttl": min(last, allowed.now // SECOND + kind.hot_message_seconds),
    }
    heads = [_head(record, plan, kind, allowed.now)] if plan.begins else []
    ids, spare_ids = roomy(plan)
    spare = {message_id: place.attributes() for message_id, place in spare_ids}
    change = plan.change | (Change({("spareIds",): spare}) if spare else Change())
    customer = _customer_is(record) if plan.begins else ()
    core = Update(core_key(record.id), change | Change(clauses=(PRESENT, *allowed.clauses, *customer)))
    return core, [Put(item, (ABSENT,)) for item in (segment, *heads, *id_items(record.id, ids, last))]


def fitted(messages: Mapping[str, Mapping[str, Any]], overflow: Overflow) -> dict[str, Any]:
    """Return the messages as an item can hold them: the largest contents first become pointers."""
    kept: dict[str, Any] = dict(messages)
    sizes = {seq: size(message) for seq, message in messages.items()}
    total = sum(sizes.values())
    for seq in sorted(sizes, key=lambda seq: -sizes[seq]):
        if total <= MAX_ITEM_BYTES:
            break
        # By its content: another try may give another message the same number, and with it the same id.
        moved = {name: messages[seq][name] for name in MOVED if name in messages[seq]}
        rest = {name: value for name, value in messages[seq].items() if name not in MOVED}
        kept[seq] = rest | overflow.moved(moved)
        total += size(kept[seq]) - sizes[seq]
    return kept


def _head(record: Record, plan: Appending, kind: Kind, now: Millis) -> Item:
    last = ttl(record.session.absolute_expires_at, kind.archive_retention_seconds)
    owner = record.session.customer_id
    return {
        **head_key(record.id, plan.conversation_id)._asdict(),
        "sessionId": record.id,
        "kind": record.session.kind,
        "createdAt": now,
        "archivedSeq": 0,
        "retentionSeconds": kind.archive_retention_seconds,
        "ttl": last + _BROOM_SECONDS,
    } | ({BY_CUSTOMER.pk: memory_of(owner)} if owner else {})


def _customer_is(record: Record) -> tuple[Clause, ...]:
    """A login that comes before the head is there must be seen by it; one that comes after finds the head."""
    path = ("customerId",)
    owner = record.session.customer_id
    return (Clause(path, "is", owner),) if owner else (Clause(path, "absent"),)


def roomy(plan: Appending) -> tuple[list[tuple[str, Place]], list[tuple[str, Place]]]:
    """Return the ids that find room in the transaction of their batch, and those that do not."""
    ids = list(plan.ids.items())
    room = MAX_WRITES - 2 - plan.begins
    return ids[:room], ids[room:]


def id_items(session_id: str, ids: Sequence[tuple[str, Place]], last: int) -> list[Item]:
    """Return the items under which the ids of clients are known."""
    return [
        {**message_id_key(session_id, message_id)._asdict(), **place.attributes(), "ttl": last}
        for message_id, place in ids
    ]


def popping(record: Record, allowed: Admitted, head: Item, segment: Item | None, seq: int) -> list[Write]:
    """Decide the race of two pops, or of a pop with an append: the core and the head must be as they were seen.

    The content goes from the table, where it still is there. What the archive holds is never shown again.
    """
    gone = head.get("popped", [])
    seen = Clause(("popped",), "is", gone) if gone else Clause(("popped",), "absent")
    writes: list[Write] = [
        Update(core_key(record.id), popped(record, now=allowed.now) | Change(clauses=(PRESENT, *allowed.clauses))),
        Update(Key(head["pk"], head["sk"]), Change({("popped",): without(seq, gone)}, clauses=(PRESENT, seen))),
    ]
    if segment is not None:
        path = ("messages", str(seq))
        there = Clause(path, "object")
        writes.append(Update(Key(segment["pk"], segment["sk"]), Change({path: None}, clauses=(there,))))
    return writes
