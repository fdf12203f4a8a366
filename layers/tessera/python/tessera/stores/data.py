"""The buckets of sessions: every write is one transaction of the session, the bucket, and the way back.

What a bucket was is kept as steps: 128 versions back, each in an item of its own, so that whoever began from one
of them can be merged with what others did since. Steps are no copies: they cost what was changed.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tessera.errors import (
    Cancelled,
    Contended,
    Invalid,
    Problem,
    SessionNotFound,
    Stale,
    TooManyBuckets,
    Unavailable,
)
from tessera.model.changes import Admitted, Change
from tessera.model.clock import SECOND, Clock, Millis
from tessera.model.data import MAX_BUCKETS, Held, Wanted, becoming
from tessera.model.record import DATA, Record
from tessera.model.threeway import UNKNOWN, back
from tessera.stores.attributes import size
from tessera.stores.bucket import Bucket
from tessera.stores.data_items import held_of, is_large, is_live, settled
from tessera.stores.data_writes import Plan, planned
from tessera.stores.expiry import OBJECTS
from tessera.stores.keys import (
    CORE,
    MARKER,
    PAST,
    VERSIONS_BACK,
    child_key,
    core_key,
    data_key,
    partition,
    past_key,
)
from tessera.stores.keys import DATA as BUCKETS
from tessera.stores.overflow import Overflow, data_prefix, drop
from tessera.stores.racing import TRIES, Patience, Remembered, bare
from tessera.stores.session_store import Admit
from tessera.stores.table import PRESENT, Item, Key, Table

REMEMBERED = 200
"""Buckets that a container remembers from its latest writes, each with the core of its session."""

MAX_REMEMBERED_BYTES = 16_000
REMEMBERED_FOR: Millis = 60 * SECOND

type Decide = Callable[[Held | None], Wanted]
"""Says what becomes of a bucket as it is, None for one that is not there; or raises what keeps it from that."""

type Admitting = Callable[[Record], Record]
"""Raises what keeps a caller from reading the session as it is in the record."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a decision stands on. `item` is that of the bucket, if there is one; what it holds may have expired."""

    record: Record
    item: Item | None
    holds: Held | None

    def held(self, now: Millis) -> Held | None:
        """Return the bucket if it is still live."""
        return self.holds if self.holds and self.holds.live(now) else None


