"""The session store: the verbs on sessions, over any table."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Any

from tessera.errors import (
    Cancelled,
    Contended,
    ContentTooLarge,
    PoisonedItem,
    PreconditionFailed,
    SessionExists,
    SessionNotFound,
    Stale,
    Unavailable,
)
from tessera.model.changes import Change, Clause, Path, applied
from tessera.model.clock import Clock
from tessera.model.data import MAX_DATA_BYTES, Held, weight
from tessera.model.ids import is_alias, is_session_id
from tessera.model.record import Record, ttl
from tessera.model.status import Status
from tessera.stores.attributes import size
from tessera.stores.bucket import Bucket, no_bucket
from tessera.stores.data_items import all_of, bucket_item, is_large, settled
from tessera.stores.expiry import (
    Keeper,
    condemn,
    has_conversations,
    hasten,
    marker,
    move_marker,
    sweep,
    take_objects,
)
from tessera.stores.keys import CORE, DATA, MARKER, alias_key, child_key, core_key, partition, session_of
from tessera.stores.overflow import Overflow, data_prefix
from tessera.stores.session_store import Decision
from tessera.stores.table import ABSENT, BY_CUSTOMER, MAX_ITEM_BYTES, PRESENT, Item, Key, Put, Table, Update, Write

MAX_PAGE_BYTES = 3_000_000
"""What the sessions of a page may have together; Lambda's answers end at 6 MB of JSON."""

TRIES = 12
"""How often a decision is taken anew because another writer came first."""


