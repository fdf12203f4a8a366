"""insights/record: what the table's stream tells of becomes facts, at least once, with ids that stay the same."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tessera.errors import Misconfigured, Throttled, Unavailable
from tessera.stores.attributes import encode_item
from tessera.stores.facts import Fact
from tests.functions.conftest import Output
from tests.functions.service import Context, Owner, Service, sample
from tests.support.fakes import START

CLEAN: dict[str, Any] = {"batchItemFailures": []}


def stream(service: Service, owner: Owner, event: str = "INSERT") -> list[dict[str, Any]]:
    """Return the items of a session as the stream tells of them."""
    return [
        {
            "eventID": f"event-{place}",
            "eventName": event,
            "dynamodb": {"NewImage": encode_item(item), "SequenceNumber": str(1_000 + place)},
        }
        for place, item in enumerate(service.table.query(f"SESSION#{owner.id}"))
    ]


def record(service: Service, records: Sequence[Any]) -> Any:
    return service.handler("insights/record")({"Records": list(records)}, Context())


def facts(service: Service) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.facts.lines]


@pytest.fixture
def owner(service: Service) -> Owner:
    owner = service.login(service.create(kind="checkout", amount=4200, currency="EUR"), "customer-1")
    service.call("activity/cart", owner.id, token=service.service_token(), body={"cartId": "cart-1?key=secret"})
    service.call(
        "activity/cart",
        owner.id,
        route="POST /sessions/{sessionId}/cart/actions",
        token=service.service_token(),
        body={"actions": [{"action": "item_added", "details": {"productId": "p-1"}}, {"action": "item_removed"}]},
    )
    return owner


def test_a_session_and_its_cart_actions_are_facts(service: Service, owner: Owner) -> None:
    assert record(service, stream(service, owner)) == CLEAN
    pseudonym = service.graph.telemetry.pseudonym
    who = {"session": pseudonym(owner.id), "customer": pseudonym("customer-1"), "at_ms": START}
    found = facts(service)
    carts = [fact for fact in found if fact["fact"] == "cart"]
    (session,) = [fact for fact in found if fact["fact"] == "session"]
    assert session == who | {
        "fact": "session",
        "id": pseudonym(owner.id),
        "name": "checkout",
        "cart": "cart-1",
        "variation": None,
        "details": '{"amount":4200,"currency":"EUR"}',
    }
    assert [(fact["name"], fact["cart"], fact["details"]) for fact in carts] == [
        ("cart_initialized", "cart-1", "{}"),
        ("item_added", "cart-1", '{"productId":"p-1"}'),
        ("item_removed", "cart-1", "{}"),
    ]
    assert all(fact.items() >= who.items() for fact in carts)
    assert len({fact["id"] for fact in found}) == 4


def test_a_record_that_comes_again_is_the_same_fact(service: Service, owner: Owner) -> None:
    for _ in range(2):
        record(service, stream(service, owner))
    found = facts(service)
    assert found[:4] == found[4:]


def test_no_id_is_told(service: Service, owner: Owner, output: Output) -> None:
    output.lines()
    record(service, stream(service, owner))
    text = "".join(service.facts.lines) + json.dumps(output.lines())
    assert [word for word in (owner.id, "customer-1", "secret") if word in text] == []


@pytest.mark.parametrize("event", ["MODIFY", "REMOVE"])
def test_changes_and_ends_are_no_facts(service: Service, owner: Owner, event: str) -> None:
    assert record(service, stream(service, owner, event)) == CLEAN
    assert facts(service) == []


def test_what_else_lies_in_the_table_is_none(service: Service) -> None:
    owner = service.create(data={"draft": {}})
    service.call("activity/views", owner.id, token=owner.token)
    assert record(service, stream(service, owner)) == CLEAN
    assert [fact["fact"] for fact in facts(service)] == ["session"]


def test_the_sample_is_of_a_session_and_an_action(service: Service, output: Output) -> None:
    output.lines()
    assert service.handler("insights/record")(sample("insights/record"), Context()) == CLEAN
    assert [fact["fact"] for fact in facts(service)] == ["session", "cart"]
    assert output.metrics()["FactsRecorded"] == [2]


@pytest.mark.parametrize("error", [Throttled, Unavailable])
def test_where_facts_are_not_taken_the_batch_comes_again(
    service: Service, owner: Owner, output: Output, error: type[Exception]
) -> None:
    service.graph.facts = _Refusing(error())  # a cached property: this is what it holds from now on
    output.lines()
    assert record(service, stream(service, owner)) == {"batchItemFailures": [{"itemIdentifier": "1000"}]}
    assert "FactsRecorded" not in output.metrics()


def test_what_no_retry_helps_is_an_error_of_the_function(service: Service, owner: Owner) -> None:
    service.graph.facts = _Refusing(Misconfigured("no stream"))
    with pytest.raises(Misconfigured):
        record(service, stream(service, owner))


@pytest.mark.parametrize(
    "broken",
    [
        {"sk": {"S": "CORE"}},
        {"pk": {"S": "SESSION#x"}, "sk": {"S": "ACT#x"}, "type": {"S": "cart"}},
        {"pk": {"S": "SESSION#x"}, "sk": {"S": "ACT#x"}, "type": {"S": "cart"}, "actions": {"L": [{"S": "ada"}]}},
        {"sk": {"S": "CORE"}, "id": {"N": "7"}, "kind": {"S": "chat"}, "createdAt": {"N": "1"}},
        {"sk": {"S": "CORE"}, "id": {"S": "x"}, "kind": {"S": "chat"}, "createdAt": {"S": "ada"}},
        {"sk": {"N": "ada"}},
        {"sk": {"N": "1"}},
        {},
    ],
    ids=repr,
)
def test_what_cannot_be_read_is_told_and_holds_up_nothing(
    service: Service, owner: Owner, output: Output, broken: Any
) -> None:
    output.lines()
    poisoned = {"eventID": "event-x", "eventName": "INSERT", "dynamodb": {"NewImage": broken}}
    assert record(service, [poisoned, *stream(service, owner)]) == CLEAN
    assert len(facts(service)) == 4
    lines = output.lines()
    (told,) = [line for line in lines if line.get("message") == "poisoned record"]
    assert (told["level"], told["event_id"]) == ("ERROR", "event-x")
    assert "ada" not in json.dumps(lines)
    assert next(line["Errors"] for line in lines if "Errors" in line) == [1]


class _Refusing:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def put(self, facts: Sequence[Fact]) -> None:  # noqa: ARG002 - the signature of Facts
        raise self._error
