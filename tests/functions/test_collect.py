"""POST /events: standard Web Pixel events become facts, all of a batch or none."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessera.errors import Throttled
from tessera.stores.facts import Fact
from tests.functions.conftest import Output
from tests.functions.service import Answer, Service
from tests.support.fakes import FakeClock
from tests.support.pixels import EVENTS, PERSONAL, SECRETS, event

BAD: list[Any] = [
    {},
    {"name": "cart_burnt"},
    event("page_viewed") | {"id": None},
    event("product_viewed", data={}),
    event("cart_viewed", data={"cart": {"cost": {"totalAmount": {"amount": "1", "currencyCode": "EUR"}}}}),
    "page_viewed",
]


def collect(service: Service, *events: Any, token: str | None = None, **how: Any) -> Answer:
    return service.call(
        "activity/collect", token=token or service.service_token(), body={"events": list(events)}, **how
    )


def facts(service: Service) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.facts.lines]


def test_every_standard_event_is_taken(service: Service, output: Output) -> None:
    output.lines()
    answer = collect(service, *map(event, EVENTS))
    assert (answer.status, answer.json) == (202, {"accepted": len(EVENTS)})
    assert [fact["name"] for fact in facts(service)] == [*EVENTS]
    assert output.metrics()["EventsAccepted"] == [len(EVENTS)]


def test_an_event_of_a_session_is_a_fact_of_it(service: Service) -> None:
    owner = service.login(service.create(cartId="gid://shopify/Cart/cart-1?key=secret"), "customer-1")
    collect(service, event("product_viewed"), token=owner.token)
    (fact,) = facts(service)
    pseudonym = service.graph.telemetry.pseudonym
    assert fact["fact"] == "event"
    assert fact["name"] == "product_viewed"
    assert (fact["session"], fact["customer"]) == (pseudonym(owner.id), pseudonym("customer-1"))
    assert fact["at_ms"] == 1_795_168_800_000
    assert fact["cart"] == "gid://shopify/Cart/cart-1"
    details = json.loads(fact["details"])
    assert details["clientId"] == pseudonym("client-1")
    assert details["seq"] == 3
    assert details["data"]["productVariant"]["price"] == {"amount": 42.5, "currencyCode": "EUR"}


def test_an_event_of_a_service_is_of_no_session(service: Service) -> None:
    collect(service, event("cart_viewed"))
    (fact,) = facts(service)
    assert (fact["session"], fact["customer"], fact["cart"]) == (None, None, "gid://shopify/Cart/cart-1")


def test_the_same_event_has_the_same_id_whenever_it_comes(service: Service, clock: FakeClock) -> None:
    """So that those that are sent twice count once, and nobody takes the id of another's."""
    one, other = service.create(), service.create()
    for owner in (one, one, other):
        collect(service, event("page_viewed"), token=owner.token)
        clock.forward(1)
    first, again, foreign = (fact["id"] for fact in facts(service))
    assert first == again != foreign


def test_nothing_personal_gets_into_the_facts_or_the_log(service: Service, output: Output) -> None:
    owner = service.login(service.create(email="ada@example.com"), "customer-77")
    output.lines()
    collect(service, *map(event, EVENTS), token=owner.token)
    text = "".join(service.facts.lines) + json.dumps(output.lines())
    assert [word for word in (*PERSONAL, *SECRETS, owner.id) if word in text] == []


def test_events_are_no_activity_of_the_session(service: Service, clock: FakeClock) -> None:
    owner = service.create()
    clock.forward(60)
    assert collect(service, event("page_viewed"), token=owner.token).status == 202
    assert service.call("sessions/get", "me", token=owner.token, query={}).json == owner.session


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    good=st.lists(st.sampled_from([*EVENTS]), max_size=6),
    bad=st.lists(st.tuples(st.integers(0, 6), st.sampled_from(range(len(BAD)))), min_size=1, max_size=3),
)
def test_a_batch_with_a_wrong_event_changes_nothing_and_names_each(
    service: Service, good: list[str], bad: list[tuple[int, int]]
) -> None:
    batch: list[Any] = [event(name) for name in good]
    for place, number in bad:
        batch.insert(place, BAD[number])
    answer = collect(service, *batch)
    assert answer.problem == (422, "invalid")
    named = {error["pointer"].split("/")[2] for error in answer.json["errors"]}
    assert named == {str(place) for place, sent in enumerate(batch) if sent in BAD}
    assert service.facts.lines == []


@pytest.mark.parametrize(
    ("wrong", "pointer", "detail"),
    [
        ({"name": "cart_burnt"}, "/events/1", "'name' must be one of 'page_viewed'"),
        ({"id": "e"}, "/events/1", "'name' is missing"),
        (event("product_viewed", data={}), "/events/1/data/productVariant", "Field required"),
        (
            event("product_viewed", data={"productVariant": {"id": "v", "price": {"amount": "s3cret"}}}),
            "/events/1/data/productVariant/price/amount",
            "valid number",
        ),
        (event("page_viewed", timestamp="s3cret"), "/events/1/timestamp", "RFC 3339"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_event_is_named_and_not_repeated(service: Service, wrong: Any, pointer: str, detail: str) -> None:
    answer = collect(service, event("page_viewed"), wrong)
    first = answer.json["errors"][0]
    assert first["pointer"] == pointer
    assert detail in first["detail"]
    assert "s3cret" not in answer.text


@pytest.mark.parametrize("number", [0, 101])
def test_a_batch_has_one_to_a_hundred_events(service: Service, number: int) -> None:
    assert collect(service, *[event("page_viewed")] * number).problem == (422, "invalid")


def test_where_facts_are_not_taken_one_may_try_again(service: Service, output: Output) -> None:
    service.graph.facts = _Full()  # a cached property: this is what it holds from now on
    output.lines()
    answer = collect(service, event("page_viewed"))
    assert answer.problem == (503, "throttled")
    assert answer.headers["Retry-After"]
    assert "EventsAccepted" not in output.metrics()


def test_an_ended_session_sends_nothing(service: Service, clock: FakeClock) -> None:
    """Not from L1 either: revocation is immediate."""
    cached = service.another(KINDS='{"auth": {"cacheSeconds": 2}}')
    owner = cached.create()
    cached.call("sessions/get", "me", token=owner.token, query={})
    clock.forward(1)
    service.login(owner, "customer-1")
    assert collect(cached, event("page_viewed"), token=owner.token).problem == (401, "token-revoked")
    assert service.facts.lines == []


class _Full:
    def put(self, facts: list[Fact]) -> None:  # noqa: ARG002 - the signature of Facts
        raise Throttled
