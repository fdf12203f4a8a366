"""The cookie: bound to the host, out of reach of scripts, unreadable, as dead as its session."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import TokenInvalid
from tessera.model.caller import Caller
from tessera.tokens import cookie
from tessera.tokens.sealed import Seal
from tests.support.fakes import START, FakeClock, FakeSecret
from tests.support.records import session

KEYS = FakeSecret().keys(FakeClock())
SEAL = Seal(KEYS, cookie.PURPOSE, FakeClock())
RECORD = session()
VALUE = cookie.bake(SEAL, RECORD, "refresh", START).value
MEANS = cookie.SessionCookie(Caller(RECORD.id, RECORD.epoch, by_cookie=True), "refresh")


def attributes(baked: Any) -> tuple[str, set[str]]:
    first, *rest = str(baked).split("; ")
    return first, set(rest)


def test_the_cookie_is_bound_to_the_host_and_kept_from_scripts() -> None:
    crumb, rest = attributes(cookie.bake(SEAL, RECORD, "refresh", START))
    assert crumb.startswith("__Host-tessera=ey")
    assert rest == {"Path=/", "Max-Age=43200", "HttpOnly", "Secure", "SameSite=Lax"}


def test_it_lasts_as_long_as_the_session_may() -> None:
    later = cookie.bake(SEAL, RECORD, "refresh", START + 43_000_500)
    assert "Max-Age=199" in attributes(later)[1]
    assert "Max-Age=0" in attributes(cookie.bake(SEAL, RECORD, "refresh", START + 10**9))[1]


def test_a_cleared_cookie_removes_it() -> None:
    assert str(cookie.cleared()).startswith("__Host-tessera=; Path=/; Max-Age=0")
    assert attributes(cookie.cleared())[1] >= {"HttpOnly", "Secure", "SameSite=Lax"}


@pytest.mark.parametrize(
    "event",
    [
        pytest.param({"cookies": [f"__Host-tessera={VALUE}"]}, id="as API Gateway lists it"),
        pytest.param({"cookies": ["a=b", f"__Host-tessera={VALUE}", "c=d"]}, id="among others"),
        pytest.param({"headers": {"cookie": f"__Host-tessera={VALUE}"}}, id="in the header"),
        pytest.param({"headers": {"cookie": f"a=b; __Host-tessera={VALUE}; c"}}, id="in the header among others"),
        pytest.param({"cookies": [], "headers": {"cookie": f"__Host-tessera={VALUE}"}}, id="an empty list"),
    ],
)
def test_what_was_baked_can_be_read(event: dict[str, Any]) -> None:
    assert cookie.read(SEAL, event) == MEANS


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"cookies": []},
        {"headers": {}},
        {"headers": {"cookie": ""}},
        {"cookies": [f"__host-tessera={VALUE}"]},
        {"cookies": [f"tessera={VALUE}"]},
        {"cookies": [f"x__Host-tessera={VALUE}"]},
        {"headers": {"cookie": f"a=__Host-tessera={VALUE}"}},
    ],
)
def test_without_our_cookie_there_is_none(event: dict[str, Any]) -> None:
    assert cookie.read(SEAL, event) is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        VALUE[:-5],
        Seal(KEYS, "answer", FakeClock()).close({"sub": RECORD.id, "epoch": 1, "refresh": "r"}),
        *map(SEAL.close, [[], {}, {"sub": RECORD.id}, {"sub": 1, "epoch": 1, "refresh": "r"}, "x", None]),
        SEAL.close({"sub": RECORD.id, "epoch": "1", "refresh": "r"}),
    ],
)
def test_one_that_does_not_open_or_says_something_else_is_refused(value: str) -> None:
    with pytest.raises(TokenInvalid):
        cookie.read(SEAL, {"cookies": [f"__Host-tessera={value}"]})


@given(st.text(max_size=40))
def test_whatever_stands_in_it_is_refused_in_order(value: str) -> None:
    with pytest.raises(TokenInvalid):
        cookie.read(SEAL, {"cookies": [f"__Host-tessera={value}"]})
