"""The clean-up's view of the store, on every engine: what is due, what becomes of it; nothing is missed."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tessera.errors import Contended, SessionExpired, SessionNotFound
from tessera.model.changes import Change
from tessera.model.clock import SECOND
from tessera.model.ids import new_session_id
from tessera.model.life import buried, extended, touched
from tessera.model.record import Record
from tessera.stores.attributes import size
from tessera.stores.expiry import HOUR, Expiry, Settled, shard_of
from tessera.stores.keys import CORE, MARKER, alias_key, child_key, core_key, partition
from tessera.stores.sessions import Sessions
from tessera.stores.table import Item, Key, Put, Table
from tests.contract.conftest import SHARDS
from tests.support.fakes import START, Crash, CrashingStore, FakeClock, InterruptedStore
from tests.support.records import session

NOW = START + 3 * HOUR
type Everything = Callable[..., set[tuple[str, str]]]


def made(store: Sessions, count: int = 1, aliases: Sequence[str] = (), **body: Any) -> list[Record]:
    """Create sessions that expire after a minute if nothing else is said."""
    records = [session(**{"ttlSeconds": 60} | body) for _ in range(count)]
    for record in records:
        store.create(record, body.get("data") or {}, aliases)
    return records


def due(expiry: Expiry, now: int = NOW, limit: int = 100) -> list[Item]:
    """Return all markers whose time has come, from every hour and shard, page by page."""
    found = list[Item]()
    for hour in range(START // HOUR, now // HOUR + 1):
        for shard in range(expiry.shards):
            page = expiry.due(hour, shard, now, limit=limit)
            found += page.items
            while page.last:
                page = expiry.due(hour, shard, now, limit=limit, start=page.last)
                found += page.items
    return found


def clean(expiry: Expiry, now: int = NOW) -> Settled:
    return expiry.settle(due(expiry, now), now)


def ids(markers: Sequence[Item]) -> list[str]:
    return [marker["pk"].removeprefix("SESSION#") for marker in markers]


class WatchedTable:
    """A table that keeps the items which were read through it."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.read: list[Item] = []

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            answer = getattr(self._table, verb)(*arguments, **options)
            match answer:
                case dict():
                    self.read.append(answer)  # pyright: ignore[reportUnknownArgumentType] - any verb's
                case bool() | int() | None:
                    pass
                case _:
                    answer = list(answer)
                    self.read += answer
            return answer

        return call


class TornTable:
    """A table whose batches read item by item, as DynamoDB's may; others act after the first item."""

    def __init__(self, table: Table, meanwhile: Callable[[], object]) -> None:
        self._table, self._meanwhile = table, meanwhile

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._table, verb)

    def get_many(self, keys: Sequence[Key], *, only: Sequence[str] = ()) -> list[Item]:
        first = self._table.get_many(keys[:1], only=only)
        self._meanwhile()
        return first + self._table.get_many(keys[1:], only=only)


# --- what is due -------------------------------------------------------------------------------------


def test_what_has_expired_is_due_and_nothing_else(sessions: Sessions, expiry: Expiry) -> None:
    (short,), (long,) = made(sessions), made(sessions, kind="chat", ttlSeconds=86_400)
    expires_at = short.session.expires_at
    assert due(expiry, expires_at - 1) == []
    assert ids(due(expiry, expires_at)) == [short.id]
    assert set(ids(due(expiry, long.session.expires_at))) == {short.id, long.id}


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_it_comes_page_by_page_each_once(sessions: Sessions, expiry: Expiry, limit: int) -> None:
    records = made(sessions, 30)
    found = ids(due(expiry, limit=limit))
    assert sorted(found) == sorted(record.id for record in records)


def test_a_session_lies_in_one_shard_and_sessions_in_all() -> None:
    drawn = [new_session_id() for _ in range(400)]
    counts = [sum(shard_of(i, SHARDS) == shard for i in drawn) for shard in range(SHARDS)]
    assert sum(counts) == 400
    assert min(counts) > 50
    assert [shard_of(i, SHARDS) for i in drawn] == [shard_of(i, SHARDS) for i in drawn]


