"""The open conversation of a session: every write to it is one transaction, and the core is its sequencer."""

import random
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain

from tessera.errors import Cancelled, Contended, Problem, SessionNotFound, Stale, Unavailable
from tessera.model.changes import Admitted, Change, Clause
from tessera.model.clock import DAY_SECONDS, SECOND, Millis
from tessera.model.conversations import Appending, Place, appended, cleared, newest, popped, without
from tessera.model.ids import new_conversation_id
from tessera.model.kinds import Kind
from tessera.model.messages import NewMessage
from tessera.model.record import Record, ttl
from tessera.model.session import Upsells
from tessera.stores.bucket import Bucket
from tessera.stores.heads import due, memory_of
from tessera.stores.keys import HEAD, conversations, core_key, head_key, message_id_key, segment_key
from tessera.stores.overflow import Overflow
from tessera.stores.sessions import Admit
from tessera.stores.table import ABSENT, BY_CUSTOMER, MAX_WRITES, PRESENT, Item, Key, Put, Table, Update, Write

TRIES = 100
"""How often a decision is taken anew; of fifty writers that start at once, the last comes fiftieth."""

REMEMBERED = 1_000
"""Cores that a container remembers, stripped of what a session may be filled with."""

_LONGEST_PAUSE = 0.1  # seconds
_BROOM_SECONDS = 60 * DAY_SECONDS  # what no archive run has ended by then, TTL takes
_UNKNOWN_KIND = Kind(idle_seconds=1, absolute_seconds=1)  # one that is not configured any more


