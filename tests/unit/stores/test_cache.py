"""L1: bounded, off unless a kind wants it, invalidated by writes; degraded answers for its kinds only."""

import pytest

from tessera.errors import SessionExpired, SessionNotFound, Unavailable
from tessera.model.credentials import revoked
from tessera.model.kinds import DEFAULTS
from tessera.model.life import extended, touched
from tessera.model.record import Record
from tessera.stores.cache import CAPACITY, DEGRADED, CachedSessions
from tessera.stores.memory import MemoryTable
from tessera.stores.sessions import Sessions
from tessera.stores.tiers import L1, Tiers
from tests.support.fakes import FailingStore, FakeClock
from tests.support.records import KINDS, session


class World:
    """One table and the containers in front of it; of all kinds `chat` alone may be cached, for two seconds."""

    def __init__(self) -> None:
        self.clock, self.table = FakeClock(), FailingStore(MemoryTable())

    def container(self) -> CachedSessions:
        self.tiers = Tiers()
        return CachedSessions(Sessions(self.table, self.clock, 1), KINDS, self.clock, self.tiers)

    def read(self, store: CachedSessions, session_id: str) -> tuple[Record, bool]:
        """Return what a request reads, and whether the table was asked."""
        self.tiers.reset()
        before = self.table.calls["get"]
        return store.get(session_id, degradable=True), self.table.calls["get"] > before


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def store(world: World) -> CachedSessions:
    return world.container()


def made(store: CachedSessions, **body: object) -> Record:
    record = session(**{"kind": "chat"} | body)
    store.create(record, {})
    return record


def test_a_kind_that_wants_it_is_read_from_l1_for_its_seconds(world: World, store: CachedSessions) -> None:
    record = made(store)
    assert world.read(store, record.id) == (record, True)
    world.clock.forward(2, ms=-1)
    assert world.read(store, record.id) == (record, False)
    assert set(world.tiers.spent) == {L1}
    world.clock.forward(ms=1)
    assert world.read(store, record.id) == (record, True)


def test_a_read_from_the_table_does_not_claim_that_l1_served_it(world: World, store: CachedSessions) -> None:
    record = made(store)
    world.read(store, record.id)
    assert L1 not in world.tiers.spent


@pytest.mark.parametrize("kind", sorted(DEFAULTS.keys() - {"chat"}))
def test_every_other_kind_is_read_from_the_table_each_time(world: World, store: CachedSessions, kind: str) -> None:
    record = made(store, kind=kind)
    assert [world.read(store, record.id)[1] for _ in range(3)] == [True, True, True]


def test_by_default_no_kind_is_cached() -> None:
    assert {kind.cache_seconds for kind in DEFAULTS.values()} == {0}


def test_a_session_of_a_kind_that_is_configured_no_more_is_not_cached(world: World) -> None:
    tiers = Tiers()
    store = CachedSessions(Sessions(world.table, world.clock, 1), {}, world.clock, tiers)
    record = made(store)
    store.get(record.id)
    before = world.table.calls["get"]
    store.get(record.id)
    assert world.table.calls["get"] == before + 1


def test_who_writes_reads_what_it_wrote(world: World, store: CachedSessions) -> None:
    record = made(store)
    store.get(record.id)
    changed = store.change(record.id, lambda found: touched(found, world.clock.forward(ms=10)))
    assert world.read(store, record.id) == (changed, False)


def test_a_write_is_decided_on_the_table_not_on_l1(world: World, store: CachedSessions) -> None:
    record = made(store)
    store.get(record.id)
    other = world.container()
    newer = other.change(record.id, lambda found: touched(found, world.clock()))
    seen = list[int]()
    store.change(record.id, lambda found: seen.append(found.session.version) or touched(found, world.clock()))
    assert seen == [newer.session.version]


def test_a_write_that_fails_leaves_no_old_answer(world: World, store: CachedSessions) -> None:
    record = made(store)
    store.get(record.id)
    world.table.down = True
    with pytest.raises(Unavailable):
        store.change(record.id, lambda found: touched(found, world.clock()))
    with pytest.raises(Unavailable):
        store.get(record.id)


def test_a_revocation_by_another_container_is_seen_after_the_seconds_at_the_latest(world: World) -> None:
    here, there = world.container(), world.container()
    record = made(here)
    here.get(record.id)
    there.change(record.id, lambda found: revoked(found, world.clock()))
    world.clock.forward(2)
    assert here.get(record.id).epoch > record.epoch