def test_sliding_leaves_the_marker_and_the_clean_up_moves_it(
    sessions: Sessions, expiry: Expiry, table: Table
) -> None:
    (record,) = made(sessions, ttlSeconds=1_800)
    at = START + 1_000 * SECOND
    slid = sessions.change(record.id, lambda found: touched(found, at))
    now = record.session.expires_at
    assert ids(due(expiry, now)) == [record.id]
    assert clean(expiry, now) == Settled(expired=0, moved=1, deleted=0, poisoned=())
    assert due(expiry, now) == []
    assert ids(due(expiry, slid.session.expires_at)) == [record.id]
    assert sessions.get(record.id) == slid
    assert table.get(child_key(record.id, MARKER)) is not None


def test_a_shortened_session_is_due_at_its_new_time(sessions: Sessions, expiry: Expiry) -> None:
    (record,) = made(sessions, kind="chat", ttlSeconds=86_400 * 20)
    sessions.change(record.id, lambda found: extended(found, 30, START))
    assert ids(due(expiry, START + 30 * SECOND)) == [record.id]


def test_a_lengthened_one_is_looked_at_early_and_moved(sessions: Sessions, expiry: Expiry) -> None:
    (record,) = made(sessions)
    longer = sessions.change(record.id, lambda found: extended(found, 4 * 3_600, START))
    assert clean(expiry) == Settled(expired=0, moved=1, deleted=0, poisoned=())
    assert ids(due(expiry, longer.session.expires_at)) == [record.id]


# --- what becomes of it ------------------------------------------------------------------------------


def test_the_expired_become_tombstones_and_all_beside_them_goes(
    sessions: Sessions, expiry: Expiry, table: Table, everything: Everything
) -> None:
    body = {"data": {"a": {}, "b": {}}, "email": "ada@example.com", "customer": {"customerId": "c-1"}}
    (record,) = made(sessions, aliases=["legacy-1"], **body)
    (living,) = made(sessions, kind="chat", ttlSeconds=86_400, data={"a": {}})
    assert clean(expiry) == Settled(expired=1, moved=0, deleted=4, poisoned=())
    assert everything(partition(record.id), "ALIAS#legacy-1") == {core_key(record.id)}
    stone = table.get(core_key(record.id))
    assert stone is not None
    assert "ada" not in repr(stone)
    assert sessions.of_customer("c-1", 10) == ([], None)
    with pytest.raises(SessionExpired):
        sessions.get(record.id)
    with pytest.raises(SessionNotFound):
        sessions.resolve("legacy-1")
    assert sessions.data(living.id) == {"a": {}}


def test_a_tombstone_stays_as_long_as_its_kind_says(sessions: Sessions, expiry: Expiry, table: Table) -> None:
    (record,) = made(sessions)
    clean(expiry)
    stone = table.get(core_key(record.id))
    assert stone is not None
    assert stone["ttl"] == record.session.expires_at // SECOND + record.retention_seconds


def test_a_second_run_finds_nothing_and_counts_nothing(sessions: Sessions, expiry: Expiry) -> None:
    made(sessions, 5)
    markers = due(expiry)
    assert expiry.settle(markers, NOW).expired == 5
    assert due(expiry) == []
    assert expiry.settle(markers, NOW).expired == 0, "an index that lags names them again"


def test_more_than_a_transaction_holds_are_settled_at_once(sessions: Sessions, expiry: Expiry) -> None:
    records = made(sessions, 130, data={"a": {}})
    assert clean(expiry) == Settled(expired=130, moved=0, deleted=260, poisoned=())
    assert all(sessions.find(record.id).session.status == "expired" for record in records)


def test_it_works_when_ttl_has_taken_the_core_first(
    sessions: Sessions, expiry: Expiry, table: Table, everything: Everything
) -> None:
    (record,) = made(sessions, aliases=["legacy-1"], data={"a": {}, "b": {}})
    table.delete(core_key(record.id))
    assert clean(expiry) == Settled(expired=0, moved=0, deleted=4, poisoned=())
    assert everything(partition(record.id), "ALIAS#legacy-1") == set()