class Sessions:
    """Implements `SessionStore` on any table."""

    def __init__(
        self,
        table: Table,
        clock: Clock,
        shards: int,
        keeper: Callable[[], Keeper] | None = None,
        bucket: Callable[[], Bucket] = no_bucket,
    ) -> None:
        self._table, self._clock, self._shards, self._keeper = table, clock, shards, keeper
        self._bucket = bucket

    def create(self, record: Record, data: Mapping[str, Any], aliases: Sequence[str] = ()) -> None:
        """See SessionStore."""
        last = ttl(record.session.absolute_expires_at, record.retention_seconds)
        core = {**core_key(record.id)._asdict(), **record.attributes()}
        born = marker(record, self._shards, aliases)
        for part in (core, born):
            _check_size(size(part))
        for value in data.values():
            if weight(value) > MAX_DATA_BYTES:
                raise ContentTooLarge(limit=MAX_DATA_BYTES)
        large, overflow = any(map(is_large, data.values())), Overflow(self._bucket, data_prefix(record.id))
        if large:
            # The marker alone, before the objects: the clean-up finds by it what a crash leaves. A session that
            # has this id already keeps its marker.
            born["objects"] = True
            with suppress(Cancelled):
                self._table.transact([Put(born, (ABSENT,))])
        at = record.session.created_at
        others = [
            *(bucket_item(record, name, Held(value, 1, at), overflow) for name, value in data.items()),
            *({**alias_key(alias)._asdict(), "id": record.id, "ttl": last} for alias in aliases),
        ]
        writes = [Put(born, () if large else (ABSENT,)), *(Put(item, (ABSENT,)) for item in others)]
        try:
            self._table.transact([Put(core, (ABSENT,)), *writes])
        except Cancelled as cancelled:
            overflow.discard()
            raise SessionExists from cancelled

    def resolve(self, session_id: str) -> str:
        """See SessionStore."""
        if is_session_id(session_id):
            return session_id
        alias = self._table.get(alias_key(session_id)) if is_alias(session_id) else None
        if alias is None:
            raise SessionNotFound
        if "id" not in alias:
            raise PoisonedItem(session_id)
        return alias["id"]

    def find(self, session_id: str) -> Record:
        """See SessionStore."""
        item = self._table.get(core_key(self.resolve(session_id)))
        if item is None:
            raise SessionNotFound
        return Record.of(item)

    def get(self, session_id: str, *, degradable: bool = False) -> Record:  # noqa: ARG002 - L1's to use
        """See SessionStore."""
        return self.find(session_id).live(self._clock())

    def change(self, session_id: str, decide: Callable[[Record], Change]) -> Record:
        """See SessionStore."""
        return self.change_with(session_id, lambda record: (decide(record), ()))

    def change_with(self, session_id: str, decide: Callable[[Record], Decision]) -> Record:
        """See SessionStore."""
        record = self.find(session_id)
        for _ in range(TRIES):
            change, others = decide(record)
            change |= Change(clauses=(PRESENT,), add={("version",): 1})
            _check_size(_size_after(record.attributes(), change))
            try:
                changed = self._written(record, change, others)
            except Stale as stale:
                if stale.found is None:
                    raise SessionNotFound from stale
                record = Record.of(stale.found)
            except Contended:
                record = self.find(record.id)
            else:
                now = self._clock()
                if changed.session.expires_at < record.session.expires_at or not changed.session.live(now):
                    with suppress(Unavailable):  # it is changed; its old marker finds it too, only later
                        hasten(self._table, changed, self._shards, now)
                return changed
        raise Contended

    def _written(self, record: Record, change: Change, others: Sequence[Write]) -> Record:
        """Write the change, and the others with it; return what the session became.

        A transaction returns nothing. So it goes by the version that the decision saw: another writer that came
        first makes it fail, and what it makes of that version is known without reading it.

        Raises:
            Stale: with the session that is there now.
            Contended: the session is as it was, and another item is not as the decision saw it.

        """
        if not others:
            return Record.of(self._table.update(core_key(record.id), change))
        for write in others:
            _check_size(size(write.item) if isinstance(write, Put) else 0)
        change |= Change(clauses=(Clause(("version",), "is", record.session.version),))
        try:
            self._table.transact([Update(core_key(record.id), change), *others])
        except Cancelled as cancelled:
            if 0 in cancelled.failed:
                raise Stale(cancelled.found[0]) from cancelled
            raise Contended from cancelled
        return Record.of(applied(record.attributes(), change))

    def data(self, session_id: str, names: Collection[str] | None = None) -> dict[str, Any]:
        """See SessionStore."""
        pk = partition(session_id)

        def read() -> dict[str, Any]:
            items = self._table.query(pk, DATA)
            wanted = (item for item in items if names is None or item["sk"].removeprefix(DATA) in names)
            return all_of(wanted, self._clock(), self._bucket)

        return settled(read, pk)

    def of_customer(
        self, customer_id: str, limit: int, start: tuple[int, str] | None = None
    ) -> tuple[list[Record], tuple[int, str] | None]:
        """See SessionStore."""
        key = None
        if start:
            key = {"customerId": customer_id, "createdAt": start[0], **core_key(start[1])._asdict()}
        page = self._table.query_index(BY_CUSTOMER, customer_id, newest_first=True, limit=limit, start=key)
        # A customer may be named like the place of another's conversations in this index.
        order = {item["pk"]: place for place, item in enumerate(page.items) if item["sk"] == CORE}
        items = self._table.get_many([Key(pk, CORE) for pk in order])
        # The index may lag: what was deleted, logged in elsewhere or has expired meanwhile is left out, and so
        # is what cannot be read: it opens to no token, and must not keep a customer from the others.
        records = [*_readable(sorted(items, key=lambda item: order[item["pk"]]))]
        now = self._clock()
        live = [r for r in records if r.session.customer_id == customer_id and r.session.live(now)]
        fitting = _fitting(live)
        if len(fitting) < len(live):
            return fitting, (fitting[-1].session.created_at, fitting[-1].id)
        return live, (page.last["createdAt"], session_of(page.last["pk"])) if page.last else None

    def delete(self, session_id: str, version: int | None = None, *, purge: bool = False) -> bool:
        """See SessionStore.

        The core goes first, so that from then on nobody is let in; the marker goes last, and is due before
        anything goes, so that the clean-up finds soon what a failure has left, and what could not be archived now.
        """
        clauses = () if version is None else (Clause(("version",), "is", version),)
        if purge and self._condemned(session_id, clauses):
            clauses = ()
        elif not purge:
            move_marker(self._table, session_id, self._clock(), self._shards)
        try:
            existed = self._table.delete(core_key(session_id), clauses)
        except Stale as stale:
            raise PreconditionFailed(version=(stale.found or {}).get("version")) from stale
        markers = self._table.get_many([child_key(session_id, MARKER)])
        try:
            if self._keeper and has_conversations(self._table, session_id):
                existed = existed or purge  # of a session that is gone, this is what there is to delete
                keep = self._keeper().purge if purge else self._keeper().flush
                keep(session_id)
            take_objects(self._bucket, markers)
        except (Unavailable, PoisonedItem):
            # The clean-up goes on with it at once, also if it was here meanwhile and found the session alive. Who
            # wanted all of it gone must know that it is not yet.
            move_marker(self._table, session_id, self._clock(), self._shards)
            if purge:
                raise
            return existed
        sweep(self._table, markers, [session_id])
        return existed

    def _condemned(self, session_id: str, clauses: Sequence[Clause]) -> bool:
        """End the session and note on its marker that its conversations go too; whether that was possible.

        In one step: what dies in the middle of a purge has locked out who could ask for it again. From here on
        nobody else is let in, and the clean-up knows what was wanted.
        """
        now = self._clock()
        ended = Change({("status",): Status.EXPIRED.value}, clauses=(PRESENT, *clauses))
        noted = condemn(session_id, now, self._shards)
        try:
            self._table.transact(
                [Update(core_key(session_id), ended), Update(child_key(session_id, MARKER), noted)]
            )
        except Cancelled as cancelled:
            found = cancelled.found.get(0)
            if found is not None:
                raise PreconditionFailed(version=found.get("version")) from cancelled
            with suppress(Stale):  # nothing beside the conversations is left
                self._table.update(child_key(session_id, MARKER), noted)
            return False
        return True


def _fitting(records: list[Record]) -> list[Record]:
    """Return as many of them as one answer may hold, at least one."""
    totals = accumulate(size(record.attributes()) for record in records)
    return records[: max(1, sum(total <= MAX_PAGE_BYTES for total in totals))]


def _size_after(attributes: Mapping[str, Any], change: Change) -> int:
    """Estimate the size of an item when the change has been made."""
    replaced = sum(_size_at(attributes, path) for path in (*change.assign, *change.remove))
    return size(attributes) - replaced + sum(map(size, change.assign.values()))


def _size_at(attributes: Any, path: Path) -> int:
    for name in path:
        if not isinstance(attributes, Mapping) or name not in attributes:
            return 0
        attributes = attributes[name]  # pyright: ignore[reportUnknownVariableType]
    return size(attributes)


def _readable(items: Iterable[Item]) -> Iterator[Record]:
    for item in items:
        with suppress(PoisonedItem):
            yield Record.of(item)


def _check_size(amount: int) -> None:
    if amount > MAX_ITEM_BYTES:
        raise ContentTooLarge(limit=MAX_ITEM_BYTES)
