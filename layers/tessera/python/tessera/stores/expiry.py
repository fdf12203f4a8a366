"""How the expired are found and cleaned: markers in an index of hours, each spread over shards.

A session's marker lies in the hour of the expiry that it was born with. Sliding does not move it (that would
double the cost of every write); the clean-up does, when it comes to the marker and finds the session alive.
Only an expiry that moves to an earlier time moves its marker at once. So no scan is ever needed, a session
costs one look per idle timeout, and nothing is missed: the marker has no TTL and goes after all the rest.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any, Protocol
from zlib import crc32

from tessera.errors import Cancelled, Contended, PoisonedItem, Stale, Unavailable
from tessera.model.changes import Change, Clause, Path
from tessera.model.clock import HOUR_SECONDS, SECOND, Millis
from tessera.model.life import buried
from tessera.model.record import Record
from tessera.stores.bucket import Bucket, no_bucket
from tessera.stores.keys import (
    CLEANUP,
    CORE,
    HEAD,
    MARKER,
    alias_key,
    child_key,
    conversations,
    core_key,
    partition,
    session_of,
)
from tessera.stores.overflow import data_prefix
from tessera.stores.table import BY_EXPIRY, PRESENT, Item, Key, Page, Put, Table

HOUR: Millis = HOUR_SECONDS * SECOND
_TRANSACTION = 100
_PURGE = "purge"
OBJECTS = "objects"
"""On a marker: the session has, or had, buckets that were too large for the table."""

_TO_BURY = (
    "id",
    "kind",
    "status",
    "version",
    "createdAt",
    "updatedAt",
    "lastActivityAt",
    "expiresAt",
    "absoluteExpiresAt",
    "idleSeconds",
    "retentionSeconds",
    "epoch",
    "parts",
    "buried",
)
"""What of a core decides its end and makes its tombstone; the rest may be 300 KB that anybody has filled."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a page of markers; `poisoned` holds session ids.

    `left` holds the markers of those that another run or writer had at that moment, or whose conversations could
    not be archived: they are still to be settled.
    """

    expired: int
    moved: int
    deleted: int
    poisoned: tuple[str, ...]
    left: tuple[Item, ...] = ()


class Keeper(Protocol):
    """Who keeps the conversations of a session when the session goes."""

    def flush(self, session_id: str) -> object:
        """End them and bring what is only in the table into the archive."""
        ...

    def purge(self, session_id: str) -> object:
        """Take them out of the archive too."""
        ...


class Expiry:
    """The clean-up's view of the table. `keeper` is asked for where there are conversations to keep."""

    def __init__(
        self,
        table: Table,
        shards: int,
        keeper: Callable[[], Keeper] | None = None,
        bucket: Callable[[], Bucket] = no_bucket,
    ) -> None:
        self._table, self.shards, self._keeper, self._bucket = table, shards, keeper, bucket

    def due(self, hour: int, shard: int, now: Millis, *, limit: int, start: Item | None = None) -> Page:
        """Return a page of markers of that hour and shard whose time has come."""
        return self._table.query_index(BY_EXPIRY, _bucket(hour, shard), up_to=now, limit=limit, start=start)

    def settle(self, markers: Sequence[Item], now: Millis) -> Settled:
        """Bury the expired, delete what lies beside them, move the markers of the living and the unreadable.

        Safe to run twice, at once or after a crash: the tombstone is written under a condition, so that one
        run alone counts a session, and deletions may repeat. No session is read whole, only what burying needs.
        """
        seen = {session_of(marker["pk"]): marker for marker in markers}
        keys = [key for i in seen for key in (core_key(i), child_key(i, MARKER))]
        found = self._table.get_many(keys, only=(*_TO_BURY, "aliases", OBJECTS, _PURGE))
        full_markers = [item for item in found if item["sk"] == MARKER]
        records, poisoned = _read(found)
        living = [record for record in records.values() if record.session.live(now)]
        spent = self._bury([r for r in records.values() if _unburied(r, now)], now)
        ending = seen.keys() - poisoned - {record.id for record in living} - spent.lost
        with_messages = [i for i in ending if i not in records or records[i].has_messages]
        condemned = {session_of(marker["pk"]) for marker in full_markers if _PURGE in marker}
        unkept, unreadable = self._unkept(with_messages, condemned)
        poisoned |= unreadable
        unkept |= self._with_objects([m for m in full_markers if session_of(m["pk"]) in ending - unkept])
        settled = ending - unkept - unreadable
        moved = sum(self._move(seen[record.id], record.session.expires_at) for record in living)
        for session_id in poisoned:
            self._move(seen[session_id], now + HOUR)
        done = [marker for marker in full_markers if session_of(marker["pk"]) in settled]
        with_children = [i for i in settled if i not in records or records[i].parts]
        deleted = sweep(self._table, done, with_children)
        left = tuple(marker for i, marker in seen.items() if i in spent.lost | unkept)
        return Settled(spent.count, moved, deleted, tuple(poisoned), left)

    def reached(self) -> int | None:
        """Return the hour from which there may be something to do; None before the first run."""
        state = self._table.get(CLEANUP)
        return state["hour"] if state else None

    def finished_at(self) -> Millis | None:
        """Return when the last run ended; None before the first."""
        state = self._table.get(CLEANUP)
        return state["finishedAt"] if state else None

    def finish(self, hour: int, now: Millis) -> None:
        """Note where a run has ended. Of two runs the later in time has the word; either is safe."""
        self._table.update(CLEANUP, Change({("hour",): hour, ("finishedAt",): now}))

    def _unkept(self, session_ids: Sequence[str], condemned: set[str]) -> tuple[set[str], set[str]]:
        """Have their conversations archived, or purged; return where that fails for now, and where it cannot."""
        failed, poisoned = set[str](), set[str]()
        for place, session_id in enumerate(session_ids):
            try:
                if self._keeper and has_conversations(self._table, session_id):
                    keeper = self._keeper()
                    (keeper.purge if session_id in condemned else keeper.flush)(session_id)
            except Contended:
                failed.add(session_id)
            except PoisonedItem:
                poisoned.add(session_id)
            except Unavailable:
                return failed | {*session_ids[place:]}, poisoned  # each of the others would wait for it as long
        return failed, poisoned

    def _with_objects(self, markers: Sequence[Item]) -> set[str]:
        """Take the objects of their buckets away; return the ids of all when S3 does not answer for now."""
        try:
            take_objects(self._bucket, markers)
        except Unavailable:
            return {session_of(marker["pk"]) for marker in markers if OBJECTS in marker}
        return set()

    def _bury(self, records: Sequence[Record], now: Millis) -> "_Buried":
        count, lost = 0, set[str]()
        for batch in batched(records, _TRANSACTION, strict=False):
            failed = self._write_tombstones(batch, now)
            count += len(batch) - len(failed)
            lost |= failed
        return _Buried(count, lost)

    def _write_tombstones(self, records: Sequence[Record], now: Millis) -> set[str]:
        """Write those that still expire; return the ids of the others, which another run or writer has."""
        puts = [Put({**core_key(r.id)._asdict(), **buried(r, now)}, _still_expiring(r)) for r in records]
        try:
            self._table.transact(puts)
        except Cancelled as cancelled:
            left = [record for place, record in enumerate(records) if place not in cancelled.failed]
            lost = {records[place].id for place in cancelled.failed}
            return lost | (self._write_tombstones(left, now) if left else set())
        except Contended:
            return {record.id for record in records}
        return set()

    def _move(self, marker: Item, expires_at: Millis) -> bool:
        session_id = session_of(marker["pk"])
        return move_marker(self._table, session_id, expires_at, self.shards, _still_there(marker))