def test_it_works_when_the_session_was_deleted_and_the_index_lags(
    sessions: Sessions, expiry: Expiry, everything: Everything
) -> None:
    (record,) = made(sessions, data={"a": {}})
    markers = due(expiry)
    sessions.delete(record.id)
    assert expiry.settle(markers, NOW) == Settled(expired=0, moved=0, deleted=0, poisoned=())
    assert everything(partition(record.id)) == set()


def test_nothing_to_settle_is_nothing(expiry: Expiry) -> None:
    assert expiry.settle([], NOW) == Settled(expired=0, moved=0, deleted=0, poisoned=())


def test_no_session_is_read_whole(table: Table, sessions: Sessions, expiry: Expiry) -> None:
    """Anybody may fill one; the clean-up holds no more of it than of any other, and enough for its stone."""
    fat = {"metadata": {f"k{number:05d}": "x" * 100 for number in range(2_400)}, "email": "ada@example.com"}
    (expired,), (living,) = made(sessions, data={"a": {}}, **fat), made(sessions, **fat)
    sessions.change(living.id, lambda found: extended(found, 86_400, START))
    assert size(table.get(core_key(expired.id))) > 250_000
    watched = WatchedTable(table)
    assert Expiry(watched, SHARDS).settle(due(expiry), NOW) == Settled(1, 1, 2, poisoned=())
    assert {name for item in watched.read for name in item}.isdisjoint(fat)
    assert max(map(size, watched.read)) < 1_000
    assert table.get(core_key(expired.id)) == {**core_key(expired.id)._asdict(), **buried(expired, NOW)}
    assert sessions.get(living.id).session.metadata == fat["metadata"]


# --- races -------------------------------------------------------------------------------------------


def test_two_runs_at_once_count_each_session_once(table: Table, clock: FakeClock, everything: Everything) -> None:
    store, expiry = Sessions(table, clock, SHARDS), Expiry(table, SHARDS)
    records = made(store, 40, data={"a": {}})
    markers = due(expiry)
    with ThreadPoolExecutor(4) as pool:
        counted = sum(settled.expired for settled in pool.map(lambda _: expiry.settle(markers, NOW), range(4)))
    counted += clean(expiry).expired
    assert counted == 40
    for record in records:
        assert everything(partition(record.id)) == {core_key(record.id)}


def test_a_run_that_comes_second_counts_nothing_and_leaves_the_rest_to_the_first(
    table: Table, clock: FakeClock, everything: Everything
) -> None:
    store, first = Sessions(table, clock, SHARDS), Expiry(table, SHARDS)
    records = made(store, 3, data={"a": {}})
    markers, counted = due(first), list[int]()
    half = markers[:2]
    second = InterruptedStore(table, "transact", lambda: counted.append(first.settle(half, NOW).expired))
    settled = Expiry(second, SHARDS).settle(markers, NOW)
    assert (counted, settled.expired) == ([2], 1)
    clean(first)
    for record in records:
        assert everything(partition(record.id)) == {core_key(record.id)}


def test_a_session_that_is_extended_meanwhile_lives(table: Table, expiry: Expiry, sessions: Sessions) -> None:
    """By a writer whose clock is a little behind; the others of the page are settled all the same."""
    (record,), (other,) = made(sessions), made(sessions)
    before = record.session.expires_at - 1
    extend = InterruptedStore(
        table, "transact", lambda: sessions.change(record.id, lambda found: extended(found, 4 * 3_600, before))
    )
    settled = Expiry(extend, SHARDS).settle(due(expiry), NOW)
    assert (settled.expired, ids(settled.left)) == (1, [record.id])
    assert sessions.get(record.id).session.expires_at == before + 4 * HOUR
    assert sessions.find(other.id).session.status == "expired"
    assert clean(expiry) == Settled(expired=0, moved=1, deleted=0, poisoned=())
    assert ids(due(expiry, before + 4 * HOUR)) == [record.id]


