"""experiments/assign: the same variation at each call, one exposure, and the fact that it becomes."""

import json
from typing import Any

import pytest

from tessera.errors import Misconfigured
from tessera.stores.attributes import encode_item
from tests.functions.service import Answer, Context, Owner, Service

DECLARED = {"button": {"variations": ["blue", "green"]}, "price": {"variations": ["a", "b"], "unit": "customer"}}


@pytest.fixture
def shop(service: Service) -> Service:
    return service.another(EXPERIMENTS=json.dumps(DECLARED))


def call(service: Service, owner: Owner, key: str = "button", **how: Any) -> Answer:
    path = {"rawPath": f"/sessions/{owner.id}/experiments/{key}"}
    named = {"pathParameters": {"sessionId": owner.id, "experiment": key}}
    return service.call("experiments/assign", token=owner.token, **path, **named, **how)


def seen(service: Service, owner: Owner, key: str = "button") -> Any:
    answer = call(service, owner, key)
    assert answer.status == 200, answer.text
    return answer.json["variation"]


def exposures(service: Service, owner: Owner) -> list[dict[str, Any]]:
    return [*service.table.query(f"SESSION#{owner.id}", "EXPOSURE#")]


def test_a_session_sees_the_same_at_each_call(shop: Service) -> None:
    owner = shop.create()
    first = call(shop, owner).json
    assert first == {"experiment": "button", "variation": first["variation"]}
    assert first["variation"] in ("blue", "green")
    assert {seen(shop, owner) for _ in range(3)} == {first["variation"]}
    assert len(exposures(shop, owner)) == 1


def test_it_sees_so_also_when_the_weights_change(shop: Service) -> None:
    owner = shop.create()
    before = seen(shop, owner)
    weights = [float(name != before) for name in ("blue", "green")]
    other = shop.another(EXPERIMENTS=json.dumps({"button": DECLARED["button"] | {"weights": weights}}))
    assert seen(other, owner) == before
    assert seen(other, other.create()) != before


def test_a_variation_that_was_taken_out_is_seen_no_more(shop: Service) -> None:
    owner = shop.create()
    seen(shop, owner)
    other = shop.another(EXPERIMENTS=json.dumps({"button": {"variations": ["red", "black"]}}))
    assert seen(other, owner) is None
    assert len(exposures(shop, owner)) == 1


def test_one_of_customers_begins_with_the_login(shop: Service) -> None:
    owner = shop.create()
    assert seen(shop, owner, "price") is None
    assert exposures(shop, owner) == []
    one, other = shop.login(owner, "c-1"), shop.login(shop.create(), "c-1")
    assert seen(shop, one, "price") == seen(shop, other, "price") != None  # noqa: E711 - the end of a chain


def test_who_is_left_out_is_not_recorded(service: Service) -> None:
    shop = service.another(EXPERIMENTS=json.dumps({"button": DECLARED["button"] | {"coverage": 0}}))
    owner = shop.create()
    assert seen(shop, owner) is None
    assert exposures(shop, owner) == []


def test_what_nobody_declared_is_404(shop: Service) -> None:
    assert call(shop, shop.create(), "other").problem == (404, "experiment-not-found")


def test_another_session_is_not_yours(shop: Service) -> None:
    owner, other = shop.create(), shop.create()
    stranger = Owner(owner.id, other.token, "", "", {})
    assert call(shop, stranger).problem == (403, "not-yours")


def test_wrong_experiments_stop_the_function(service: Service) -> None:
    with pytest.raises(Misconfigured, match="EXPERIMENTS"):
        service.another(EXPERIMENTS='{"button": {"variations": []}}').handler("experiments/assign")


@pytest.mark.parametrize("key", ["button", "price"])
def test_an_exposure_is_a_fact(shop: Service, key: str) -> None:
    owner = shop.login(shop.create(), "c-1")
    variation = seen(shop, owner, key)
    (item,) = exposures(shop, owner)
    record = {"eventName": "INSERT", "dynamodb": {"NewImage": encode_item(item), "SequenceNumber": "1"}}
    shop.handler("insights/record")({"Records": [record]}, Context())
    (fact,) = map(json.loads, shop.facts.lines)
    pseudonym = shop.graph.telemetry.pseudonym
    assert (fact["fact"], fact["name"], fact["variation"]) == ("exposure", key, variation)
    by_session = key == "button"
    assert fact["session"] == (pseudonym(owner.id) if by_session else None)
    assert fact["customer"] == (None if by_session else pseudonym("c-1"))
    assert fact["id"] == pseudonym(f"{owner.id}/{key}")