@dataclass(frozen=True, slots=True)
class _Buried:
    count: int
    lost: set[str]


def marker(record: Record, shards: int, aliases: Sequence[str]) -> Item:
    """Return the marker of a new session; it knows the aliases, since it is the last to go."""
    at = record.session.expires_at
    return {
        **child_key(record.id, MARKER)._asdict(),
        BY_EXPIRY.pk: _bucket(at // HOUR, shard_of(record.id, shards)),
        BY_EXPIRY.sk: at,
        "aliases": list(aliases),
    }


def has_conversations(table: Table, session_id: str) -> bool:
    """Whether anything of a conversation is kept."""
    return any(True for _ in table.query(conversations(session_id), HEAD, keys_only=True))


def hasten(table: Table, record: Record, shards: int, now: Millis) -> None:
    """Move the marker of a session whose expiry was brought forward, or which has been ended."""
    at = record.session.expires_at
    move_marker(table, record.id, at if record.session.live(now) else min(at, now), shards)


def condemn(session_id: str, now: Millis, shards: int) -> Change:
    """Note on a marker that the conversations of its session are to be purged, and make it due."""
    return Change({(_PURGE,): True} | _place(session_id, now, shards), clauses=(PRESENT,))


def move_marker(
    table: Table, session_id: str, expires_at: Millis, shards: int, clauses: tuple[Clause, ...] = (PRESENT,)
) -> bool:
    """Put the marker into the hour of that expiry if the clauses hold, by default if it exists; return whether."""
    place = _place(session_id, expires_at, shards)
    try:
        table.update(child_key(session_id, MARKER), Change(place, clauses=clauses))
    except Stale:
        return False  # the session was deleted meanwhile, and its marker with it, or another moved it
    return True


def _place(session_id: str, at: Millis, shards: int) -> dict[Path, Any]:
    return {(BY_EXPIRY.pk,): _bucket(at // HOUR, shard_of(session_id, shards)), (BY_EXPIRY.sk,): at}


def take_objects(bucket: Callable[[], Bucket], markers: Sequence[Item]) -> None:
    """Delete what of these sessions' buckets was too large for the table; the markers say where there is any."""
    for marker in markers:
        if OBJECTS in marker:
            bucket().delete_many(bucket().keys(data_prefix(session_of(marker["pk"]))))


def shard_of(session_id: str, shards: int) -> int:
    """Spread the sessions of an hour evenly, each always to the same shard."""
    return crc32(session_id.encode()) % shards


def sweep(table: Table, markers: Sequence[Item], session_ids: Sequence[str]) -> int:
    """Delete what lies beside the cores of these sessions, then these markers; return how many items went."""
    children = [
        key
        for session_id in session_ids
        for item in table.query(partition(session_id), keys_only=True)
        if (key := Key(item["pk"], item["sk"])).sk not in (CORE, MARKER)
    ]
    children += _own_aliases(table, markers)
    table.delete_many(children)
    table.delete_many([Key(marker["pk"], marker["sk"]) for marker in markers])
    return len(children) + len(markers)


def _own_aliases(table: Table, markers: Sequence[Item]) -> list[Key]:
    """Return the aliases that still name these sessions: after a crash one may have been given to another.

    One that names nobody, or nothing that is an id, is somebody's to look at.
    """
    own = [session_of(marker["pk"]) for marker in markers]  # no set: what a poisoned one names may have no hash
    aliases = {alias_key(alias) for marker in markers for alias in marker.get("aliases", ())}
    return [Key(item["pk"], item["sk"]) for item in table.get_many(list(aliases)) if item.get("id") in own]


def _read(items: Sequence[Item]) -> tuple[Mapping[str, Record], set[str]]:
    """Return the records of the cores, and the ids of sessions whose core or marker cannot be read."""
    records: dict[str, Record] = {}
    poisoned: set[str] = set()
    for item in items:
        session_id = session_of(item["pk"])
        try:
            if item["sk"] == CORE:
                records[session_id] = Record.of(item)
            else:
                _check_marker(item)
        except PoisonedItem:
            poisoned.add(session_id)
    return {i: record for i, record in records.items() if i not in poisoned}, poisoned


def _check_marker(item: Item) -> None:
    aliases: Any = item.get("aliases", [])
    if not (isinstance(aliases, list) and all(isinstance(alias, str) for alias in aliases)):  # pyright: ignore[reportUnknownVariableType]
        raise PoisonedItem(item["pk"])


def _unburied(record: Record, now: Millis) -> bool:
    return not record.buried and not record.session.live(now)


def _still_expiring(record: Record) -> tuple[Clause, ...]:
    """Decide the race of a clean-up with a writer and with another clean-up.

    A writer that slid or extended the session after we read it has changed its expiry: we lose, rightly.
    Another run that buried it has left the tombstone: one of the two counts it.
    """
    return (
        Clause(("expiresAt",), "is", record.session.expires_at),
        Clause(("buried",), "absent"),
    )


def _still_there(marker: Item) -> tuple[Clause, ...]:
    """Decide the race of a clean-up that moves a marker with a writer that makes the session shorter.

    The clean-up has seen the marker in the index and reads a session that lives for long. The writer brings the
    expiry forward, then moves the marker to it. Whatever the clean-up has read of the two, the marker is no longer
    where it was seen: we lose, rightly, and meet it in its new hour.
    """
    return (Clause((BY_EXPIRY.sk,), "is", marker[BY_EXPIRY.sk]),)


def _bucket(hour: int, shard: int) -> str:
    return f"{hour}#{shard:02d}"
