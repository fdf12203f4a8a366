"""Carts, actions and views, decided: what is recorded when, and which views stay."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import Invalid
from tessera.model.activity import MAX_BYTES, VIEWS_KEPT, GivenAction, View, acted, cart_named, last_views
from tessera.model.parts import Action
from tessera.model.record import Record
from tests.support.fakes import START
from tests.support.records import session

VIEWS = st.lists(
    st.builds(lambda p, n: {"productId": p, "n": n}, st.sampled_from("abcdefghijklmno"), st.integers())
)


def with_cart(cart_id: str | None) -> Record:
    return session(cartId=cart_id) if cart_id else session()


def named(record: Record, cart_id: str) -> list[tuple[str, str]]:
    _, actions = cart_named(record, cart_id, START, lambda: "id")
    return [(action.action, action.cart_id) for action in actions]


@pytest.mark.parametrize("before", [None, "cart-0"])
def test_a_new_cart_begins_with_cart_initialized(before: str | None) -> None:
    assert named(with_cart(before), "cart-1") == [(Action.CART_INITIALIZED, "cart-1")]


def test_the_cart_that_a_session_has_is_no_news() -> None:
    assert named(with_cart("cart-1"), "cart-1") == []


def test_the_clean_up_is_told_once_that_there_is_something_beside_the_core() -> None:
    record = with_cart(None)
    change, _ = cart_named(record, "cart-1", START, lambda: "id")
    assert change.assign["parts",] == ["activity"]
    change, _ = cart_named(replace(record, parts=("data", "activity")), "cart-1", START, lambda: "id")
    assert ("parts",) not in change.assign


def test_actions_are_on_the_cart_of_the_session_and_of_now_unless_they_say_otherwise() -> None:
    given_actions = [GivenAction(action=Action.ITEM_ADDED), GivenAction(action=Action.ITEM_REMOVED)]
    ids = iter("ab")
    _, actions = acted(with_cart("cart-1"), given_actions, START, lambda: next(ids))
    assert [(a.id, a.cart_id, a.action, a.at) for a in actions] == [
        ("a", "cart-1", "item_added", START),
        ("b", "cart-1", "item_removed", START),
    ]


def test_without_a_cart_there_are_no_actions_on_it() -> None:
    with pytest.raises(Invalid):
        acted(with_cart(None), [GivenAction(action=Action.ITEM_ADDED)], START, lambda: "id")


@given(st.lists(VIEWS, max_size=6))
def test_the_last_ten_products_that_were_viewed_stay_newest_first(batches: list[list[dict[str, Any]]]) -> None:
    """However the views are spread over requests."""
    kept: list[Any] = []
    for batch in batches:
        kept = last_views(kept, batch)
    newest: dict[str, Any] = {}
    for view in reversed([view for batch in batches for view in batch]):
        newest.setdefault(view["productId"], view)
    assert kept == [*newest.values()][:VIEWS_KEPT]


@pytest.mark.parametrize("extra", [{"note": "x" * MAX_BYTES}, {"n": 1e200}, {"": 1}])
def test_a_view_is_small_and_can_be_stored(extra: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"at most|between|character"):
        View.model_validate({"productId": "p-1", **extra})


def test_a_view_is_kept_as_it_was_sent() -> None:
    sent = {"productId": "p-1", "variantId": None, "product_id": 7, "price": {"amount": 1.5}}
    assert View.model_validate(sent).as_json() == sent
