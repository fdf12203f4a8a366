"""POST /tokens/refresh: each refresh token once, but twenty tabs at once are one; a stolen one ends them all."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from tessera.stores.memory import MemoryTable
from tessera.tokens.keyring import rotated
from tests.functions.conftest import Output
from tests.functions.service import CSRF, ORIGIN, UNKNOWN, Owner, Service, cookie_value
from tests.support.fakes import FakeClock, FakeSecret, InterruptedStore


@pytest.fixture
def owner(service: Service) -> Owner:
    return service.create()


def test_a_refresh_gives_new_tokens_and_slides(service: Service, owner: Owner, clock: FakeClock) -> None:
    clock.forward(600)
    answer = _refresh(service, owner.refresh_token)
    assert answer.status == 200
    assert answer.json.keys() == {"accessToken", "refreshToken", "expiresIn"}
    assert answer.json["refreshToken"] != owner.refresh_token
    assert answer.cookies == []
    read = service.call("sessions/get", "me", token=answer.json["accessToken"], query={})
    assert read.json["expiresAt"] > owner.session["expiresAt"]


def test_tokens_rotate_for_as_long_as_the_session_lives(service: Service, owner: Owner, clock: FakeClock) -> None:
    token = owner.refresh_token
    for _ in range(10):
        clock.forward(29 * 60)
        answer = _refresh(service, token)
        assert answer.status == 200
        token = answer.json["refreshToken"]


def test_the_older_access_token_lives_on(service: Service, owner: Owner) -> None:
    """A rotation is no logout: the other tabs go on with what they have."""
    _refresh(service, owner.refresh_token)
    assert service.call("sessions/get", "me", token=owner.token).status == 200


def test_within_the_grace_the_same_token_has_the_same_successor(
    service: Service, owner: Owner, clock: FakeClock
) -> None:
    successors = set()
    for _ in range(4):
        successors.add(_refresh(service, owner.refresh_token).json["refreshToken"])
        clock.forward(10)
    assert len(successors) == 1
    assert _refresh(service, successors.pop()).status == 200


def test_twenty_tabs_at_once_get_one_successor(service: Service, owner: Owner) -> None:
    """Each tab in a container of its own; all of them present the same token at the same moment."""
    containers = [service.another() for _ in range(20)]
    for container in containers:
        container.handler("tokens/refresh")
    barrier = Barrier(20)

    def refresh(container: Service) -> Any:
        barrier.wait()
        return _refresh(container, owner.refresh_token)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(refresh, containers))
    assert {answer.status for answer in answers} == {200}
    (successor,) = {answer.json["refreshToken"] for answer in answers}
    record = service.graph.sessions.find(owner.id)
    assert record.refresh
    assert record.refresh.generation == 1
    assert _refresh(service, successor).status == 200


def test_who_loses_the_race_gets_what_the_winner_got(service: Service, owner: Owner, clock: FakeClock) -> None:
    """Between its read and its write another container has rotated."""
    won: list[str] = []

    def meanwhile() -> None:
        won.append(_refresh(service, owner.refresh_token).json["refreshToken"])

    loser = Service(clock, service.secret, InterruptedStore(service.table, "update", meanwhile))
    lost = _refresh(loser, owner.refresh_token)
    assert lost.json["refreshToken"] == won[0]


@pytest.mark.parametrize("later", [31, 600])
def test_reuse_after_the_grace_revokes_everything(
    service: Service, output: Output, owner: Owner, clock: FakeClock, later: int
) -> None:
    """The thief or the owner was first; nobody knows which, so that both are out."""
    successor = _refresh(service, owner.refresh_token).json
    clock.forward(later)
    output.lines()
    assert _refresh(service, owner.refresh_token).problem == (401, "token-revoked")
    warnings = [line for line in output.logs() if line["level"] == "WARNING"]
    assert [line["message"] for line in warnings] == ["refresh token reused"]
    assert owner.id not in repr(warnings)
    assert _refresh(service, successor["refreshToken"]).problem == (401, "token-revoked")
    for token in (owner.token, successor["accessToken"]):
        assert service.call("sessions/get", "me", token=token).problem == (401, "token-revoked")
    assert service.call("sessions/get", "me", cookie=owner.cookie).problem == (401, "token-revoked")


def test_the_grace_ends_after_thirty_seconds(service: Service, owner: Owner, clock: FakeClock) -> None:
    _refresh(service, owner.refresh_token)
    clock.forward(30)
    assert _refresh(service, owner.refresh_token).status == 200
    clock.forward(ms=1)
    assert _refresh(service, owner.refresh_token).problem == (401, "token-revoked")


@pytest.mark.parametrize(
    "token",
    ["", "nonsense", f"{UNKNOWN}.0", f"{UNKNOWN}.x.{'a' * 43}", f"{UNKNOWN}.0.{'a' * 42}", f"ses_x.0.{'a' * 43}"],
)
def test_what_is_no_refresh_token_is_invalid(service: Service, token: str) -> None:
    assert _refresh(service, token).problem == (401, "token-missing" if not token else "token-invalid")


@pytest.mark.parametrize("generation", ["0", "1", "7", "999999999"])
def test_a_made_up_token_revokes_nothing(service: Service, owner: Owner, generation: str) -> None:
    """Otherwise whoever knows an id could log its owner out."""
    _refresh(service, owner.refresh_token)
    made_up = f"{owner.id}.{generation}.{'a' * 43}"
    assert _refresh(service, made_up).problem == (401, "token-revoked")
    assert service.call("sessions/get", "me", token=owner.token).status == 200


def test_a_token_of_a_later_generation_is_none_of_ours(service: Service, owner: Owner) -> None:
    session_id, _, secret = owner.refresh_token.split(".")
    assert _refresh(service, f"{session_id}.1.{secret}").problem == (401, "token-revoked")


def test_unknown_and_deleted_sessions_are_revoked(service: Service, owner: Owner) -> None:
    service.call("sessions/delete", "me", token=owner.token)
    for token in (owner.refresh_token, f"{UNKNOWN}.0.{'a' * 43}"):
        assert _refresh(service, token).problem == (401, "token-revoked")


def test_an_expired_session_is_not_refreshed(service: Service, clock: FakeClock) -> None:
    owner = service.create(ttlSeconds=60)
    clock.forward(60)
    assert _refresh(service, owner.refresh_token).problem == (404, "session-expired")


def test_the_cookie_refreshes_itself(service: Service, owner: Owner) -> None:
    answer = service.call("tokens/refresh", cookie=owner.cookie, headers=CSRF, body={})
    assert answer.status == 200
    (cookie,) = answer.cookies
    assert cookie_value(cookie) != owner.cookie
    again = service.call("tokens/refresh", cookie=cookie_value(cookie), headers=CSRF, body=None)
    assert again.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": ""},
        {"origin": ORIGIN},
        {"x-tessera-csrf": "1", "origin": ""},
        CSRF | {"origin": "https://evil.example"},
    ],
    ids=repr,
)
def test_the_cookie_needs_what_every_write_by_cookie_needs(
    service: Service, owner: Owner, headers: dict[str, str]
) -> None:
    answer = service.call("tokens/refresh", cookie=owner.cookie, headers=headers, body={})
    assert answer.problem == (403, "cross-site-request")


def test_neither_token_nor_cookie_is_missing(service: Service) -> None:
    assert service.call("tokens/refresh", body={}).problem == (401, "token-missing")
    assert service.call("tokens/refresh", cookie="forged", headers=CSRF, body={}).problem == (401, "token-invalid")


@pytest.mark.parametrize("dead", [None, "signed.by.nobody"])
def test_a_dead_access_token_does_not_stand_in_the_way(
    service: Service, owner: Owner, clock: FakeClock, dead: str | None
) -> None:
    """Neither one past its time nor one whose key has left the ring."""
    clock.forward(15 * 60)
    token = dead or owner.token
    assert _refresh(service, owner.refresh_token, token=token).status == 200
    by_cookie = service.call("tokens/refresh", token=token, cookie=owner.cookie, headers=CSRF, body={})
    assert by_cookie.status == 200


def test_tokens_survive_a_rotation_of_the_keys(output: Output, clock: FakeClock) -> None:  # noqa: ARG001 - same
    secret = FakeSecret()
    service = Service(clock, secret, MemoryTable())
    owner = service.create()
    secret.ring = rotated(secret.ring, clock())
    clock.forward(20)
    new = service.another()
    new.handler("tokens/refresh").container.graph().keys.ring(fresh=True)
    answer = _refresh(new, owner.refresh_token)
    assert answer.status == 200
    assert new.call("sessions/get", "me", token=owner.token).status == 200
    assert new.call("sessions/get", "me", cookie=owner.cookie).status == 200
    assert new.call("sessions/get", "me", token=answer.json["accessToken"]).status == 200


def _refresh(service: Service, refresh_token: str, **options: Any) -> Any:
    return service.call("tokens/refresh", body={"refreshToken": refresh_token}, **options)