class Conversations:
    """The verbs of the open conversation.

    A container remembers the cores of its latest appends. What it remembers is a guess, and every condition of the
    write stands on it: right, and the append is one round trip; wrong, and the answer carries the core as it is.
    """

    def __init__(
        self,
        table: Table,
        bucket: Callable[[], Bucket],
        kinds: Mapping[str, Kind],
        shards: int,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._table, self._bucket, self._kinds, self._shards, self._sleep = table, bucket, kinds, shards, sleep
        self._remembered: OrderedDict[str, Record] = OrderedDict()

    def append(
        self, session_id: str, wanted: Sequence[NewMessage], admit: Admit, *, exactly: bool = False
    ) -> Appending:
        """Append what was not appended before, all or nothing; return where every message is.

        `exactly`: decide on the core as it is now, not on the one that the container remembers.

        Raises:
            SessionNotFound, and whatever `admit` raises.
            Contended: others came first at every try.

        """
        overflow = Overflow(self._bucket, session_id)
        try:
            return self._appended(session_id, wanted, admit, overflow, exactly=exactly)
        except Unavailable:
            raise  # nobody knows whether it was written
        except Problem:
            overflow.discard()
            raise

    def _appended(
        self, session_id: str, wanted: Sequence[NewMessage], admit: Admit, overflow: Overflow, *, exactly: bool
    ) -> Appending:
        guess = None if exactly else self._remembered.pop(session_id, None)
        record = guess or self._core(session_id)
        known: dict[str, Place] = {}
        for attempt in range(TRIES):
            decided = _decided(record, wanted, known, admit, certain=record is not guess)
            if decided is None:
                record = self._core(session_id)
                continue
            allowed, plan = decided
            if not plan.messages:
                overflow.discard()
                return plan
            if record.spare_ids:
                record = self._with_room(record)
            elif repeated := self._repeated(record, plan):
                known |= repeated
            else:
                try:
                    written = self._written(record, plan, allowed, overflow)
                except Cancelled as cancelled:
                    record = self._after(cancelled, record, plan, known)
                except Contended:
                    overflow.doubt()
                    self._pause(attempt)
                    record = self._core(session_id)
                else:
                    self._remember(written)
                    return plan
        raise Contended

    def pop(self, session_id: str, admit: Admit, read: Callable[[Place], Item | None]) -> Item | None:
        """Take the newest message away; return it, or None when there is none. `read` finds it in the archive."""
        for attempt in range(TRIES):
            record = self._core(session_id)
            allowed = admit(record)
            conversation_id = record.session.conversation_id
            if conversation_id is None or not record.last_seq:
                return None
            head = self._table.get(head_key(session_id, conversation_id)) or {}
            gone = head.get("popped", [])
            seq = newest(record.last_seq, gone)
            if not seq:
                return None
            segment = self._segment_with(session_id, conversation_id, seq)
            place = Place(conversation_id, seq, 0)
            message = segment["messages"][str(seq)] if segment else read(place)
            try:
                self._table.transact(_popping(record, allowed, head, segment, seq))
            except Cancelled:
                continue
            except Contended:
                self._pause(attempt)
            else:
                return message and {**message, "seq": seq}
        raise Contended

    def clear(self, session_id: str, admit: Admit) -> None:
        """End the open conversation; the next one is open at once, under its own id."""
        for attempt in range(TRIES):
            record = self._core(session_id)
            allowed = admit(record)
            change = cleared(record, now=allowed.now, new_conversation_id=new_conversation_id)
            if change is None:
                return
            head = head_key(session_id, str(record.session.conversation_id))
            ended = Change({("endedAt",): allowed.now}) | due(session_id, allowed.now, self._shards)
            try:
                self._table.transact(
                    [
                        Update(core_key(session_id), change | Change(clauses=allowed.clauses)),
                        Update(head, ended | Change(clauses=(PRESENT,))),
                    ]
                )
            except Cancelled:
                continue
            except Contended:
                self._pause(attempt)
            else:
                return
        raise Contended

    def link(self, session_id: str, customer_id: str) -> None:
        """Give the session's conversations to the memory of a customer, who became known after they began."""
        for head in list(self._table.query(conversations(session_id), HEAD)):
            if head.get(BY_CUSTOMER.pk) != memory_of(customer_id):
                change = Change({(BY_CUSTOMER.pk,): memory_of(customer_id)}, clauses=(PRESENT,))
                with suppress(Stale):
                    self._table.update(Key(head["pk"], head["sk"]), change)

    def _core(self, session_id: str) -> Record:
        item = self._table.get(core_key(session_id))
        if item is None:
            raise SessionNotFound
        return Record.of(item)

    def _written(self, record: Record, plan: Appending, allowed: Admitted, overflow: Overflow) -> Record:
        """Write the plan; return the core as it is now, as far as the plan knows."""
        kind = self._kinds.get(record.session.kind, _UNKNOWN_KIND)
        last = ttl(record.session.absolute_expires_at, record.retention_seconds)
        messages = overflow.fitted(plan.messages)
        segment: Item = {
            **segment_key(record.id, plan.conversation_id, plan.first_seq)._asdict(),
            "messages": messages,
            "at": allowed.now,
            "ttl": min(last, allowed.now // SECOND + kind.hot_message_seconds),
        }
        heads = [self._head(record, plan, kind, allowed.now)] if plan.begins else []
        ids, spare_ids = _roomy(plan)
        spare = {message_id: place.attributes() for message_id, place in spare_ids}
        change = plan.change | (Change({("spareIds",): spare}) if spare else Change())
        customer = _customer_is(record) if plan.begins else ()
        core = Update(core_key(record.id), change | Change(clauses=(PRESENT, *allowed.clauses, *customer)))
        puts = [Put(item, (ABSENT,)) for item in chain([segment], heads, _ids(record.id, ids, last))]
        self._table.transact([core, *puts])
        assigned = {path[0]: value for path, value in change.assign.items()}
        return Record.of(record.attributes() | assigned)

    def _head(self, record: Record, plan: Appending, kind: Kind, now: Millis) -> Item:
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

    def _after(self, cancelled: Cancelled, record: Record, plan: Appending, known: dict[str, Place]) -> Record:
        """Learn from what stood against a write: where repeated messages are, and the core as it is."""
        ids = list(plan.ids)
        first_id = 3 if plan.begins else 2
        for place in cancelled.failed:
            found = cancelled.found[place]
            if place >= first_id and found is not None:
                known[ids[place - first_id]] = Place.of(found)
        if 0 not in cancelled.failed:
            return record if known else self._core(record.id)
        if cancelled.found[0] is None:
            raise SessionNotFound
        return Record.of(cancelled.found[0])

    def _repeated(self, record: Record, plan: Appending) -> dict[str, Place]:
        """Return where those ids are known already that find no room in the transaction, which refuses the rest.

        One that comes to be known after this look moves the newest number, on which the transaction stands.
        """
        _, spare_ids = _roomy(plan)
        found = {message_id: self._table.get(message_id_key(record.id, message_id)) for message_id, _ in spare_ids}
        return {message_id: Place.of(item) for message_id, item in found.items() if item is not None}

    def _with_room(self, record: Record) -> Record:
        """Move the ids that found no room in their batch's transaction to items of their own."""
        last = ttl(record.session.absolute_expires_at, record.retention_seconds)
        ids = [(message_id, Place.of(place)) for message_id, place in record.spare_ids.items()]
        taken = Change(
            remove=frozenset({("spareIds",)}), clauses=(Clause(("spareIds",), "is", dict(record.spare_ids)),)
        )
        with suppress(Cancelled, Contended):  # another writer moves them
            self._table.transact(
                [Update(core_key(record.id), taken), *(Put(item) for item in _ids(record.id, ids, last))]
            )
        return self._core(record.id)

    def _segment_with(self, session_id: str, conversation_id: str, seq: int) -> Item | None:
        """Return the segment with that message, unless it is not in the table any more."""
        first = segment_key(session_id, conversation_id, 0)
        last = segment_key(session_id, conversation_id, seq)
        found = list(self._table.query_between(first.pk, first.sk, last.sk, newest_first=True, limit=1))
        return found[0] if found and found[0]["messages"].get(str(seq)) is not None else None

    def _remember(self, record: Record) -> None:
        bare = record.session.model_copy(
            update={"email": None, "customer": None, "products": None, "metadata": None, "upsells": Upsells()}
        )
        self._remembered[record.id] = replace(record, session=bare, claims={}, refresh=None)
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)

    def _pause(self, attempt: int) -> None:
        longest = min(_LONGEST_PAUSE, 0.005 * 2**attempt)
        self._sleep(random.uniform(0, longest))  # noqa: S311 - jitter, no secret


def _decided(
    record: Record, wanted: Sequence[NewMessage], known: Mapping[str, Place], admit: Admit, *, certain: bool
) -> tuple[Admitted, Appending] | None:
    """Decide an append; None where the core as it is has to be read first, unless this is `certain` to be it.

    A refusal may come from what has changed since: a login, an extension, a conversation that goes on. A new head
    needs the customer, and a mere answer the caller's right.
    """
    try:
        allowed = admit(record)
        plan = appended(record, wanted, known, now=allowed.now, new_conversation_id=new_conversation_id)
    except Problem:
        if certain:
            raise
        return None
    return (allowed, plan) if certain or (plan.messages and not plan.begins) else None


def _roomy(plan: Appending) -> tuple[list[tuple[str, Place]], list[tuple[str, Place]]]:
    """Return the ids that find room in the transaction of their batch, and those that do not."""
    ids = list(plan.ids.items())
    room = MAX_WRITES - 2 - plan.begins
    return ids[:room], ids[room:]


def _ids(session_id: str, ids: Sequence[tuple[str, Place]], last: int) -> list[Item]:
    return [
        {**message_id_key(session_id, message_id)._asdict(), **place.attributes(), "ttl": last}
        for message_id, place in ids
    ]


def _customer_is(record: Record) -> tuple[Clause, ...]:
    """A login that comes before the head is there must be seen by it; one that comes after finds the head."""
    path = ("customerId",)
    owner = record.session.customer_id
    return (Clause(path, "is", owner),) if owner else (Clause(path, "absent"),)


def _popping(record: Record, allowed: Admitted, head: Item, segment: Item | None, seq: int) -> list[Write]:
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
