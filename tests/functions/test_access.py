"""Who may do what: nobody by default, services by their scopes, a session itself alone."""

from typing import Any

import pytest

from tessera.model.caller import REFUSALS
from tests.functions.operations import BY_OWNER, ON_A_SESSION, PROTECTED
from tests.functions.service import UNKNOWN, Owner, Service, owners_body
from tests.support.fakes import FakeClock
from tests.support.records import session

SCOPES = {
    "sessions/get": "sessions:read",
    "sessions/list": "sessions:read",
    "sessions/validate": "sessions:read",
    "sessions/update": "sessions:write",
    "sessions/delete": "sessions:write",
    "sessions/extend": "sessions:write",
    "sessions/login": "sessions:write",
    "sessions/create": "sessions:write",
    "tokens/revoke": "sessions:read",
    "data/save": "sessions:write",
    "data/load": "sessions:read",
    "data/patch": "sessions:write",
    "data/remove": "sessions:write",
    "conversations/append": "sessions:write",
    "conversations/read": "sessions:read",
    "conversations/clear": "sessions:write",
    "conversations/pop": "sessions:write",
    "conversations/recall": "sessions:read",
    "flows/advance": "sessions:write",
    "flows/checkout": "sessions:write",
    "flows/upsell": "sessions:write",
    "activity/cart": "sessions:write",
    "activity/views": "sessions:write",
    "activity/collect": "sessions:write",
    "operations/metrics": "admin",
}


@pytest.mark.parametrize("name", PROTECTED)
@pytest.mark.parametrize(
    "authorizer",
    [
        None,
        {},
        {"lambda": None},
        {"lambda": {}},
        {"lambda": {"principalId": "somebody"}},
        {"lambda": {"epoch": "7", "scopes": "admin"}},
        {"lambda": {"epoch": "no number"}},
        {"jwt": {"claims": {"sub": UNKNOWN}}},
        {"iam": {"userId": "somebody"}},
    ],
    ids=repr,
)
def test_without_the_word_of_our_authorizer_nobody_gets_in(service: Service, name: str, authorizer: Any) -> None:
    assert service.call(name, authorizer=authorizer).problem == (401, "token-missing")


@pytest.mark.parametrize("name", PROTECTED)
@pytest.mark.parametrize("refusal", [*REFUSALS, "of-another-version"])
def test_each_refusal_of_the_authorizer_is_a_problem(service: Service, name: str, refusal: str) -> None:
    answer = service.call(name, authorizer={"lambda": {"refusal": refusal}})
    assert answer.problem == (401, refusal if refusal in REFUSALS else "token-invalid")


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ({}, "token-missing"),
        ({"authorization": "Bearer "}, "token-invalid"),
        ({"authorization": "Bearer no.token.atall"}, "token-invalid"),
        ({"authorization": "Basic dXNlcjpwYXNz"}, "token-invalid"),
        ({"cookie": "__Host-tessera=forged"}, "token-invalid"),
        ({"cookie": "theme=dark"}, "token-missing"),
    ],
)
def test_the_authorizer_says_what_is_wrong(service: Service, headers: dict[str, str], refusal: str) -> None:
    assert service.authorize(**headers)["refusal"] == refusal


def test_an_access_token_ends_after_fifteen_minutes(service: Service, clock: FakeClock) -> None:
    owner = service.create()
    clock.forward(15 * 60 - 1)
    assert service.call("sessions/get", "me", token=owner.token, query={}).status == 200
    clock.forward(1)
    assert service.call("sessions/get", "me", token=owner.token).problem == (401, "token-expired")


def test_a_token_of_tomorrow_is_not_valid_today(service: Service, clock: FakeClock) -> None:
    owner = service.create()
    clock.forward(-60)
    assert service.call("sessions/get", "me", token=owner.token).problem == (401, "token-invalid")


@pytest.mark.parametrize(("name", "scope"), SCOPES.items())
def test_a_service_needs_the_scope(service: Service, name: str, scope: str) -> None:
    others = {"sessions:read", "sessions:write", "customers:write", "agents:write", "system:write"} - {scope}
    answer = service.call(name, token=service.service_token(*others))
    assert answer.problem == (403, "scope-missing")
    assert answer.json["scope"] == scope


@pytest.mark.parametrize(("name", "scope"), SCOPES.items())
@pytest.mark.parametrize("admin", [False, True])
def test_the_scope_is_enough_and_admin_implies_it(service: Service, name: str, scope: str, *, admin: bool) -> None:
    token = service.service_token("admin" if admin else scope)
    assert service.call(name, token=token).status not in (401, 403)


