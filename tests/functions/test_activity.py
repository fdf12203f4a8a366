"""Carts, cart actions and views over HTTP."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.functions.service import Answer, Owner, Service
from tests.support.fakes import FakeClock

ACTIONS = "POST /sessions/{sessionId}/cart/actions"


@pytest.fixture
def owner(service: Service) -> Owner:
    return service.create()


def set_cart(service: Service, owner: Owner, cart_id: Any, **how: Any) -> Answer:
    return service.call("activity/cart", "me", token=owner.token, body={"cartId": cart_id}, **how)


def act(service: Service, owner: Owner, *actions: Any, **how: Any) -> Answer:
    how = {"body": {"actions": list(actions)}, "token": owner.token} | how
    return service.call("activity/cart", "me", route=ACTIONS, **how)


def view(service: Service, owner: Owner, *views: Any, **how: Any) -> Answer:
    return service.call("activity/views", "me", token=owner.token, body={"views": list(views)}, **how)


def activity(service: Service, owner: Owner) -> Any:
    answer = service.call("sessions/get", "me", token=owner.token, query={"include": "activity"})
    assert answer.status == 200, answer.text
    return answer.json["activity"]


# --- the cart ----------------------------------------------------------------------------------------


def test_a_new_cart_is_set_and_recorded(service: Service, owner: Owner, clock: FakeClock) -> None:
    clock.forward(60)
    answer = set_cart(service, owner, "cart-1")
    assert answer.status == 200
    assert (answer.json["cartId"], answer.json["version"]) == ("cart-1", 2)
    assert answer.headers["ETag"] == '"2"'
    assert answer.json["expiresAt"] == "2026-11-20T10:34:20.000Z"
    (action,) = activity(service, owner)["cartActions"]
    assert action == {
        "id": action["id"],
        "cartId": "cart-1",
        "action": "cart_initialized",
        "details": None,
        "at": "2026-11-20T10:04:20.000Z",
    }


def test_the_same_cart_again_is_no_news_but_slides(service: Service, owner: Owner, clock: FakeClock) -> None:
    set_cart(service, owner, "cart-1")
    clock.forward(60)
    again = set_cart(service, owner, "cart-1")
    assert again.json["expiresAt"] == "2026-11-20T10:34:20.000Z"
    assert len(activity(service, owner)["cartActions"]) == 1


def test_a_cart_that_came_by_another_way_is_known(service: Service) -> None:
    """At the creation or by a patch it was not recorded; naming it says nothing new."""
    owner = service.create(cartId="cart-1")
    set_cart(service, owner, "cart-1")
    assert activity(service, owner)["cartActions"] == []


def test_each_further_cart_begins_anew(service: Service, owner: Owner) -> None:
    for cart in ("cart-1", "cart-2", "cart-1"):
        set_cart(service, owner, cart)
    assert [found["cartId"] for found in activity(service, owner)["cartActions"]] == ["cart-1", "cart-2", "cart-1"]


@pytest.mark.parametrize("wrong", ["", None, 7, "x" * 201, {}])
def test_a_cart_has_a_name(service: Service, owner: Owner, wrong: Any) -> None:
    answer = set_cart(service, owner, wrong)
    assert answer.problem == (422, "invalid")
    assert answer.json["errors"][0]["pointer"] == "/cartId"


# --- what happens in it ------------------------------------------------------------------------------


def test_actions_are_recorded_in_their_order(service: Service, owner: Owner, clock: FakeClock) -> None:
    set_cart(service, owner, "cart-1")
    clock.forward(60)
    answer = act(
        service,
        owner,
        {"action": "item_added", "details": {"productId": "p-1", "quantity": 2, "note": None}},
        {"action": "item_removed", "at": "2026-11-20T11:00:00+01:00"},
    )
    assert answer.status == 201
    first, second = answer.json["actions"]
    assert first["details"] == {"productId": "p-1", "quantity": 2, "note": None}
    assert (first["cartId"], first["at"]) == ("cart-1", "2026-11-20T10:04:20.000Z")
    assert (second["action"], second["details"], second["at"]) == (
        "item_removed",
        None,
        "2026-11-20T10:00:00.000Z",
    )
    assert first["id"] < second["id"]
    assert activity(service, owner)["cartActions"][:2] == [second, first]


def test_actions_slide_the_session_and_count_its_version(service: Service, clock: FakeClock) -> None:
    owner = service.create(cartId="cart-1")
    clock.forward(60)
    assert act(service, owner, {"action": "item_added"}).status == 201
    session = service.call("sessions/get", "me", token=owner.token, query={}).json
    assert (session["version"], session["expiresAt"]) == (2, "2026-11-20T10:34:20.000Z")


def test_without_a_cart_there_is_nothing_to_act_on(service: Service, owner: Owner) -> None:
    answer = act(service, owner, {"action": "item_added"})
    assert answer.problem == (422, "invalid")
    assert "PUT /sessions/{id}/cart" in answer.json["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("actions", "pointer"),
    [
        ([], "/actions"),
        ([{"action": "item_added"}] * 101, "/actions"),
        ([{"action": "item_added"}, {"action": "item_stolen"}], "/actions/1/action"),
        ([{}], "/actions/0/action"),
        ([{"action": "item_added", "at": "now"}], "/actions/0/at"),
        ([{"action": "item_added", "details": []}], "/actions/0/details"),
        ([{"action": "item_added", "details": {"x": "x" * 17_000}}], "/actions/0/details"),
        ([{"action": "item_added", "id": "mine"}], "/actions/0/id"),
        (["item_added"], "/actions/0"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_actions_are_named_and_none_is_recorded(service: Service, actions: Any, pointer: str) -> None:
    owner = service.create(cartId="cart-1")
    answer = act(service, owner, *actions)
    assert answer.problem == (422, "invalid")
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
    assert activity(service, owner)["cartActions"] == []
    assert service.call("sessions/get", "me", token=owner.token, query={}).json == owner.session


def test_actions_insist_on_a_version_if_asked_to(service: Service) -> None:
    owner = service.create(cartId="cart-1")
    action = {"action": "item_added"}
    assert act(service, owner, action, headers={"if-match": '"2"'}).problem == (412, "precondition-failed")
    assert act(service, owner, action, headers={"if-match": '"1"'}).status == 201
    assert len(activity(service, owner)["cartActions"]) == 1


def test_services_act_on_any_session(service: Service) -> None:
    owner = service.create(cartId="cart-1")
    body = {"actions": [{"action": "item_added"}]}
    for scope, status in (("sessions:read", 403), ("sessions:write", 201)):
        answer = service.call(
            "activity/cart", owner.id, route=ACTIONS, token=service.service_token(scope), body=body
        )
        assert answer.status == status


# --- views -------------------------------------------------------------------------------------------


def test_the_last_ten_views_stay_newest_first(service: Service, owner: Owner) -> None:
    view(service, owner, *({"productId": f"p-{n}"} for n in range(8)))
    answer = view(service, owner, *({"productId": f"p-{n}", "title": "Ä"} for n in range(8, 12)))
    assert answer.status == 200
    assert [found["productId"] for found in answer.json["views"]] == [f"p-{n}" for n in range(11, 1, -1)]
    assert answer.json["views"][0] == {"productId": "p-11", "title": "Ä"}
    assert activity(service, owner)["views"] == answer.json["views"]


def test_a_product_that_is_viewed_again_moves_to_the_front(service: Service, owner: Owner) -> None:
    view(service, owner, {"productId": "p-1", "from": "search"}, {"productId": "p-2"})
    answer = view(service, owner, {"productId": "p-1", "from": "mail"})
    assert answer.json["views"] == [{"productId": "p-1", "from": "mail"}, {"productId": "p-2"}]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(st.integers(0, 14), min_size=1, max_size=12), min_size=1, max_size=6))
def test_whatever_is_viewed_the_ten_newest_products_are_kept(service: Service, requests: list[list[int]]) -> None:
    owner = service.create()
    for request in requests:
        answer = view(service, owner, *({"productId": str(product)} for product in request))
    newest = list(dict.fromkeys(str(p) for request in reversed(requests) for p in reversed(request)))
    assert [found["productId"] for found in answer.json["views"]] == newest[:10]


@pytest.mark.parametrize(
    ("views", "pointer"),
    [
        ([], "/views"),
        ([{"productId": "p-1"}] * 101, "/views"),
        ([{"productId": "p-1"}, {}], "/views/1/productId"),
        ([{"productId": 7}], "/views/0/productId"),
        ([{"productId": ""}], "/views/0/productId"),
        ([{"productId": "p-1", "n": 10**40}], "/views/0/n"),
        ([{"productId": "p-1", "x": "x" * 17_000}], "/views/0"),
        (["p-1"], "/views/0"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_views_are_named_and_none_is_kept(service: Service, owner: Owner, views: Any, pointer: str) -> None:
    answer = view(service, owner, *views)
    assert answer.problem == (422, "invalid")
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
    assert activity(service, owner)["views"] == []


# --- with the session --------------------------------------------------------------------------------


def test_parts_are_named_together(service: Service) -> None:
    owner = service.create(data={"draft": {"a": 1}})
    answer = service.call("sessions/get", "me", token=owner.token, query={"include": "data,activity"})
    assert answer.json == owner.session | {
        "data": {"draft": {"a": 1}},
        "activity": {"cartActions": [], "views": []},
    }


@pytest.mark.parametrize("include", ["activities", "data,", ",", "data,activity,everything", "DATA", ""])
def test_a_part_that_there_is_not_is_named(service: Service, owner: Owner, include: str) -> None:
    answer = service.call("sessions/get", "me", token=owner.token, query={"include": include})
    assert answer.problem == (422, "invalid")
    assert all("'data', 'messages' or 'activity'" in error["detail"] for error in answer.json["errors"])


def test_nothing_of_it_is_logged(service: Service, output: Any, owner: Owner) -> None:
    output.lines()
    set_cart(service, owner, "cart-of-ada")
    act(service, owner, {"action": "item_added", "details": {"note": "for Ada"}})
    view(service, owner, {"productId": "secret-product"})
    text = json.dumps(output.lines())
    assert [word for word in ("cart-of-ada", "for Ada", "secret-product") if word in text] == []
