"""The cookie opens what a token opens; on unsafe methods it also needs the CSRF header and an allowed Origin."""

import pytest

from tessera.tokens.cookie import NAME
from tests.functions.operations import BY_OWNER
from tests.functions.service import CSRF, ORIGIN, Owner, Service, cookie_value, owners_body

UNSAFE = ["sessions/update", "sessions/extend", "sessions/delete", "tokens/revoke"]
SAFE = ["sessions/get", "sessions/validate", "sessions/list"]


@pytest.fixture
def owner(service: Service) -> Owner:
    return service.create()


@pytest.mark.parametrize("name", SAFE)
@pytest.mark.parametrize("headers", [{}, {"origin": "https://evil.example"}], ids=repr)
def test_reading_needs_the_cookie_alone(
    service: Service, owner: Owner, name: str, headers: dict[str, str]
) -> None:
    """SameSite and the missing CORS headers keep other sites from the answer."""
    asked = "me" if name in BY_OWNER else None
    assert service.call(name, asked, cookie=owner.cookie, query={}, headers=headers).status == 200


@pytest.mark.parametrize("name", UNSAFE)
@pytest.mark.parametrize("origin", [ORIGIN, "http://localhost:8080"])
def test_writing_needs_the_header_and_an_allowed_origin(
    service: Service, owner: Owner, name: str, origin: str
) -> None:
    headers = CSRF | {"origin": origin}
    assert _write(service, owner, name, headers) in (200, 204)


@pytest.mark.parametrize("name", UNSAFE)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": ORIGIN},
        {"origin": ORIGIN, "x-tessera-csrf": ""},
        {"x-tessera-csrf": "1"},
        {"x-tessera-csrf": "1", "origin": ""},
        {"x-tessera-csrf": "1", "origin": "null"},
        {"x-tessera-csrf": "1", "origin": "https://evil.example"},
        {"x-tessera-csrf": "1", "referer": f"{ORIGIN}/cart"},
    ],
    ids=repr,
)
def test_without_them_nothing_is_written(
    service: Service, owner: Owner, name: str, headers: dict[str, str]
) -> None:
    before = service.graph.sessions.find(owner.id)
    sent = {"origin": headers.get("origin", ""), **headers}
    assert _write(service, owner, name, sent) == 403
    assert service.graph.sessions.find(owner.id) == before


def test_the_refusal_is_a_problem(service: Service, owner: Owner) -> None:
    answer = service.call("sessions/update", "me", cookie=owner.cookie)
    assert answer.problem == (403, "cross-site-request")


def test_a_token_needs_no_csrf_header_even_beside_a_cookie(service: Service, owner: Owner) -> None:
    """Who sends one means it; no other site can."""
    answer = service.call("sessions/extend", "me", token=owner.token, cookie=owner.cookie)
    assert answer.status == 200


def test_a_bad_token_is_not_rescued_by_a_good_cookie(service: Service, owner: Owner) -> None:
    answer = service.call("sessions/get", "me", token="forged", cookie=owner.cookie)
    assert answer.problem == (401, "token-invalid")


def test_the_cookie_is_found_in_the_header_too(service: Service, owner: Owner) -> None:
    """API Gateway lists cookies apart; other front ends leave them where they were."""
    context = service.authorize(cookie=f"theme=dark; {NAME}={owner.cookie}; x=y")
    assert (context["sessionId"], context["byCookie"]) == (owner.id, "1")


@pytest.mark.parametrize("name", ["tokens/revoke", "sessions/delete"])
def test_who_ends_a_session_by_cookie_loses_the_cookie(service: Service, owner: Owner, name: str) -> None:
    asked = "me" if name in BY_OWNER else None
    (cookie,) = service.call(
        name, asked, cookie=owner.cookie, headers=CSRF, query={}, body=owners_body(name)
    ).cookies
    assert cookie_value(cookie) == ""
    assert "Max-Age=0" in cookie


def test_the_cookie_says_nothing_to_others(service: Service, owner: Owner) -> None:
    assert owner.id not in owner.cookie
    assert owner.refresh_token.split(".")[-1] not in owner.cookie
    changed = owner.cookie[:-2] + ("A" if owner.cookie[-2] != "A" else "B") + owner.cookie[-1]
    assert service.call("sessions/get", "me", cookie=changed).problem == (401, "token-invalid")


def _write(service: Service, owner: Owner, name: str, headers: dict[str, str]) -> int:
    asked = "me" if name in BY_OWNER else None
    body = owners_body(name)
    return service.call(name, asked, cookie=owner.cookie, headers=headers, query={}, body=body).status
