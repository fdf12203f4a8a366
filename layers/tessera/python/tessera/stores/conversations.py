"""The open conversation of a session: every write to it is one transaction, and the core is its sequencer."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from tessera.errors import (
    AnswerNotKept,
    Cancelled,
    Contended,
    ContentTooLarge,
    NothingToDo,
    Problem,
    SessionNotFound,
    Unavailable,
)
from tessera.model.changes import Admitted, Change, Clause
from tessera.model.conversations import Appending, Place, appended, cleared, newest, own_place
from tessera.model.ids import new_conversation_id
from tessera.model.kinds import Kind
from tessera.model.messages import NewMessage
from tessera.model.record import Record, ttl
from tessera.stores.attributes import size
from tessera.stores.bucket import Bucket
from tessera.stores.heads import due, memory_of
from tessera.stores.keys import HEAD, conversations, core_key, head_key, message_id_key, segment_key
from tessera.stores.overflow import Overflow, overflow_prefix
from tessera.stores.racing import TRIES, Patience, Remembered, bare
from tessera.stores.receipts import Receipt
from tessera.stores.segments import appending, fitted, id_items, popping, roomy
from tessera.stores.session_store import Admit
from tessera.stores.table import (
    BY_CUSTOMER,
    MAX_ITEM_BYTES,
    MAX_WRITES,
    PRESENT,
    Item,
    Key,
    Put,
    Table,
    Update,
    Write,
)

REMEMBERED = 1_000
"""Cores that a container remembers, stripped of what a session may be filled with."""

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
        self._table, self._bucket, self._kinds, self._shards = table, bucket, kinds, shards
        self._remembered, self._patience = Remembered[str, Record](REMEMBERED), Patience(sleep)

    def append(
        self, session_id: str, wanted: Sequence[NewMessage], admit: Admit, *, exactly: bool = False
    ) -> Appending:
        """Append what was not appended before, all or nothing; return where every message is.

        `exactly`: decide on the core as it is now, not on the one that the container remembers.

        Raises:
            SessionNotFound, and whatever `admit` raises.
            Contended: others came first at every try.

        """
        overflow = Overflow(self._bucket, overflow_prefix(session_id))
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
        guess = None if exactly else self._remembered.take(session_id)
        record = guess or self._core(session_id)
        known: dict[str, Place] = {}
        for attempt in range(TRIES):
            known |= self._named(record, wanted)
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
                    self._patience.pause(attempt)
                except Contended:
                    overflow.doubt()
                    self._patience.pause(attempt + 1)
                    record = self._core(session_id)
                else:
                    self._remembered.put(written.id, bare(written))
                    return plan
        raise Contended

    def pop(
        self,
        session_id: str,
        admit: Admit,
        read: Callable[[Place], Item | None],
        receipt: Receipt | None = None,
    ) -> Item | None:
        """Take the newest message away; return it, or None when there is none. `read` finds it in the archive.

        Raises:
            SessionNotFound, and whatever `admit` raises.
            ContentTooLarge: the conversation has too many gaps for another one.
            AnswerNotKept: by its receipt it was done before, with a message that no item holds.
            Contended: others came first at every try.

        """
        try:
            return self._popped(session_id, admit, read, receipt)
        except NothingToDo as before:
            if "message" not in before.found:
                raise AnswerNotKept from before
            return before.found["message"]

    def _popped(
        self, session_id: str, admit: Admit, read: Callable[[Place], Item | None], receipt: Receipt | None
    ) -> Item | None:
        for attempt in range(TRIES):
            record = self._core(session_id)
            allowed = admit(record)
            conversation_id = record.session.conversation_id
            if conversation_id is None or not record.last_seq:
                return None
            head = self._table.get(head_key(session_id, conversation_id)) or {}
            if size(head) > MAX_ITEM_BYTES:  # with more gaps nobody could write it, not even the archive
                raise ContentTooLarge(limit=MAX_ITEM_BYTES)
            gone = head.get("popped", [])
            seq = newest(record.last_seq, gone)
            if not seq:
                return None
            segment = self._segment_with(session_id, conversation_id, seq)
            place = Place(conversation_id, seq, 0)
            found = segment["messages"][str(seq)] if segment else read(place)
            message = found and {**found, "seq": seq}
            writes = popping(record, allowed, head, segment, seq)
            if receipt:
                kept = {"message": message} if size(message) <= MAX_ITEM_BYTES else {}
                writes.append(receipt.left(record, kept))
            try:
                self._table.transact(writes)
            except (Cancelled, Contended):
                self._patience.pause(attempt)
            else:
                return message
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
            except (Cancelled, Contended):
                self._patience.pause(attempt)
            else:
                return
        raise Contended

    def linking(self, session_id: str, customer_id: str) -> Sequence[Write]:
        """Return what gives the session's conversations to the memory of a customer, with the login itself.

        Apart from the login they could be left behind by it. A conversation that begins in between moves the
        session's version, on which the login stands. Of more than one transaction holds, the first go before it.
        """
        unlinked = [
            Update(
                Key(head["pk"], head["sk"]),
                Change({(BY_CUSTOMER.pk,): memory_of(customer_id)}, clauses=(PRESENT,)),
            )
            for head in self._table.query(conversations(session_id), HEAD)
            if head.get(BY_CUSTOMER.pk) != memory_of(customer_id)
        ]
        room = MAX_WRITES - 1
        while len(unlinked) > room:
            first, unlinked = unlinked[:room], unlinked[room:]
            try:
                self._table.transact(first)
            except Cancelled as gone:  # the retention of one of them is over
                raise Contended from gone
        return unlinked

    def _core(self, session_id: str) -> Record:
        item = self._table.get(core_key(session_id))
        if item is None:
            raise SessionNotFound
        return Record.of(item)

    def _written(self, record: Record, plan: Appending, allowed: Admitted, overflow: Overflow) -> Record:
        """Write the plan; return the core as it is now, as far as the plan knows."""
        kind = self._kinds.get(record.session.kind, _UNKNOWN_KIND)
        core, puts = appending(record, plan, allowed, kind, fitted(plan.messages, overflow))
        self._table.transact([core, *puts])
        assigned = {path[0]: value for path, value in core.change.assign.items()}
        return Record.of(record.attributes() | assigned)

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
        _, spare_ids = roomy(plan)
        found = {message_id: self._table.get(message_id_key(record.id, message_id)) for message_id, _ in spare_ids}
        return {message_id: Place.of(item) for message_id, item in found.items() if item is not None}

    def _named(self, record: Record, wanted: Sequence[NewMessage]) -> dict[str, Place]:
        """Return the messages of this session's ended conversations that ids of the service's own name."""
        named = {message.message_id: own_place(message.message_id) for message in wanted if message.message_id}
        heads = {
            message_id: head_key(record.id, place.conversation_id)
            for message_id, place in named.items()
            if place and place.conversation_id != record.session.conversation_id
        }
        found = self._table.get_many(list({*heads.values()}), only=("sessionId",)) if heads else ()
        ours = {Key(item["pk"], item["sk"]) for item in found}
        return {
            message_id: place for message_id, place in named.items() if place and heads.get(message_id) in ours
        }

    def _with_room(self, record: Record) -> Record:
        """Move the ids that found no room in their batch's transaction to items of their own."""
        last = ttl(record.session.absolute_expires_at, record.retention_seconds)
        ids = [(message_id, Place.of(place)) for message_id, place in record.spare_ids.items()]
        taken = Change(
            remove=frozenset({("spareIds",)}), clauses=(Clause(("spareIds",), "is", dict(record.spare_ids)),)
        )
        with suppress(Cancelled, Contended):  # another writer moves them
            self._table.transact(
                [Update(core_key(record.id), taken), *(Put(item) for item in id_items(record.id, ids, last))]
            )
        return self._core(record.id)

    def _segment_with(self, session_id: str, conversation_id: str, seq: int) -> Item | None:
        """Return the segment with that message, unless it is not in the table any more."""
        first = segment_key(session_id, conversation_id, 0)
        last = segment_key(session_id, conversation_id, seq)
        found = list(self._table.query_between(first.pk, first.sk, last.sk, newest_first=True, limit=1))
        return found[0] if found and found[0]["messages"].get(str(seq)) is not None else None


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
