"""ETag and If-Match: a writer may insist on the version that it knows."""

from typing import Any

import pytest

from tests.functions.service import Service
from tests.support.fakes import InterruptedStore

WRITES: dict[str, Any] = {
    "sessions/update": {"email": "ada@example.com"},
    "sessions/extend": {},
    "sessions/delete": None,
    "sessions/login": {"customerId": "customer-0"},
    "conversations/append": {"messages": [{"role": "user", "content": "Hello"}]},
    "conversations/pop": None,
    "conversations/clear": None,
    "activity/cart": {"cartId": "cart-1"},
    "activity/views": {"views": [{"productId": "p-1"}]},
}


@pytest.mark.parametrize(("name", "body"), WRITES.items())
@pytest.mark.parametrize("if_match", ['"2"', "*", '"1", "2"', '"1","2"'])
def test_the_version_that_is_there_may_be_changed(service: Service, name: str, body: Any, if_match: str) -> None:
    assert _write(service, name, body, if_match).status in (200, 201, 204)


@pytest.mark.parametrize(("name", "body"), WRITES.items())
@pytest.mark.parametrize("if_match", ['"1"', '"3"', "2", 'W/"2"', "nonsense", '"1", "3"', ""])
def test_another_version_is_refused_and_the_present_one_told(
    service: Service, name: str, body: Any, if_match: str
) -> None:
    answer = _write(service, name, body, if_match)
    assert answer.problem == (412, "precondition-failed")
    assert answer.json["version"] == 2
    (owned,) = service.call(
        "sessions/list", token=service.service_token(), query={"customerId": "customer-0"}
    ).json["sessions"]
    assert owned["version"] == 2


def test_of_two_that_insist_on_the_same_version_one_succeeds(service: Service) -> None:
    owner = service.create()
    answers = [
        service.call(
            "sessions/update", "me", token=owner.token, body={"amount": n}, headers={"if-match": '"1"'}
        ).status
        for n in range(2)
    ]
    assert answers == [200, 412]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        write
        for write in WRITES.items()
        if write[0] not in ("sessions/delete", "conversations/pop", "conversations/clear")
    ],
)
def test_also_when_the_other_comes_between_reading_and_writing(service: Service, name: str, body: Any) -> None:
    """Both have read the same version; the second is written while the first is about to be.

    Of deletion see test_sessions.py; of an empty conversation nothing is taken and nothing ends.
    """
    owner = service.login(service.create(), "customer-0")
    token, headers = service.service_token(), {"if-match": '"2"'}
    others: list[int] = []

    def come_between() -> None:
        if not others:
            body = {"messages": [{"role": "user", "content": "Hello"}]}
            answer = service.call("conversations/append", owner.id, token=token, body=body, headers=headers)
            others.append(answer.status)

    interrupted = InterruptedStore(service.table, "update", come_between)
    slow = Service(service.clock, service.secret, InterruptedStore(interrupted, "transact", come_between))
    answer = slow.call(name, owner.id, token=token, body=body, headers=headers)
    assert (answer.problem, others) == ((412, "precondition-failed"), [201])
    assert answer.json["version"] == 3
    assert service.graph.sessions.find(owner.id).session.version == 3


def _write(service: Service, name: str, body: Any, if_match: str) -> Any:
    owner = service.login(service.create(), "customer-0")
    return service.call(name, owner.id, token=service.service_token(), body=body, headers={"if-match": if_match})
