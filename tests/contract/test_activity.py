"""Carts, actions and views beside a session, on every engine: with its core or not at all."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessera.errors import Contended, ContentTooLarge, SessionExpired, SessionNotFound
from tessera.model.activity import GivenAction, acted, cart_named, last_views, viewed
from tessera.model.changes import Change
from tessera.model.life import touched
from tessera.model.parts import Action
from tessera.model.record import Record
from tessera.model.ulids import Ulids
from tessera.stores.activity import ACTIONS_SHOWN, Activities
from tessera.stores.expiry import Expiry
from tessera.stores.keys import child_key, core_key
from tessera.stores.session_store import Decision
from tessera.stores.sessions import TRIES, Sessions
from tessera.stores.table import ABSENT, Put, Table
from tests.contract.conftest import SHARDS
from tests.support.fakes import START, FakeClock, InterruptedStore
from tests.support.records import of_customer, session

new_ulid = Ulids(lambda: START)
type Everything = Callable[..., set[tuple[str, str]]]


@pytest.fixture
def activity(table: Table) -> Activities:
    return Activities(table)


@pytest.fixture
def made(sessions: Sessions) -> Record:
    record = session(cartId="cart-0")
    sessions.create(record, {})
    return record


def set_cart(sessions: Sessions, activity: Activities, session_id: str, cart_id: str) -> Record:
    def decide(record: Record) -> Decision:
        change, actions = cart_named(record, cart_id, START, new_ulid)
        return change, activity.recorded(record, actions)

    return sessions.change_with(session_id, decide)


def act(sessions: Sessions, activity: Activities, session_id: str, *details: dict[str, Any]) -> Record:
    given_actions = [GivenAction(action=Action.ITEM_ADDED, details=each) for each in details]

    def decide(record: Record) -> Decision:
        change, actions = acted(record, given_actions, START, new_ulid)
        return change, activity.recorded(record, actions)

    return sessions.change_with(session_id, decide)


def view(sessions: Sessions, activity: Activities, session_id: str, *products: Any) -> Record:
    views = [{"productId": str(product)} for product in products]
    return sessions.change_with(
        session_id, lambda record: (viewed(record, START), [activity.viewed(record, views)[1]])
    )


def products(activity: Activities, session_id: str) -> list[str]:
    return [found["productId"] for found in activity.of(session_id)["views"]]


# --- together with the core --------------------------------------------------------------------------


def test_a_new_cart_comes_with_its_action(sessions: Sessions, activity: Activities, made: Record) -> None:
    changed = set_cart(sessions, activity, made.id, "cart-1")
    assert changed == sessions.find(made.id), "what a transaction made is known without reading it"
    assert (changed.session.cart_id, changed.session.version, changed.parts) == ("cart-1", 2, ("activity",))
    (action,) = activity.of(made.id)["cart_actions"]
    assert (action["action"], action["cartId"], action["at"]) == ("cart_initialized", "cart-1", START)
    assert len(action["id"]) == 26


def test_the_same_cart_again_records_nothing(sessions: Sessions, activity: Activities, made: Record) -> None:
    for _ in range(3):
        set_cart(sessions, activity, made.id, "cart-1")
    assert len(activity.of(made.id)["cart_actions"]) == 1
    assert sessions.find(made.id).session.version == 4


def test_of_two_that_name_the_same_new_cart_one_records_it(
    table: Table, activity: Activities, made: Record, clock: FakeClock
) -> None:
    there = Sessions(table, clock, SHARDS)
    here = Sessions(
        InterruptedStore(table, "transact", lambda: set_cart(there, activity, made.id, "cart-1")), clock, SHARDS
    )
    set_cart(here, activity, made.id, "cart-1")
    assert len(activity.of(made.id)["cart_actions"]) == 1


def test_a_cart_that_another_has_just_replaced_is_new_again(
    table: Table, activity: Activities, made: Record, clock: FakeClock
) -> None:
    there = Sessions(table, clock, SHARDS)
    here = Sessions(
        InterruptedStore(table, "update", lambda: set_cart(there, activity, made.id, "cart-1")), clock, SHARDS
    )
    assert set_cart(here, activity, made.id, "cart-0").session.cart_id == "cart-0"
    assert [action["cartId"] for action in activity.of(made.id)["cart_actions"]] == ["cart-0", "cart-1"]


def test_actions_of_a_request_are_one_item(
    sessions: Sessions, activity: Activities, made: Record, everything: Everything
) -> None:
    act(sessions, activity, made.id, {"n": 1}, {"n": 2})
    act(sessions, activity, made.id, {"n": 3})
    assert [action["details"]["n"] for action in activity.of(made.id)["cart_actions"]] == [3, 2, 1]
    assert len([sk for _, sk in everything(f"SESSION#{made.id}") if sk.startswith("ACT#")]) == 2


def test_the_newest_hundred_are_shown(sessions: Sessions, activity: Activities, made: Record) -> None:
    for start in range(0, 120, 40):
        act(sessions, activity, made.id, *({"n": n} for n in range(start, start + 40)))
    shown = [action["details"]["n"] for action in activity.of(made.id)["cart_actions"]]
    assert shown == [*reversed(range(120))][:ACTIONS_SHOWN]


def test_they_know_the_customer_and_are_not_in_the_index_of_customers(
    sessions: Sessions, activity: Activities, table: Table
) -> None:
    owned = of_customer("c-1", cartId="cart-0")
    sessions.create(owned, {})
    act(sessions, activity, owned.id, {})
    (item,) = table.query(f"SESSION#{owned.id}", "ACT#")
    assert item["customer"] == "c-1"
    records, _ = sessions.of_customer("c-1", 10)
    assert [record.id for record in records] == [owned.id]


def test_what_is_beside_it_goes_with_it(
    sessions: Sessions, activity: Activities, made: Record, everything: Everything
) -> None:
    act(sessions, activity, made.id, {})
    view(sessions, activity, made.id, "p-1")
    sessions.delete(made.id)
    assert everything(f"SESSION#{made.id}") == set()


def test_the_clean_up_finds_it_and_nothing_comes_after_it(
    sessions: Sessions, activity: Activities, expiry: Expiry, made: Record, clock: FakeClock
) -> None:
    view(sessions, activity, made.id, "p-1")
    now = made.session.absolute_expires_at
    hour, shard = made.session.expires_at // 3_600_000, range(SHARDS)
    markers = [item for s in shard for item in expiry.due(hour, s, now, limit=10).items]
    clock.now = now
    assert expiry.settle(markers, now).deleted == 2
    with pytest.raises(SessionExpired):
        sessions.change_with(
            made.id, lambda r: (touched(r.live(now), now), [activity.viewed(r, [{"productId": "p"}])[1]])
        )
    assert activity.of(made.id)["views"] == []


def test_what_is_beside_a_session_lives_no_longer_than_it(
    sessions: Sessions, activity: Activities, made: Record, table: Table
) -> None:
    act(sessions, activity, made.id, {})
    view(sessions, activity, made.id, "p-1")
    last = made.session.absolute_expires_at // 1_000 + made.retention_seconds
    assert {
        item["ttl"] for item in table.query(f"SESSION#{made.id}") if "ttl" in item and item["sk"] != "CORE"
    } == {last}


def test_nothing_is_written_beside_a_session_that_is_gone(
    table: Table, activity: Activities, made: Record, clock: FakeClock, everything: Everything
) -> None:
    there = Sessions(table, clock, SHARDS)
    here = Sessions(InterruptedStore(table, "transact", lambda: there.delete(made.id)), clock, SHARDS)
    with pytest.raises(SessionNotFound):
        act(here, activity, made.id, {})
    assert everything(f"SESSION#{made.id}") == set()


def test_actions_too_large_for_an_item_change_nothing(
    sessions: Sessions, activity: Activities, made: Record
) -> None:
    with pytest.raises(ContentTooLarge):
        act(sessions, activity, made.id, *({"x": "x" * 15_000} for _ in range(25)))
    assert sessions.find(made.id) == made
    assert activity.of(made.id) == {"cart_actions": [], "views": []}


def test_others_that_always_come_first_end_in_a_refusal(sessions: Sessions, made: Record) -> None:
    """Here another item that always stands against it; the session stays as it was."""
    tried: list[Record] = []

    def decide(record: Record) -> Decision:
        tried.append(record)
        return touched(record, START), [Put({**core_key(made.id)._replace(sk="EXPIRY")._asdict()}, (ABSENT,))]

    with pytest.raises(Contended):
        sessions.change_with(made.id, decide)
    assert len(tried) == TRIES
    assert sessions.find(made.id) == made


# --- views -------------------------------------------------------------------------------------------


def test_two_tabs_lose_no_view_of_each_other(
    table: Table, activity: Activities, made: Record, clock: FakeClock
) -> None:
    there = Sessions(table, clock, SHARDS)
    view(there, activity, made.id, "p-0")
    here = Sessions(
        InterruptedStore(table, "transact", lambda: view(there, activity, made.id, "p-1")), clock, SHARDS
    )
    view(here, activity, made.id, "p-2")
    assert products(activity, made.id) == ["p-2", "p-1", "p-0"]


def test_many_at_once_lose_nothing(sessions: Sessions, activity: Activities, made: Record) -> None:
    def write(number: int) -> None:
        while True:
            try:
                view(sessions, activity, made.id, number)
            except Contended:
                continue
            return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert sorted(products(activity, made.id)) == sorted(map(str, range(8)))
    assert sessions.find(made.id).session.version == 9


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(st.integers(0, 14), min_size=1, max_size=5), max_size=8))
def test_the_views_are_those_of_the_reference(
    fast_table: Table, clock: FakeClock, requests: list[list[int]]
) -> None:
    sessions, activity, record = Sessions(fast_table, clock, SHARDS), Activities(fast_table), session()
    sessions.create(record, {})
    reference: Any = []
    for request in requests:
        view(sessions, activity, record.id, *request)
        reference = last_views(reference, [{"productId": str(product)} for product in request])
    assert activity.of(record.id)["views"] == reference
    assert len(reference) <= 10


def test_there_is_no_activity_where_there_was_none(activity: Activities, made: Record) -> None:
    assert activity.of(made.id) == {"cart_actions": [], "views": []}


def test_a_part_that_another_adds_meanwhile_is_not_forgotten(
    table: Table, activity: Activities, made: Record, clock: FakeClock
) -> None:
    """Without a version of its own, as an append of messages may come."""
    add = Change({("parts",): ["messages"]})
    here = Sessions(
        InterruptedStore(table, "transact", lambda: table.update(core_key(made.id), add)), clock, SHARDS
    )
    view(here, activity, made.id, "p-1")
    assert here.find(made.id).parts == ("messages", "activity")
    assert table.get(child_key(made.id, "VIEWS"))
