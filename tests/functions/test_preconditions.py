"""ETag and If-Match: a writer may insist on the version that it knows."""

from typing import Any

import pytest

from tests.functions.service import Service

WRITES: dict[str, Any] = {
    "sessions/update": {"email": "ada@example.com"},
    "sessions/extend": {},
    "sessions/delete": None,
    "sessions/login": {"customerId": "customer-0"},
    "activity/cart": {"cartId": "cart-1"},
    "activity/views": {"views": [{"productId": "p-1"}]},
}


@pytest.mark.parametrize(("name", "body"), WRITES.items())
@pytest.mark.parametrize("if_match", ['"2"', "*", '"1", "2"', '"1","2"'])
def test_the_version_that_is_there_may_be_changed(service: Service, name: str, body: Any, if_match: str) -> None:
    assert _write(service, name, body, if_match).status in (200, 204)


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


def _write(service: Service, name: str, body: Any, if_match: str) -> Any:
    owner = service.login(service.create(), "customer-0")
    return service.call(name, owner.id, token=service.service_token(), body=body, headers={"if-match": if_match})