def test_and_so_is_a_deletion(world: World) -> None:
    here, there = world.container(), world.container()
    record = made(here)
    here.get(record.id)
    there.delete(record.id)
    world.clock.forward(2)
    with pytest.raises(SessionNotFound):
        here.get(record.id)
    world.table.down = True
    with pytest.raises(Unavailable):
        here.get(record.id)


def test_who_deletes_sees_it_at_once(store: CachedSessions) -> None:
    record = made(store)
    store.get(record.id)
    assert store.delete(record.id)
    with pytest.raises(SessionNotFound):
        store.get(record.id)


def test_an_expired_session_is_not_served_from_l1(world: World, store: CachedSessions) -> None:
    record = made(store, ttlSeconds=1)
    store.get(record.id)
    world.clock.forward(1)
    with pytest.raises(SessionExpired):
        store.get(record.id)


def test_who_asks_about_validity_asks_the_table(world: World, store: CachedSessions) -> None:
    record = made(store)
    store.get(record.id)
    shorter = world.container().change(record.id, lambda found: extended(found, 1, world.clock()))
    assert store.find(record.id) == shorter


def test_what_l1_holds_is_bounded_and_the_longest_unread_goes_first(world: World, store: CachedSessions) -> None:
    records = [made(store) for _ in range(CAPACITY + 1)]
    for record in records[:-1]:
        store.get(record.id)
    assert not world.read(store, records[0].id)[1], "this one was read again"
    store.get(records[-1].id)
    assert [world.read(store, records[place].id)[1] for place in (0, 2, -1)] == [False, False, False]
    assert world.read(store, records[1].id)[1]
    assert len(store._held) == CAPACITY


# --- the table fails ---------------------------------------------------------------------------------


def test_when_the_table_fails_l1_answers_and_says_so(world: World, store: CachedSessions) -> None:
    record = made(store)
    store.get(record.id)
    world.table.down = True
    world.clock.forward(ms=DEGRADED)
    assert world.read(store, record.id)[0] == record
    assert world.tiers.degraded
    assert L1 in world.tiers.spent


def test_but_nothing_that_is_older_than_a_minute(world: World, store: CachedSessions) -> None:
    record = made(store)
    store.get(record.id)
    world.table.down = True
    world.clock.forward(ms=DEGRADED + 1)
    with pytest.raises(Unavailable):
        store.get(record.id, degradable=True)
    assert not world.tiers.degraded


def test_nor_of_a_kind_that_is_not_cached_nor_what_was_never_read(world: World, store: CachedSessions) -> None:
    records = [made(store, kind="auth"), made(store)]
    store.get(records[0].id)
    world.table.down = True
    for record in records:
        with pytest.raises(Unavailable):
            store.get(record.id, degradable=True)


def test_nor_where_the_answer_could_not_say_so(world: World, store: CachedSessions) -> None:
    record = made(store)
    store.get(record.id)
    world.table.down = True
    world.clock.forward(10)
    with pytest.raises(Unavailable):
        store.get(record.id)
    assert not world.tiers.degraded


def test_nor_what_has_expired_meanwhile(world: World, store: CachedSessions) -> None:
    record = made(store, ttlSeconds=10)
    store.get(record.id)
    world.table.down = True
    world.clock.forward(10)
    with pytest.raises(SessionExpired):
        store.get(record.id, degradable=True)


def test_an_answer_within_its_seconds_is_not_degraded(world: World, store: CachedSessions) -> None:
    record = made(store)
    store.get(record.id)
    world.table.down = True
    assert world.read(store, record.id) == (record, False)
    assert not world.tiers.degraded


def test_when_the_table_is_back_the_answers_are_whole_again(world: World, store: CachedSessions) -> None:
    record = made(store)
    store.get(record.id)
    world.clock.forward(10)
    world.table.down = True
    store.get(record.id, degradable=True)
    world.table.down = False
    assert world.read(store, record.id) == (record, True)
    assert not world.tiers.degraded


def test_everything_else_goes_through_to_the_table_or_fails_with_it(world: World, store: CachedSessions) -> None:
    record = made(store)
    store.get(record.id)
    assert store.data(record.id) == {}
    assert store.of_customer("c-1", 5) == ([], None)
    assert store.resolve(record.id) == record.id
    world.table.down = True
    for call in (
        lambda: store.find(record.id),
        lambda: store.data(record.id),
        lambda: store.of_customer("c-1", 5),
        lambda: store.delete(record.id),
        lambda: made(store),
        lambda: store.resolve("legacy-1"),
    ):
        with pytest.raises(Unavailable):
            call()
