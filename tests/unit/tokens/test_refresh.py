"""Refresh tokens: opaque, derived, told from made-up ones."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import TokenInvalid
from tessera.tokens.keyring import PUBLISHED_BEFORE_USE, KeyRing, rotated
from tessera.tokens.refresh import RefreshToken
from tests.support.fakes import START, FakeClock, FakeSecret

SECRET = FakeSecret()
RING = SECRET.keys(FakeClock()).ring()
ROOT = RING.sealer(START)
ID, OTHER = ("ses_" + letter * 26 for letter in "ab")


def test_a_token_comes_back_from_its_text() -> None:
    token, _ = RefreshToken.first(ROOT, ID)
    assert RefreshToken.of(str(token)) == token
    assert re.fullmatch(rf"{ID}\.0\.[A-Za-z0-9_-]{{43}}", str(token))


def test_only_a_hash_is_stored() -> None:
    token, stored = RefreshToken.first(ROOT, ID)
    assert stored.hash == token.hash == hashlib.sha256(str(token).encode()).hexdigest()
    assert token.secret not in repr(stored)
    assert (stored.generation, stored.rotated_at) == (0, ())


def test_families_do_not_repeat() -> None:
    assert len({RefreshToken.first(ROOT, ID)[1].family for _ in range(100)}) == 100


@given(st.text("abc", max_size=3), st.integers(0, 9), st.text("abc", max_size=3), st.integers(0, 9))
def test_a_secret_belongs_to_one_session_family_and_generation(one: str, g: int, other: str, h: int) -> None:
    token = RefreshToken.issue(ROOT, ID, one, g)
    assert token == RefreshToken.issue(ROOT, ID, one, g), "derived, not drawn: twenty tabs get the same"
    assert (token.secret == RefreshToken.issue(ROOT, ID, other, h).secret) == ((one, g) == (other, h))
    assert token.secret != RefreshToken.issue(ROOT, OTHER, one, g).secret


def test_a_token_is_genuine_in_its_own_family_only() -> None:
    token = RefreshToken.issue(ROOT, ID, "family", 3)
    assert token.is_genuine(RING, "family")
    assert not token.is_genuine(RING, "other")
    assert not RefreshToken(ID, 4, token.secret).is_genuine(RING, "family")
    assert not RefreshToken(OTHER, 3, token.secret).is_genuine(RING, "family")
    assert not RefreshToken(ID, 3, "A" * 43).is_genuine(RING, "family")


def test_it_stays_genuine_while_its_root_is_on_the_ring() -> None:
    document, now = SECRET.ring, START
    token = RefreshToken.issue(ROOT, ID, "family", 3)
    genuine = list[bool]()
    for _ in range(4):
        document, now = rotated(document, now), now + PUBLISHED_BEFORE_USE
        genuine.append(token.is_genuine(KeyRing.of(FakeSecret(document).fetch(False)), "family"))
    assert genuine == [True, True, True, False]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        ID,
        f"{ID}.0",
        f"{ID}.0.short",
        f"{ID}..{'A' * 43}",
        f"{ID}.-1.{'A' * 43}",
        f"{ID}.1234567890.{'A' * 43}",
        f"{ID}.²2.{'A' * 43}",
        f"{ID}.٣.{'A' * 43}",
        f"{ID}.0.{'é' * 43}",
        f"{ID}.0.{'A' * 44}",
        f"ses_short.0.{'A' * 43}",
        f"me.0.{'A' * 43}",
    ],
)
def test_what_has_another_shape_is_invalid(text: str) -> None:
    with pytest.raises(TokenInvalid):
        RefreshToken.of(text)


@given(st.text(max_size=80))
def test_whatever_comes_is_refused_in_order(text: str) -> None:
    with pytest.raises(TokenInvalid):
        RefreshToken.of(text)
