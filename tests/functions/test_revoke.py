"""POST /tokens/revoke: this session, the customer's others, or all, at once."""

import pytest

from tessera.model.changes import Change
from tessera.stores.keys import core_key
from tests.functions.service import CSRF, Owner, Service
from tests.support.fakes import FakeClock


@pytest.fixture
def devices(service: Service, clock: FakeClock) -> list[Owner]:
    """Three sessions of one customer."""
    owners = []
    for _ in range(3):
        owner = service.create()
        clock.forward(1)
        owners.append(service.login(owner, "customer-1"))
    clock.forward(1)
    return owners


@pytest.mark.parametrize(
    ("scope", "revoked", "alive"),
    [("this", 1, [False, True, True]), ("others", 2, [True, False, False]), ("all", 3, [False, False, False])],
)
def test_what_is_revoked_is_dead_at_once(
    service: Service, devices: list[Owner], scope: str, revoked: int, alive: list[bool]
) -> None:
    stranger = service.login(service.create(), "customer-2")
    answer = service.call("tokens/revoke", token=devices[0].token, body={"scope": scope})
    assert (answer.status, answer.json) == (200, {"revoked": revoked})
    assert bool(answer.cookies) is (scope != "others")
    assert [_alive(service, owner) for owner in devices] == [(is_alive,) * 3 for is_alive in alive]
    assert _alive(service, stranger) == (True, True, True)


def test_a_session_without_a_customer_has_no_others(service: Service) -> None:
    owner = service.create()
    answer = service.call("tokens/revoke", token=owner.token, body={"scope": "others"})
    assert answer.json == {"revoked": 0}
    assert service.call("tokens/revoke", token=owner.token, body={"scope": "all"}).json == {"revoked": 1}


def test_the_session_lives_on_without_a_holder(service: Service) -> None:
    """A service can read it and log it in again."""
    owner = service.create()
    service.call("tokens/revoke", token=owner.token, body={"scope": "this"})
    assert service.call("sessions/get", owner.id, token=service.service_token()).status == 200
    assert _alive(service, service.login(owner, "customer-1")) == (True, True, True)


def test_more_devices_than_a_page(service: Service, clock: FakeClock) -> None:
    owners = [service.login(service.create(), "customer-1") for _ in range(105)]
    clock.forward(1)
    answer = service.call("tokens/revoke", token=owners[0].token, body={"scope": "others"})
    assert answer.json == {"revoked": 104}


def test_the_holder_of_an_expired_session_may_still_log_out(service: Service, clock: FakeClock) -> None:
    owner = service.create(ttlSeconds=60)
    clock.forward(61)
    answer = service.call("tokens/revoke", token=owner.token, body={"scope": "this"})
    assert answer.status == 200
    assert service.call("sessions/validate", "me", token=owner.token).problem == (401, "token-revoked")


@pytest.mark.parametrize("body", [{}, {"scope": "everything"}, {"scope": None}, {"scope": "all", "x": 1}])
def test_the_scope_is_one_of_three(service: Service, body: dict[str, object]) -> None:
    owner = service.create()
    assert service.call("tokens/revoke", token=owner.token, body=body).problem == (422, "invalid")
    assert _alive(service, owner) == (True, True, True)


def _alive(service: Service, owner: Owner) -> tuple[bool, ...]:
    """Return whether the access token, the cookie and the refresh token still open the session."""
    by_token = service.call("sessions/get", "me", token=owner.token, query={})
    by_cookie = service.call("sessions/get", "me", cookie=owner.cookie, query={})
    refreshed = service.call("tokens/refresh", body={"refreshToken": owner.refresh_token}, headers=CSRF)
    return by_token.status == 200, by_cookie.status == 200, refreshed.status == 200


def test_a_session_that_cannot_be_read_keeps_nobody_from_logging_out(
    service: Service, devices: list[Owner]
) -> None:
    """It opens to no token itself, it is not listed, and a service can delete it."""
    poisoned, *rest = devices
    service.table.update(core_key(poisoned.id), Change({("status",): "nonsense"}))
    page = service.call("sessions/list", token=rest[0].token, query={})
    assert {session["id"] for session in page.json["sessions"]} == {owner.id for owner in rest}
    assert service.call("sessions/get", "me", token=poisoned.token).problem == (500, "internal-error")
    answer = service.call("tokens/revoke", token=rest[0].token, body={"scope": "all"})
    assert (answer.status, answer.json) == (200, {"revoked": 2})
    assert service.call("sessions/delete", poisoned.id, token=service.service_token()).status == 204
    assert service.call("sessions/delete", poisoned.id, token=service.service_token()).status == 404