class Data:
    """The verbs of buckets.

    A container remembers the buckets that it wrote last. What it remembers is a guess, and the conditions of the
    write stand on all that the decision took from it: right, and a save is one round trip; wrong, and the refusal
    carries what is there. Nothing is read from it.
    """

    def __init__(
        self,
        table: Table,
        bucket: Callable[[], Bucket],
        clock: Clock,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._table, self._bucket, self._clock, self._patience = table, bucket, clock, Patience(sleep)
        self._remembered = Remembered[tuple[str, str], tuple[Millis, Seen]](REMEMBERED)

    def load(self, session_id: str, name: str, admit: Admitting) -> Held | None:
        """Return a bucket as it is now; None when the session has none of this name.

        Raises:
            SessionNotFound, and whatever `admit` raises.

        """
        seen = self._seen(session_id, name)
        admit(seen.record)
        return seen.held(self._clock())

    def change(self, session_id: str, name: str, decide: Decide, admit: Admit) -> Held | None:
        """Make of the bucket what `decide` says of it as it is at that moment; return what it is then.

        `decide` is asked anew when another writer came first: its last word is about what that one left.

        Raises:
            SessionNotFound, and whatever `admit` and `decide` raise.
            ContentTooLarge: more than a bucket may hold.
            TooManyBuckets: the session has as many as it may.
            Contended: others came first at every try.

        """
        overflow = Overflow(self._bucket, f"{data_prefix(session_id)}{name}/")
        try:
            return self._changed(session_id, name, decide, admit, overflow)
        except Unavailable:
            raise  # nobody knows whether it was written
        except Problem:
            overflow.discard()
            raise

    def base(self, session_id: str, name: str, held: Held, version: int) -> Any:
        """Return what the bucket was in an earlier version, with gaps where that is lost; 0 is before the first.

        Raises:
            Invalid: there was no such version yet.

        """
        if version > held.version:
            raise Invalid.at("query/baseVersion", f"the bucket has the version {held.version}")
        if version == 0:
            return {}
        later = range(held.version, version, -1)
        if len(later) > VERSIONS_BACK:
            return UNKNOWN
        items = self._table.get_many([past_key(session_id, name, number) for number in later]) if later else []
        steps = {item["version"]: item["steps"] for item in items}
        if any(number not in steps for number in later):
            return UNKNOWN  # the bucket was made anew since, or the steps have gone
        return back(held.data, (step for number in later for step in steps[number]))

    def _changed(
        self, session_id: str, name: str, decide: Decide, admit: Admit, overflow: Overflow
    ) -> Held | None:
        guess = self._recalled(session_id, name)
        seen, certain = guess or self._seen(session_id, name), guess is None
        for attempt in range(TRIES):
            plan = self._decided(seen, name, decide, admit, certain=certain)
            if plan is None:
                seen, certain = self._seen(session_id, name), True
                continue
            try:
                writes = self._fitted(plan, seen, overflow)
                self._table.transact(writes)
            except Cancelled as cancelled:
                seen, certain = self._after(cancelled, seen), False
                self._patience.pause(attempt)
            except Contended:
                overflow.doubt()
                self._patience.pause(attempt + 1)
                seen, certain = self._seen(session_id, name), True
            else:
                self._finish(plan, seen, overflow)
                return plan.after
        raise Contended

    def _decided(self, seen: Seen, name: str, decide: Decide, admit: Admit, *, certain: bool) -> Plan | None:
        """Decide; None where the session and the bucket as they are have to be read first.

        A refusal may come from what has changed since. A new bucket needs to know of all others, and a mere answer
        that it is still true.
        """
        try:
            allowed = admit(seen.record)
            held = seen.held(allowed.now)
            wanted = decide(held)
            if held is None and certain:
                self._check_room(seen.record, allowed)
            version = seen.item["version"] + 1 if seen.item else seen.record.data_mark + 1
            after = becoming(seen.record, held, wanted, version, allowed.now)
        except Problem:
            if certain:
                raise
            return None
        if not certain and (held is None or after is held):
            return None
        return planned(seen.record, name, seen.item, allowed, held=held, after=after)

    def _check_room(self, record: Record, allowed: Admitted) -> None:
        """Raise TooManyBuckets when the session has as many as it may.

        The transaction stands on the version of the session, which each new bucket moves: none comes in between.
        """
        if DATA not in record.parts:
            return
        items = self._table.query(partition(record.id), BUCKETS)
        if sum(is_live(item, allowed.now) for item in items) >= MAX_BUCKETS:
            raise TooManyBuckets(limit=MAX_BUCKETS)

    def _fitted(self, plan: Plan, seen: Seen, overflow: Overflow) -> Sequence[Any]:
        """Return the writes, with what is too large for an item in S3.

        The marker of the session says so before the first object is there, so that whoever ends the session takes
        also what a crash between the two leaves.
        """
        after = None if plan.after is plan.held else plan.after
        goes_out = after is not None and is_large(after.data)
        if goes_out and (seen.item is None or "overflow" not in seen.item):
            try:
                noted = Change({(OBJECTS,): True}, clauses=(PRESENT,))
                self._table.update(child_key(seen.record.id, MARKER), noted)
            except Stale as stale:
                raise SessionNotFound from stale
        return plan.writes(overflow)

    def _finish(self, plan: Plan, seen: Seen, overflow: Overflow) -> None:
        """Remember what is there now, and take away what nothing leads to any more."""
        if plan.after is plan.held:
            overflow.discard()  # what was there is there; nothing points at what an earlier try brought out
            return
        record, name, item = plan.record, plan.name, plan.item
        kept = [item["overflow"]] if item and "overflow" in item else []
        overflow.discard(but=kept)
        if seen.item and "overflow" in seen.item and seen.item["overflow"] not in kept:
            drop(self._bucket, [seen.item["overflow"]])
        if plan.after is None:
            with suppress(Unavailable):  # the end of the session takes them, or TTL
                past = self._table.query(partition(record.id), f"{PAST}{name}#", keys_only=True)
                self._table.delete_many([Key(step["pk"], step["sk"]) for step in past])
        elif not kept and size(plan.after.data) <= MAX_REMEMBERED_BYTES:
            remembered = Seen(bare(record), {"version": plan.after.version}, plan.after)
            self._remembered.put((record.id, name), (self._clock(), remembered))

    def _recalled(self, session_id: str, name: str) -> Seen | None:
        at, seen = self._remembered.take((session_id, name)) or (0, None)
        return seen if self._clock() - at <= REMEMBERED_FOR else None

    def _seen(self, session_id: str, name: str) -> Seen:
        return settled(lambda: self._read(session_id, name), partition(session_id))

    def _read(self, session_id: str, name: str) -> Seen:
        items = self._table.get_many([core_key(session_id), data_key(session_id, name)])
        found = {item["sk"]: item for item in items}
        if CORE not in found:
            raise SessionNotFound
        return self._holding(Record.of(found[CORE]), found.get(f"{BUCKETS}{name}"))

    def _holding(self, record: Record, item: Item | None) -> Seen:
        return Seen(record, item, held_of(item, self._bucket) if item else None)

    def _after(self, cancelled: Cancelled, seen: Seen) -> Seen:
        """Learn from what stood against a write."""
        record, item = seen.record, seen.item
        if 0 in cancelled.failed:
            core = cancelled.found[0]
            if core is None:
                raise SessionNotFound
            record = Record.of(core)
        if 1 not in cancelled.failed:
            return Seen(record, item, seen.holds)
        found = cancelled.found[1]
        if found and "overflow" in found:
            return self._seen(record.id, found["sk"].removeprefix(BUCKETS))
        return self._holding(record, found)
