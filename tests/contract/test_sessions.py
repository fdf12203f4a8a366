"""The session store, on every engine."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tessera.errors import (
    Contended,
    ContentTooLarge,
    PoisonedItem,
    SessionExists,
    SessionExpired,
    SessionNotFound,
    TokenRevoked,
)
from tessera.model.bodies import SessionPatch
from tessera.model.changes import Change, Clause
from tessera.model.credentials import Presented, logged_in, revoked, rotated
from tessera.model.edit import edited
from tessera.model.ids import new_session_id
from tessera.model.life import extended, touched
from tessera.model.merge import merge_patch
from tessera.model.record import Record, Refresh
from tessera.stores.keys import alias_key, child_key, core_key, partition
from tessera.stores.sessions import TRIES, Sessions
from tessera.stores.table import Key, Put, Table
from tests.contract.conftest import SHARDS
from tests.support.fakes import START, FakeClock, InterruptedStore
from tests.support.records import session
from tests.support.strategies import json_objects, same_json

type Everything = Callable[..., set[tuple[str, str]]]
THREADS = 50


def patch(store: Sessions, session_id: str, now: int = START, **fields: Any) -> Record:
    wanted = SessionPatch.model_validate(fields)
    return store.change(
        session_id, lambda record: edited(record, wanted, flow=None, by_service=True, data=dict, now=now)
    )


# --- creation ----------------------------------------------------------------------------------------


def test_a_session_is_found_as_it_was_made(sessions: Sessions) -> None:
    made = session(
        kind="form",
        email="ada@example.com",
        customer={"customerId": "c-1", "firstName": "Ada", "big": 1e100},
        products=[{"sku": "x", "price": 1.5, "note": None}],
        metadata={"a": {"b": [True, 1, "1", None]}, "empty": {}, "none": []},
    )
    sessions.create(made, {})
    assert sessions.find(made.id) == sessions.get(made.id) == made


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(json_objects, json_objects)
def test_whatever_a_caller_keeps_in_it_comes_back(
    sessions: Sessions, metadata: dict[str, Any], bucket: dict[str, Any]
) -> None:
    made = session(metadata=metadata, customer={"extra": metadata}, data={"b": bucket})
    sessions.create(made, {"b": bucket})
    changed = patch(sessions, made.id, metadata={"new": metadata})
    found = sessions.get(made.id)
    assert found == changed
    assert same_json(found.attributes()["customer"], made.attributes()["customer"])
    assert same_json(found.attributes()["metadata"]["new"], merge_patch(None, metadata))
    assert same_json(sessions.data(made.id), {"b": bucket})


def test_buckets_come_with_it(sessions: Sessions) -> None:
    buckets = {"cart": {"items": [{"sku": "x"}]}, "empty": {}, "nulls": {"a": None, "b": [None]}}
    made = session(data=buckets)
    sessions.create(made, buckets)
    assert sessions.data(made.id) == buckets
    assert sessions.data(new_session_id()) == {}


def test_an_id_that_is_taken_is_neither_overwritten_nor_adopted(
    sessions: Sessions, everything: Everything
) -> None:
    first = session(email="victim@example.com", metadata={"a": 1})
    sessions.create(first, {"cart": {"n": 1}}, ["old-1"])
    before = everything(partition(first.id))
    second = session(session_id=first.id, email="thief@example.com")
    with pytest.raises(SessionExists):
        sessions.create(second, {"cart": {"n": 2}, "more": {}}, ["old-2"])
    assert sessions.get(first.id) == first
    assert sessions.data(first.id) == {"cart": {"n": 1}}
    assert everything(partition(first.id)) == before
    with pytest.raises(SessionNotFound):
        sessions.resolve("old-2")


def test_nor_is_a_session_that_has_expired(sessions: Sessions, clock: FakeClock) -> None:
    first = session(ttlSeconds=1)
    sessions.create(first, {})
    clock.forward(10)
    with pytest.raises(SessionExists):
        sessions.create(session(session_id=first.id, now=clock()), {})
    assert sessions.find(first.id) == first


def test_of_many_creations_of_one_id_one_wins(sessions: Sessions) -> None:
    session_id = new_session_id()
    made = [session(session_id=session_id, metadata={"n": n}) for n in range(20)]

    def create(record: Record) -> bool:
        try:
            sessions.create(record, {})
        except (SessionExists, Contended):
            return False
        return True

    with ThreadPoolExecutor(20) as pool:
        won = list(pool.map(create, made))
    assert won.count(True) == 1
    assert sessions.get(session_id) == made[won.index(True)]


def test_what_would_be_too_large_is_refused_whole(sessions: Sessions, everything: Everything) -> None:
    large = {"text": "x" * 1_000_000}
    made = session(data={"large": large})
    for record, data in ((made, {"small": {}, "large": large}), (session(metadata={"text": "x" * 300_000}), {})):
        with pytest.raises(ContentTooLarge):
            sessions.create(record, data)
        assert everything(partition(record.id)) == set()


# --- reading -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("unknown", ["ses_" + "a" * 26, "legacy-1", "", "ses_short", "with space", "x" * 300, "é"])
def test_what_is_not_there_is_not_found(sessions: Sessions, unknown: str) -> None:
    for read in (sessions.find, sessions.get):
        with pytest.raises(SessionNotFound):
            read(unknown)
    with pytest.raises(SessionNotFound):
        sessions.change(unknown, lambda _: pytest.fail("decided on nothing"))


def test_what_has_expired_is_never_served_though_it_is_still_stored(sessions: Sessions, clock: FakeClock) -> None:
    made = session(ttlSeconds=60)
    sessions.create(made, {})
    clock.forward(60, ms=-1)
    assert sessions.get(made.id) == made
    clock.forward(ms=1)
    with pytest.raises(SessionExpired):
        sessions.get(made.id)
    assert sessions.find(made.id) == made


def test_what_was_written_is_read_at_once(sessions: Sessions) -> None:
    made = session()
    sessions.create(made, {})
    for number in range(20):
        patch(sessions, made.id, metadata={"n": number})
        assert sessions.get(made.id).session.metadata == {"n": number}


def test_an_alias_names_its_session(sessions: Sessions) -> None:
    made = session()
    sessions.create(made, {}, ["legacy-1", "chat/2"])
    assert sessions.resolve(made.id) == made.id
    for alias in ("legacy-1", "chat/2"):
        assert sessions.resolve(alias) == made.id
        assert sessions.get(alias) == made
    with pytest.raises(SessionNotFound):
        sessions.resolve("legacy-2")


def test_an_alias_names_one_session(sessions: Sessions, everything: Everything) -> None:
    first, second = session(), session()
    sessions.create(first, {}, ["legacy-1"])
    with pytest.raises(SessionExists):
        sessions.create(second, {}, ["legacy-2", "legacy-1"])
    assert sessions.resolve("legacy-1") == first.id
    assert everything(partition(second.id), "ALIAS#legacy-2") == set()


def test_an_item_that_the_model_refuses_is_named_by_its_key_alone(sessions: Sessions, table: Table) -> None:
    made = session(email="ada@example.com")
    sessions.create(made, {})
    table.update(core_key(made.id), Change({("absoluteExpiresAt",): "soon"}))
    with pytest.raises(PoisonedItem) as poisoned:
        sessions.get(made.id)
    assert poisoned.value.key == made.id
    assert "ada" not in str(poisoned.value)


# --- changes -----------------------------------------------------------------------------------------


def test_a_change_is_a_new_version(sessions: Sessions, clock: FakeClock) -> None:
    made = session(metadata={"a": 1})
    sessions.create(made, {})
    changed = patch(sessions, made.id, clock.forward(1), metadata={"b": 2}, email="ada@example.com")
    assert sessions.get(made.id) == changed
    assert changed.session.version == 2
    assert changed.session.metadata == {"a": 1, "b": 2}
    assert changed.session.updated_at == clock()


def test_fifty_writers_of_fifty_fields_lose_nothing(sessions: Sessions) -> None:
    """Not even those that find no metadata yet, and each must make it."""
    made = session()
    sessions.create(made, {})
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda n: patch(sessions, made.id, metadata={f"k{n}": n}), range(THREADS)))
    found = sessions.get(made.id).session
    assert found.metadata == {f"k{n}": n for n in range(THREADS)}
    assert found.version == 1 + THREADS


def test_two_fields_of_one_object_are_two_fields(sessions: Sessions) -> None:
    made = session(metadata={"form": {}}, customer={"firstName": "Ada"})
    sessions.create(made, {})
    others = [{"metadata": {"form": {"b": 2}}, "customer": {"phone": "1"}}]

    def decide(record: Record) -> Change:
        if others:
            patch(sessions, made.id, **others.pop())
        wanted = SessionPatch.model_validate({"metadata": {"form": {"a": 1}}, "customer": {"lastName": "L"}})
        return edited(record, wanted, flow=None, by_service=True, data=dict, now=START)

    changed = sessions.change(made.id, decide).session
    assert changed.metadata == {"form": {"a": 1, "b": 2}}
    assert changed.customer is not None
    assert (changed.customer.first_name, changed.customer.last_name, changed.customer.phone) == ("Ada", "L", "1")


def test_a_decision_is_taken_anew_on_what_another_writer_left(sessions: Sessions) -> None:
    made = session()
    sessions.create(made, {})
    seen = list[int]()

    def decide(record: Record) -> Change:
        seen.append(record.session.version)
        if len(seen) == 1:
            patch(sessions, made.id, metadata={"other": 1})
        version = Clause(("version",), "is", record.session.version)
        return Change({("cartId",): f"cart-{record.session.version}"}, clauses=(version,))

    changed = sessions.change(made.id, decide)
    assert seen == [1, 2]
    assert (changed.session.cart_id, changed.session.metadata) == ("cart-2", {"other": 1})


def test_what_a_decision_refuses_is_not_written(sessions: Sessions) -> None:
    made = session()
    sessions.create(made, {})

    def decide(_: Record) -> Change:
        raise SessionExpired

    with pytest.raises(SessionExpired):
        sessions.change(made.id, decide)
    assert sessions.get(made.id) == made


def test_who_always_comes_second_is_told_in_the_end(sessions: Sessions) -> None:
    made = session()
    sessions.create(made, {})
    tries = list[int]()

    def decide(record: Record) -> Change:
        tries.append(record.session.version)
        return Change(clauses=(Clause(("version",), "is", -1),))

    with pytest.raises(Contended):
        sessions.change(made.id, decide)
    assert len(tries) == TRIES
    assert sessions.get(made.id) == made


def test_a_session_that_is_deleted_meanwhile_is_not_made_again(table: Table, clock: FakeClock) -> None:
    store = Sessions(table, clock, SHARDS)
    made = session()
    store.create(made, {})
    late = Sessions(InterruptedStore(table, "update", lambda: store.delete(made.id)), clock, SHARDS)
    with pytest.raises(SessionNotFound):
        patch(late, made.id, metadata={"a": 1})
    assert table.get(core_key(made.id)) is None


def test_a_session_that_is_buried_meanwhile_is_not_revived(table: Table, clock: FakeClock) -> None:
    store = Sessions(table, clock, SHARDS)
    made = session()
    store.create(made, {})
    bury = Change({("status",): "expired"})
    late = Sessions(
        InterruptedStore(table, "update", lambda: table.update(core_key(made.id), bury)), clock, SHARDS
    )
    with pytest.raises(SessionExpired):
        late.change(made.id, lambda record: touched(record.live(clock()), clock()))


def test_a_session_that_grows_too_large_is_refused_and_stays(sessions: Sessions) -> None:
    made = session(metadata={"a": "x" * 200_000})
    sessions.create(made, {})
    with pytest.raises(ContentTooLarge):
        patch(sessions, made.id, metadata={"b": "x" * 100_000})
    assert sessions.get(made.id) == made


def test_a_huge_patch_is_written_whole(sessions: Sessions) -> None:
    made = session(metadata={"old": 1, "k7": "x"})
    sessions.create(made, {})
    changed = patch(sessions, made.id, metadata={f"k{n}": n for n in range(1_000)} | {"old": None})
    assert changed.session.metadata == {f"k{n}": n for n in range(1_000)}


@pytest.mark.parametrize(("count", "depth"), [(1, 19), (5, 17), (10, 9), (40, 4), (48, 1)])
def test_a_deep_patch_is_written_as_well(sessions: Sessions, count: int, depth: int) -> None:
    def chain(left: int, leaf: int) -> Any:
        return leaf if left == 0 else {f"level{left}": chain(left - 1, leaf)}

    for leaf in (1, 2):
        wanted = {f"k{n}": chain(depth - 1, leaf) for n in range(count)}
        made = session(metadata={f"k{n}": chain(depth - 1, 0) for n in range(count)})
        sessions.create(made, {})
        assert patch(sessions, made.id, metadata=wanted).session.metadata == wanted


# --- credentials -------------------------------------------------------------------------------------


def test_twenty_refreshes_at_once_log_nobody_out(sessions: Sessions) -> None:
    made = session(kind="chat")
    sessions.create(made, {})
    token = Presented(0, "hash-0", genuine=True)

    def refresh(_: int) -> Record:
        return sessions.change(made.id, lambda record: rotated(record, token, "hash-1", START))

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(refresh, range(20)))
    assert {record.refresh for record in answers} == {Refresh("hash-1", "family", 1, (START,))}
    assert {record.epoch for record in answers} == {made.epoch}


def test_a_revocation_and_a_refresh_at_once_leave_no_token(table: Table, clock: FakeClock) -> None:
    store = Sessions(table, clock, SHARDS)
    made = session(kind="chat")
    store.create(made, {})
    revoke = InterruptedStore(
        table, "update", lambda: store.change(made.id, lambda record: revoked(record, clock()))
    )
    token = Presented(0, "hash-0", genuine=True)
    with pytest.raises(TokenRevoked):
        Sessions(revoke, clock, SHARDS).change(made.id, lambda record: rotated(record, token, "hash-1", START))
    found = store.get(made.id)
    assert found.refresh is None
    assert found.epoch > made.epoch


# --- listing -----------------------------------------------------------------------------------------


def listed(store: Sessions, customer_id: str, limit: int) -> list[str]:
    """Return the ids on all pages, in their order."""
    found, start = list[str](), None
    while True:
        records, start = store.of_customer(customer_id, limit, start)
        assert len(records) <= limit
        found += [record.id for record in records]
        if start is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_a_customers_sessions_are_listed_newest_first_each_once(
    sessions: Sessions, clock: FakeClock, limit: int
) -> None:
    made = list[str]()
    for number in range(7):
        record = session(now=clock.forward(number % 3), customer={"customerId": "c-1"}, kind="chat")
        sessions.create(record, {})
        made.append(record.id)
    sessions.create(session(customer={"customerId": "c-2"}), {})
    sessions.create(session(), {})
    found = listed(sessions, "c-1", limit)
    times = [sessions.get(session_id).session.created_at for session_id in found]
    assert sorted(found) == sorted(made)
    assert times == sorted(times, reverse=True)
    assert listed(sessions, "c-3", limit) == []


def test_only_live_ones_are_listed(sessions: Sessions, clock: FakeClock) -> None:
    kept = session(kind="chat", customer={"customerId": "c-1"})
    gone = session(kind="chat", customer={"customerId": "c-1"})
    short = session(ttlSeconds=5, customer={"customerId": "c-1"})
    for record in (kept, gone, short):
        sessions.create(record, {})
    sessions.delete(gone.id)
    clock.forward(5)
    assert listed(sessions, "c-1", 2) == [kept.id]


def test_a_login_moves_a_session_to_its_customer(sessions: Sessions) -> None:
    made = session()
    sessions.create(made, {})
    refresh = Refresh("new", "family-2")
    sessions.change(made.id, lambda record: logged_in(record, "c-2", {}, refresh, START))
    assert (listed(sessions, "c-1", 10), listed(sessions, "c-2", 10)) == ([], [made.id])


def test_an_index_that_lags_lists_nothing_that_is_gone_or_anothers(table: Table, clock: FakeClock) -> None:
    """The index still names three; one was deleted since, one logged in elsewhere, one expired."""
    store = Sessions(table, clock, SHARDS)
    records = [session(kind="chat", customer={"customerId": "c-1"}) for _ in range(3)]
    kept = session(kind="chat", customer={"customerId": "c-1"})
    for record in (*records, kept):
        store.create(record, {})
    deleted, moved, over = records

    def meanwhile() -> None:
        store.delete(deleted.id)
        store.change(moved.id, lambda _: Change({("customer", "customerId"): "c-2", ("customerId",): "c-2"}))
        store.change(over.id, lambda record: extended(record, 1, START))
        clock.forward(2)

    behind = Sessions(InterruptedStore(table, "get_many", meanwhile), clock, SHARDS)
    assert [record.id for record in behind.of_customer("c-1", 10)[0]] == [kept.id]


# --- deletion ----------------------------------------------------------------------------------------


def test_a_deletion_leaves_nothing(sessions: Sessions, table: Table, everything: Everything) -> None:
    made, other = session(customer={"customerId": "c-1"}), session()
    sessions.create(made, {f"bucket-{n}": {} for n in range(20)}, ["legacy-1", "legacy-2"])
    sessions.create(other, {"cart": {}}, ["legacy-3"])
    for number in range(40):
        answer = {**child_key(made.id, f"IDEMPOTENCY#{number}")._asdict(), "answer": "sealed"}
        table.transact([Put(answer)])
    before = everything(partition(other.id), "ALIAS#legacy-3")
    assert sessions.delete(made.id)
    assert everything(partition(made.id), "ALIAS#legacy-1", "ALIAS#legacy-2") == set()
    assert everything(partition(other.id), "ALIAS#legacy-3") == before
    assert listed(sessions, "c-1", 10) == []
    with pytest.raises(SessionNotFound):
        sessions.find(made.id)
    with pytest.raises(SessionNotFound):
        sessions.resolve("legacy-1")


def test_deleting_again_is_harmless(sessions: Sessions) -> None:
    made = session()
    sessions.create(made, {"cart": {}}, ["legacy-1"])
    assert [sessions.delete(made.id) for _ in range(3)] == [True, False, False]
    assert not sessions.delete(new_session_id())


def test_an_alias_that_was_freed_names_whom_it_is_given_to_next(sessions: Sessions) -> None:
    first, second = session(), session()
    sessions.create(first, {}, ["legacy-1"])
    sessions.delete(first.id)
    sessions.create(second, {}, ["legacy-1"])
    sessions.delete(first.id)
    assert sessions.resolve("legacy-1") == second.id


def test_a_deletion_that_comes_again_spares_an_alias_that_has_moved_on(table: Table, clock: FakeClock) -> None:
    """The first one crashed before its marker went, which still lists the alias."""
    store = Sessions(table, clock, SHARDS)
    first, second = session(), session()
    store.create(first, {}, ["legacy-1"])
    table.delete_many([core_key(first.id), alias_key("legacy-1")])
    store.create(second, {}, ["legacy-1"])
    store.delete(first.id)
    assert store.resolve("legacy-1") == second.id
    assert table.get(Key(partition(first.id), "EXPIRY")) is None