@pytest.mark.parametrize("name", ["sessions/login", "operations/metrics"])
def test_some_operations_are_for_services_alone(service: Service, name: str) -> None:
    owner = service.create()
    assert service.call(name, owner.id, token=owner.token).problem == (403, "scope-missing")


@pytest.mark.parametrize("name", ["sessions/get", "sessions/update", "tokens/revoke"])
def test_a_service_has_no_session_of_its_own(service: Service, name: str) -> None:
    token = service.service_token()
    assert service.call(name, "me", token=token).problem == (404, "session-not-found")


@pytest.mark.parametrize("name", ON_A_SESSION)
@pytest.mark.parametrize("unknown", [UNKNOWN, "nonsense", "legacy-7", "ses_", "ses_UPPER", "ä", "a b"])
def test_to_a_service_unknown_and_malformed_ids_are_not_found(service: Service, name: str, unknown: str) -> None:
    answer = service.call(name, unknown, token=service.service_token())
    assert answer.problem == (404, "session-not-found")


@pytest.mark.parametrize("name", BY_OWNER)
@pytest.mark.parametrize("form", ["id", "me", "alias"])
def test_a_session_reaches_itself(service: Service, name: str, form: str) -> None:
    owner, alias = _with_alias(service, kind="form" if name == "flows/advance" else "auth")
    service.call("data/save", owner.id, token=owner.token, body={})  # the bucket that the samples are about
    asked = {"id": owner.id, "me": "me", "alias": alias}[form]
    answer = service.call(name, asked, token=owner.token, body=owners_body(name))
    assert answer.status in (200, 201, 204), answer.text


@pytest.mark.parametrize("name", BY_OWNER)
def test_a_session_reaches_no_other_known_or_not(service: Service, name: str) -> None:
    """The answer is the same, so that it tells nobody which ids exist."""
    owner, (other, alias) = service.create(), _with_alias(service)
    before = service.graph.sessions.find(other.id)
    answers = [
        service.call(name, reached, token=owner.token, body=owners_body(name))
        for reached in (other.id, alias, UNKNOWN, "nonsense", "ses_", "Me", "a b")
    ]
    assert {answer.problem for answer in answers} == {(403, "not-yours")}
    assert len({answer.text for answer in answers}) == 1
    assert service.graph.sessions.find(other.id) == before


@pytest.mark.parametrize("name", [*BY_OWNER, "sessions/list", "tokens/revoke", "activity/collect"])
def test_the_token_of_a_deleted_session_is_revoked(service: Service, name: str) -> None:
    owner = service.create()
    assert service.call("sessions/delete", "me", token=owner.token).status == 204
    asked = "me" if name in BY_OWNER else None
    answer = service.call(name, asked, token=owner.token, query={}, body=owners_body(name))
    assert answer.problem == (401, "token-revoked")


@pytest.mark.parametrize("cleaned", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        *["sessions/get", "sessions/list", "sessions/update", "sessions/extend"],
        *["conversations/append", "conversations/read", "conversations/clear", "conversations/pop"],
        *["activity/cart", "activity/views", "activity/collect"],
    ],
)
def test_an_expired_session_is_never_served(
    service: Service, clock: FakeClock, name: str, *, cleaned: bool
) -> None:
    """Not before the clean-up, when it is stored as it was, nor after it."""
    owner = service.create(ttlSeconds=60)
    clock.forward(60)
    if cleaned:
        service.handler("lifecycle/cleanup")({}, _Hour())
    asked = "me" if name in BY_OWNER else None
    answer = service.call(name, asked, token=owner.token, query={}, body=owners_body(name))
    assert answer.problem == (404, "session-expired")


@pytest.mark.parametrize("name", [*BY_OWNER, "sessions/list", "tokens/revoke", "activity/collect"])
def test_a_token_of_an_earlier_epoch_is_revoked(service: Service, clock: FakeClock, name: str) -> None:
    owner = service.create()
    clock.forward(1)
    service.login(owner, "customer-1")
    asked = "me" if name in BY_OWNER else None
    answer = service.call(name, asked, token=owner.token, query={}, body=owners_body(name))
    assert answer.problem == (401, "token-revoked")


class _Hour:
    def get_remaining_time_in_millis(self) -> int:
        return 3_600_000


def _with_alias(service: Service, **body: Any) -> tuple[Owner, str]:
    owner = service.create()
    record, alias = session(now=service.clock.now, **body), "legacy-7"
    service.graph.sessions.create(record, {}, [alias])
    return (
        Owner(record.id, service.graph.access_tokens.for_session(record), "", "", owner.session),
        alias,
    )
