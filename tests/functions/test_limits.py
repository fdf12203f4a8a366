"""Rate limits: so many creations of an address, so many requests of a session, none for services."""

import re
from typing import Any

import pytest

from tessera.errors import Unavailable
from tessera.http.idempotency import fingerprint
from tessera.model.changes import Change
from tessera.stores.memory import MemoryTable
from tessera.stores.table import Item, Key
from tests.functions.operations import LIMITED, ON_A_SESSION, OPTIONAL
from tests.functions.service import Answer, Service, sample
from tests.support.fakes import FakeClock


@pytest.fixture
def limited(service: Service) -> Service:
    return service.another(RATE_LIMITS="on", CREATIONS_PER_MINUTE="3", REQUESTS_PER_MINUTE="25")


def test_an_address_creates_so_many_sessions_a_minute(limited: Service, clock: FakeClock) -> None:
    answers = [limited.call("sessions/create") for _ in range(4)]
    assert [answer.status for answer in answers] == [201, 201, 201, 429]
    assert [answer.headers["RateLimit"] for answer in answers] == [
        '"creations";r=2;t=40',
        '"creations";r=1;t=40',
        '"creations";r=0;t=40',
        '"creations";r=0;t=40',
    ]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"creations";q=3;w=60'}
    assert answers[-1].problem == (429, "too-many-requests")
    assert answers[-1].headers["Retry-After"] == "40"
    assert answers[-1].json["policy"] == "creations"
    clock.forward(40)
    assert limited.call("sessions/create").status == 201


def test_another_address_has_its_own_limit(limited: Service) -> None:
    for _ in range(4):
        limited.call("sessions/create")
    assert _from(limited, "198.51.100.9").status == 201


def test_the_address_is_the_gateways_not_the_callers(limited: Service) -> None:
    for number in range(4):
        answer = limited.call("sessions/create", headers={"x-forwarded-for": f"198.51.100.{number}"})
    assert answer.status == 429


def test_the_address_is_stored_as_a_hash(limited: Service) -> None:
    limited.call("sessions/create")
    address = sample("sessions/create")["requestContext"]["http"]["sourceIp"]
    hashed = fingerprint(limited.graph, "address", address)
    assert [item["count"] for item in limited.table.query(f"RATE#creations#{hashed}")] == [1]
    assert not [*limited.table.query(f"RATE#creations#{address}")]


def test_all_containers_count_together(limited: Service) -> None:
    services = [limited, limited.another(), limited.another()]
    statuses = [services[number % 3].call("sessions/create").status for number in range(4)]
    assert statuses == [201, 201, 201, 429]


def test_a_session_makes_so_many_requests_a_minute(limited: Service, clock: FakeClock) -> None:
    owner, other = limited.create(), limited.create()
    answers = [limited.call("sessions/get", "me", token=owner.token, query={}) for _ in range(26)]
    assert [answer.status for answer in answers] == [200] * 25 + [429]
    assert answers[0].headers["RateLimit"] == '"requests";r=24;t=40'
    assert answers[0].headers["RateLimit-Policy"] == '"requests";q=25;w=60'
    assert re.fullmatch(r"[1-9]\d*", answers[-1].headers["Retry-After"])
    assert limited.call("sessions/get", "me", token=other.token).status == 200
    clock.forward(40)
    assert limited.call("sessions/get", "me", token=owner.token).status == 200


def test_a_refused_request_does_nothing(limited: Service) -> None:
    owner = limited.create()
    statuses = [
        limited.call("sessions/update", "me", token=owner.token, body={"amount": n}).status for n in range(26)
    ]
    assert statuses[-1] == 429
    assert limited.graph.sessions.find(owner.id).session.amount == 24


def test_services_have_none(limited: Service) -> None:
    token = limited.service_token()
    for _ in range(30):
        assert limited.call("sessions/create", token=token).status == 201
        answer = limited.call("sessions/list", token=token)
        assert answer.status == 200
        assert "RateLimit" not in answer.headers


def test_off_means_off(service: Service) -> None:
    off = service.another(CREATIONS_PER_MINUTE="1")
    answers = [off.call("sessions/create") for _ in range(3)]
    assert {answer.status for answer in answers} == {201}
    assert "RateLimit" not in answers[0].headers


@pytest.mark.parametrize("name", LIMITED)
@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"text": "{"},
        {"body": {"unknown": 1}},
        {"headers": {"content-type": "text/html"}},
        {"headers": {"idempotency-key": ""}},
    ],
    ids=repr,
)
def test_every_answer_behind_the_limit_tells_what_is_left(
    limited: Service, name: str, sent: dict[str, Any]
) -> None:
    """Good or bad; that the document says so, `call` sees to."""
    token = None if name == OPTIONAL else limited.create().token
    own = "me" if name in ON_A_SESSION else None
    answer = limited.call(name, own, token=token, **sent)
    assert answer.headers.keys() >= {"RateLimit", "RateLimit-Policy"}


@pytest.mark.parametrize("name", ["operations/health", "tokens/keys", "operations/openapi", "tokens/refresh"])
def test_what_knows_no_caller_is_not_counted(limited: Service, name: str) -> None:
    answers = [limited.call(name) for _ in range(30)]
    assert len({answer.status for answer in answers}) == 1
    assert not {"RateLimit", "RateLimit-Policy"} & answers[0].headers.keys()


class Uncounting(MemoryTable):
    """A table that takes everything but the counts of the rate limits."""

    def update(self, key: Key, change: Change) -> Item:
        if key.pk.startswith("RATE#"):
            raise Unavailable
        return super().update(key, change)


def test_a_limit_that_cannot_be_counted_limits_nobody(service: Service) -> None:
    """A failing table must not turn what L1 could answer into a 503."""
    service.table = Uncounting()
    limited = service.another(RATE_LIMITS="on", CREATIONS_PER_MINUTE="2")
    assert [limited.call("sessions/create").status for _ in range(2)] == [201, 201]


def _from(service: Service, address: str) -> Answer:
    request = sample("sessions/create")["requestContext"]
    request["http"]["sourceIp"] = address
    return service.call("sessions/create", requestContext=request)