@pytest.mark.parametrize("place", ["between its two reads", "before its write"])
def test_a_session_that_is_shortened_while_its_marker_moves_is_due_at_its_new_time(
    table: Table, clock: FakeClock, expiry: Expiry, sessions: Sessions, place: str
) -> None:
    """Read as alive for twenty days; the client takes that back before the marker goes there."""
    (record,) = made(sessions, kind="chat", ttlSeconds=3_600)
    sessions.change(record.id, lambda found: extended(found, 20 * 86_400, START))
    now = clock.forward(3_600)

    def shorten() -> None:
        sessions.change(record.id, lambda found: extended(found, 30, now))

    between = TornTable(table, shorten) if place == "between its two reads" else None
    before = InterruptedStore(table, "update", shorten)
    assert Expiry(between or before, SHARDS).settle(due(expiry, now), now) == Settled(0, 0, 0, poisoned=())
    assert due(expiry, now) == []
    assert ids(due(expiry, now + 30 * SECOND)) == [record.id]
    assert clean(expiry, now + 30 * SECOND).expired == 1


def test_a_page_that_another_transaction_holds_is_left_for_later_and_said_to_be(
    table: Table, sessions: Sessions, expiry: Expiry
) -> None:
    def held() -> None:
        raise Contended

    records = made(sessions, 2, data={"a": {}})
    settled = Expiry(InterruptedStore(table, "transact", held), SHARDS).settle(due(expiry), NOW)
    assert (settled.expired, settled.deleted, [*settled.left]) == (0, 0, due(expiry))
    assert {record.id for record in records} == set(ids(due(expiry)))
    assert clean(expiry).expired == 2


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_anywhere_leaves_nothing_behind(
    table: Table, clock: FakeClock, everything: Everything, after: bool
) -> None:
    """Between every two calls of the table; the next run does the rest, and no session counts twice."""
    store, expiry = Sessions(table, clock, SHARDS), Expiry(table, SHARDS)
    for call in range(100):
        alias, body = f"legacy-{call}", {"data": {"a": {}, "b": {}}}
        (expired,), (bare,) = made(store, aliases=[alias], **body), made(store)
        (swept,), (living,) = made(store, **body), made(store, kind="chat", **body)
        store.change(living.id, lambda found: extended(found, 86_400, START))
        table.delete(core_key(swept.id))
        counted, crashed = 0, False
        try:
            counted = Expiry(CrashingStore(table, call, after=after), SHARDS).settle(due(expiry), NOW).expired
        except Crash:
            crashed = True
        counted += clean(expiry).expired
        assert counted <= 2
        assert everything(partition(expired.id), f"ALIAS#{alias}") == {core_key(expired.id)}, call
        assert everything(partition(bare.id)) == {core_key(bare.id)}, call
        assert everything(partition(swept.id)) == set(), call
        assert store.data(living.id) == body["data"], call
        assert due(expiry) == [], call
        if not crashed:
            assert counted == 2
            return
        store.delete(living.id)
    pytest.fail("it never came to an end")


@pytest.mark.parametrize("again", ["the deletion", "the clean-up"])
def test_a_deletion_that_crashed_anywhere_is_finished_by(
    table: Table, clock: FakeClock, everything: Everything, again: str
) -> None:
    store, expiry = Sessions(table, clock, SHARDS), Expiry(table, SHARDS)
    for call in range(100):
        alias = f"legacy-{call}"
        (record,), crashed = made(store, aliases=[alias], data={"a": {}, "b": {}}), False
        try:
            Sessions(CrashingStore(table, call), clock, SHARDS).delete(record.id)
        except Crash:
            crashed = True
        if again == "the deletion":
            store.delete(record.id)
        else:
            clean(expiry)
        left = everything(partition(record.id), f"ALIAS#{alias}")
        assert left <= {core_key(record.id)}, call
        assert call <= 1 or left == set(), "nobody was let in once the core had gone"
        if not crashed:
            return
    pytest.fail("it never came to an end")


