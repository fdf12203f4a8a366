"""Receipts on every engine: what is asked for under one key is done once, whoever dies, is late or comes twice."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from tessera.errors import AnswerNotKept, Contended, IdempotencyKeyReused, NothingToDo
from tessera.http.access import Access, etag
from tessera.model.activity import GivenAction, acted
from tessera.model.caller import Caller, Scope
from tessera.model.clock import DAY_SECONDS, SECOND, Millis
from tessera.model.life import extended
from tessera.model.parts import Action, CartAction
from tessera.model.record import Record
from tessera.model.ulids import Ulids
from tessera.stores.activity import Activities
from tessera.stores.keys import receipt_key
from tessera.stores.receipts import Receipt
from tessera.stores.session_store import Decision
from tests.support.chats import House, said
from tests.support.fakes import START, Crash, CrashingStore, InterruptedStore

SERVICE = Caller(service="shop", scopes=frozenset({Scope.ADMIN}))
new_ulid = Ulids(lambda: START)


def begin(house: House, *contents: Any) -> str:
    session_id = house.begin(cartId="cart-1")
    for content in contents:
        house.say(session_id, said(content))
    return session_id


def access(house: House, if_match: str | None = None) -> Access:
    return Access(SERVICE, house.sessions, house.clock, if_match)


def pop(house: House, session_id: str, name: str, body: str = "", if_match: str | None = None) -> Any:
    """Pop as the handler does; return the content."""
    receipt = Receipt(house.table, house.clock, name, body)
    found = access(house, if_match).using(
        session_id,
        lambda target, admit: house.conversations.pop(
            target, admit, lambda place: house.history.get(target, place), receipt
        ),
        receipt,
    )
    return None if found is None else house.history.whole(found)["content"]


def act(house: House, session_id: str, name: str, body: str = "", if_match: str | None = None) -> list[CartAction]:
    """Record two actions as the handler does; return what was recorded."""
    activity, receipt = Activities(house.table), Receipt(house.table, house.clock, name, body)
    given, recorded = [GivenAction(action=Action.ITEM_ADDED)] * 2, list[CartAction]()

    def decide(record: Record, now: Millis) -> Decision:
        nonlocal recorded
        change, recorded = acted(record, given, now, new_ulid)
        return change, activity.recorded(record, recorded, receipt)

    try:
        access(house, if_match).change_with(session_id, decide, receipt)
    except NothingToDo as before:
        return activity.receipted(session_id, before.found)
    return recorded


def actions(house: House, session_id: str) -> list[str]:
    """Return the ids of the actions of a session, in the order of their recording."""
    return [action["id"] for action in reversed(Activities(house.table).of(session_id)["cart_actions"])]


# --- once --------------------------------------------------------------------------------------------


def test_a_repeated_pop_returns_what_was_popped_then(house: House) -> None:
    session_id = begin(house, "a", "b")
    assert pop(house, session_id, "once") == "b"
    house.say(session_id, said("c"))
    assert pop(house, session_id, "once") == "b"
    assert list(house.shown(session_id).values()) == ["a", "c"]
    assert [pop(house, session_id, "twice"), pop(house, session_id, "thrice")] == ["c", "a"]


def test_repeated_actions_are_those_that_were_recorded_then(house: House) -> None:
    session_id = begin(house)
    first = act(house, session_id, "once")
    other = act(house, session_id, "twice")
    assert act(house, session_id, "once") == first
    assert actions(house, session_id) == [action.id for action in first + other]


def test_where_nothing_was_popped_nothing_is_kept(house: House) -> None:
    session_id = begin(house)
    assert pop(house, session_id, "once") is None
    house.say(session_id, said("a"))
    assert pop(house, session_id, "once") == "a"


@pytest.mark.parametrize("do", [pop, act])
def test_another_body_is_another_request(house: House, do: Callable[..., Any]) -> None:
    session_id = begin(house, "a", "b")
    do(house, session_id, "once", "this")
    before = house.sessions.find(session_id)
    with pytest.raises(IdempotencyKeyReused):
        do(house, session_id, "once", "that")
    assert house.sessions.find(session_id) == before


@pytest.mark.parametrize("do", [pop, act])
def test_the_version_that_it_was_made_for_does_not_stand_against_its_repetition(
    house: House, do: Callable[..., Any]
) -> None:
    session_id = begin(house, "a", "b")
    seen = etag(house.sessions.find(session_id))
    assert do(house, session_id, "once", if_match=seen) == do(house, session_id, "once", if_match=seen)


def test_a_message_that_lay_in_s3_comes_again(house: House) -> None:
    session_id = begin(house, "a", "x" * 400_000)
    assert [len(pop(house, session_id, "once")) for _ in range(2)] == [400_000] * 2


def test_a_message_that_only_the_archive_has_comes_again_if_an_item_holds_it(house: House) -> None:
    session_id = begin(house, "a" * 400_000, "b")
    house.clock.forward(10 * 60)
    house.tend(session_id)
    for segment in house.hot(session_id):
        house.ttl_takes(segment)
    assert [pop(house, session_id, "small") for _ in range(2)] == ["b"] * 2
    assert len(pop(house, session_id, "large")) == 400_000
    with pytest.raises(AnswerNotKept):
        pop(house, session_id, "large")
    assert house.shown(session_id) == {}


# --- races and deaths --------------------------------------------------------------------------------


@pytest.mark.parametrize("do", [pop, act])
def test_of_two_containers_with_one_request_one_does_it(house: House, do: Callable[..., Any]) -> None:
    """The one that was taken for dead was only slow: it has looked, and found no receipt yet."""
    session_id = begin(house, "a", "b", "c")
    first: list[Any] = []
    late = house.beside(
        InterruptedStore(house.table, "transact", lambda: first.append(do(house, session_id, "once")))
    )
    assert do(late, session_id, "once") == first[0]
    assert len(house.shown(session_id)) + len(actions(house, session_id)) in (2, 3 + 2)


@pytest.mark.parametrize("do", [pop, act])
def test_of_many_at_once_one_does_it_and_all_tell_the_same(fast_house: House, do: Callable[..., Any]) -> None:
    session_id = begin(fast_house, "a", "b", "c")

    def persist(_: int) -> Any:
        own = fast_house.beside()
        while True:
            try:
                return do(own, session_id, "once")
            except Contended:
                continue

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(persist, range(8)))
    assert told == told[:1] * 8
    assert len(fast_house.shown(session_id)) + len(actions(fast_house, session_id)) in (2, 3 + 2)


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("do", [pop, act])
def test_whatever_call_it_dies_at_its_repetition_ends_as_if_it_had_not(
    fast_house: House, do: Callable[..., Any], *, after: bool
) -> None:
    house = fast_house
    for at in count():
        session_id = begin(house, "a", "b", "c")
        died = True
        with suppress(Crash):
            do(house.beside(CrashingStore(house.table, at, after=after)), session_id, "once")
            died = False
        done = do(house, session_id, "once")
        assert do(house, session_id, "once") == done
        assert list(house.shown(session_id).values()) == (["a", "b"] if do is pop else ["a", "b", "c"])
        assert done == "c" if do is pop else actions(house, session_id) == [action.id for action in done]
        if not died:
            assert at >= 3  # the core, the receipt, the transaction
            return


# --- its end -----------------------------------------------------------------------------------------


def test_it_lasts_for_a_day_also_where_ttl_is_late(house: House) -> None:
    session_id = house.begin(cartId="cart-1", ttlSeconds=3 * DAY_SECONDS)
    first = act(house, session_id, "once")
    item = house.table.get(receipt_key(session_id, "once"))
    assert item is not None
    assert item["ttl"] == START // SECOND + DAY_SECONDS
    house.clock.forward(DAY_SECONDS - 1)
    assert act(house, session_id, "once") == first
    house.clock.forward(1)
    second = act(house, session_id, "once")
    assert act(house, session_id, "once") == second
    assert actions(house, session_id) == [action.id for action in first + second]


@pytest.mark.parametrize("do", [pop, act])
def test_ttl_may_come_by_in_the_middle(house: House, do: Callable[..., Any]) -> None:
    """It is still there at the look, and gone at the transaction: the next try finds what there is then."""
    session_id = begin(house, "a", "b")
    do(house, session_id, "once")
    house.clock.forward(DAY_SECONDS)
    late = house.beside(
        InterruptedStore(house.table, "transact", lambda: house.table.delete(receipt_key(session_id, "once")))
    )
    assert do(late, session_id, "once")
    assert house.table.get(receipt_key(session_id, "once")) is not None


def test_it_goes_with_its_session(house: House) -> None:
    deleted, expired = begin(house, "a"), begin(house, "a")
    for session_id in (deleted, expired):
        pop(house, session_id, "a pop")
        act(house, session_id, "an act")
        assert {"RECEIPT#a pop", "RECEIPT#an act"} <= house.everything(session_id)
    house.sessions.delete(deleted, purge=True)
    house.sessions.change(expired, lambda record: extended(record, 1, house.clock()))
    house.clock.forward(2 * 3_600)
    house.clean_up()
    assert not {sk for i in (deleted, expired) for sk in house.everything(i) if sk.startswith("RECEIPT#")}
