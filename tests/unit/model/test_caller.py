"""Who calls, and what they may reach: truth tables."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import (
    NotYours,
    Problem,
    ScopeMissing,
    SessionNotFound,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
    TokenRevoked,
    Unauthorized,
)
from tessera.model.caller import ME, NOBODY, REFUSALS, Caller, Scope
from tests.support.records import session

OWN, OTHER, UNKNOWN = (f"ses_{letter * 26}" for letter in "abc")
ALIASES = {"own-alias": OWN, "other-alias": OTHER}
SESSION = Caller(session_id=OWN, epoch=7)


def service(*scopes: str) -> Caller:
    return Caller(service="shop", scopes=frozenset(scopes))


def resolve(session_id: str) -> str:
    """A store that knows OWN and OTHER, each with an alias."""
    if session_id.startswith("ses_"):
        return session_id
    if session_id not in ALIASES:
        raise SessionNotFound
    return ALIASES[session_id]


callers = st.one_of(
    st.builds(Caller, session_id=st.just(OWN), epoch=st.integers(1, 10**13), by_cookie=st.booleans()),
    st.builds(Caller, service=st.text("abc-", min_size=1), scopes=st.frozensets(st.sampled_from(list(Scope)))),
    st.builds(Caller, refusal=st.sampled_from(list(REFUSALS)), by_cookie=st.booleans()),
)


@given(callers)
def test_a_caller_travels_through_the_authorizer_context(caller: Caller) -> None:
    context = caller.context()
    assert all(isinstance(value, str) for value in context.values())
    assert Caller.of(context) == caller


@pytest.mark.parametrize(
    "context", [{}, {"sessionId": ""}, {"foreign": "x"}, {"scopes": "admin"}, {"byCookie": "1"}]
)
def test_an_empty_or_foreign_context_is_nobody(context: dict[str, Any]) -> None:
    assert Caller.of(context) == NOBODY


# --- who may call ------------------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", [TokenMissing, TokenInvalid, TokenExpired, TokenRevoked])
def test_nobody_is_told_why(refusal: type[Unauthorized]) -> None:
    with pytest.raises(refusal):
        Caller(refusal=refusal.slug).known()


def test_a_refusal_that_we_do_not_know_is_still_one() -> None:
    with pytest.raises(TokenInvalid):
        Caller(refusal="made-up").known()


@pytest.mark.parametrize("caller", [SESSION, service()])
def test_who_has_a_name_is_known(caller: Caller) -> None:
    assert caller.known() is caller


@pytest.mark.parametrize(
    ("caller", "becomes"),
    [
        (SESSION, NOBODY),
        (service("admin"), service("admin")),
        (NOBODY, NOBODY),
        (Caller(refusal=TokenExpired.slug), NOBODY),
        (Caller(refusal=TokenRevoked.slug), NOBODY),
        (Caller(refusal=TokenInvalid.slug, by_cookie=True), NOBODY),
        (Caller(refusal=TokenInvalid.slug), TokenInvalid),
    ],
)
def test_where_nobody_may_call_too(caller: Caller, becomes: Caller | type[Problem]) -> None:
    """A session is nobody there; a service stays one; a forged token is refused, a cookie is not."""
    if isinstance(becomes, Caller):
        assert caller.anonymous() == becomes
    else:
        with pytest.raises(becomes):
            caller.anonymous()


@pytest.mark.parametrize("wanted", Scope)
@pytest.mark.parametrize("held", Scope)
def test_a_scope_allows_itself_and_admin_allows_all(wanted: Scope, held: Scope) -> None:
    if held in (wanted, Scope.ADMIN):
        service(held).require(wanted)
    else:
        with pytest.raises(ScopeMissing) as refused:
            service(held).require(wanted)
        assert refused.value.members == {"scope": wanted}


@pytest.mark.parametrize("caller", [SESSION, NOBODY, service()])
@pytest.mark.parametrize("wanted", Scope)
def test_without_scopes_nothing_is_allowed(caller: Caller, wanted: Scope) -> None:
    with pytest.raises(ScopeMissing):
        caller.require(wanted)


# --- what they reach ---------------------------------------------------------------------------------

NAMES = (ME, OWN, OTHER, UNKNOWN, "own-alias", "other-alias", "unknown-alias", "", "ses_short")


@pytest.mark.parametrize("name", NAMES)
def test_a_session_reaches_itself_and_cannot_tell_what_else_there_is(name: str) -> None:
    if name in (ME, OWN, "own-alias"):
        assert SESSION.target(name, Scope.SESSIONS_READ, resolve) == OWN
    else:
        with pytest.raises(NotYours) as refused:
            SESSION.target(name, Scope.SESSIONS_READ, resolve)
        assert refused.value.as_json() == NotYours().as_json()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scope", [Scope.SESSIONS_READ, Scope.ADMIN])
def test_a_service_with_the_scope_reaches_all_and_is_told_what_is_not_there(name: str, scope: Scope) -> None:
    caller = service(scope)
    known = {OWN: OWN, OTHER: OTHER, UNKNOWN: UNKNOWN} | ALIASES
    if name in known:
        assert caller.target(name, Scope.SESSIONS_READ, resolve) == known[name]
    else:
        with pytest.raises(SessionNotFound):
            caller.target(name, Scope.SESSIONS_READ, resolve if name != "ses_short" else lambda _: resolve("?"))


@pytest.mark.parametrize("name", NAMES)
def test_a_service_without_it_reaches_nothing_whatever_there_is(name: str) -> None:
    with pytest.raises(ScopeMissing):
        service(Scope.SESSIONS_READ).target(name, Scope.SESSIONS_WRITE, resolve)


@pytest.mark.parametrize("epoch", [6, 8])
def test_a_token_of_another_epoch_is_revoked(epoch: int) -> None:
    record = session(now=7)
    assert Caller(session_id=record.id, epoch=7).admit(record) is record
    with pytest.raises(TokenRevoked):
        Caller(session_id=record.id, epoch=epoch).admit(record)


def test_a_token_of_another_session_is_not_admitted() -> None:
    with pytest.raises(TokenRevoked):
        Caller(session_id=OTHER, epoch=7).admit(session(now=7))


def test_a_service_has_no_epoch() -> None:
    record = session()
    assert service(Scope.ADMIN).admit(record) is record