# --- poison ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "made-up"),
        ("status", None),
        ("kind", 5),
        ("idleSeconds", "x"),
        ("retentionSeconds", "x"),
        ("retentionSeconds", None),
        ("retentionSeconds", 1.5),
        ("epoch", "x"),
        ("version", "x"),
        ("version", 1.5),
        ("absoluteExpiresAt", "x"),
        ("expiresAt", 1.5),
        ("updatedAt", "5"),
        ("parts", 5),
    ],
)
def test_a_poisoned_session_stops_nobody_else_and_is_looked_at_again_later(
    table: Table, sessions: Sessions, expiry: Expiry, name: str, value: Any
) -> None:
    (poisoned,), others = made(sessions), made(sessions, 3)
    table.update(core_key(poisoned.id), Change({(name,): value}))
    before = table.get(core_key(poisoned.id))
    assert clean(expiry) == Settled(expired=3, moved=0, deleted=3, poisoned=(poisoned.id,))
    assert all(sessions.find(record.id).session.status == "expired" for record in others)
    assert table.get(core_key(poisoned.id)) == before, "it is somebody's to look at"
    assert due(expiry) == []
    assert ids(due(expiry, NOW + HOUR)) == [poisoned.id]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rotatedAt", ["x"]),
        ("rotatedAt", 5),
        ("refreshGeneration", "x"),
        ("claims", "x"),
        ("customer", "x"),
        ("metadata", "x"),
    ],
)
def test_what_a_tombstone_does_not_keep_may_be_poisoned(
    table: Table, sessions: Sessions, expiry: Expiry, name: str, value: Any
) -> None:
    (record,) = made(sessions)
    table.update(core_key(record.id), Change({(name,): value}))
    assert clean(expiry) == Settled(expired=1, moved=0, deleted=1, poisoned=())
    assert sessions.find(record.id).session.status == "expired"


@pytest.mark.parametrize("named", [{}, {"id": ["x"]}, {"id": None}])
def test_a_poisoned_alias_is_left_alone_and_stops_nobody(
    table: Table, sessions: Sessions, expiry: Expiry, everything: Everything, named: Item
) -> None:
    (record,) = made(sessions, aliases=["legacy-1", "legacy-2"])
    table.transact([Put({**alias_key("legacy-1")._asdict(), **named})])
    assert clean(expiry) == Settled(expired=1, moved=0, deleted=2, poisoned=())
    left = everything(partition(record.id), "ALIAS#legacy-1", "ALIAS#legacy-2")
    assert left == {core_key(record.id), alias_key("legacy-1")}


@pytest.mark.parametrize("aliases", [5, "legacy", [5], {"a": 1}, None])
def test_a_poisoned_marker_does_not_either(table: Table, sessions: Sessions, expiry: Expiry, aliases: Any) -> None:
    (poisoned,), others = made(sessions), made(sessions, 3)
    table.update(child_key(poisoned.id, MARKER), Change({("aliases",): aliases}))
    settled = clean(expiry)
    assert (settled.expired, settled.poisoned) == (3, (poisoned.id,))
    assert all(sessions.find(record.id).session.status == "expired" for record in others)
    assert ids(due(expiry, NOW + HOUR)) == [poisoned.id]


def test_a_marker_without_aliases_has_none(
    table: Table, sessions: Sessions, expiry: Expiry, everything: Everything
) -> None:
    (record,) = made(sessions)
    table.update(child_key(record.id, MARKER), Change(remove=frozenset({("aliases",)})))
    clean(expiry)
    assert everything(partition(record.id)) == {Key(partition(record.id), CORE)}


# --- where it stands ---------------------------------------------------------------------------------


def test_a_run_notes_where_it_ended(expiry: Expiry) -> None:
    assert (expiry.reached(), expiry.finished_at()) == (None, None)
    expiry.finish(7, NOW)
    assert (expiry.reached(), expiry.finished_at()) == (7, NOW)
    expiry.finish(6, NOW + 1)
    assert (expiry.reached(), expiry.finished_at()) == (6, NOW + 1)
