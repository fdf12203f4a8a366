"""Sealed values: they open here, unchanged, for the same purpose, as long as their root is kept."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from secrets import token_urlsafe
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import OctKey

from tessera.errors import TokenInvalid
from tessera.stores.table import MAX_ITEM_BYTES
from tessera.tokens.keyring import PUBLISHED_BEFORE_USE, rotated
from tessera.tokens.sealed import Seal
from tests.support.fakes import FakeClock, FakeSecret
from tests.support.strategies import json_values

CLOCK, SECRET = FakeClock(), FakeSecret()
SEAL = Seal(SECRET.keys(CLOCK), "cookie", CLOCK)
SEALED = SEAL.close({"sub": "ses_x", "epoch": 1})


@given(json_values)
def test_what_was_sealed_opens_as_it_was(value: Any) -> None:
    assert SEAL.open(SEAL.close(value)) == value


def test_what_fits_an_item_of_the_table_opens() -> None:
    """Answers are kept sealed; one that did not open again was 401, though what was asked for was done."""
    value = token_urlsafe(MAX_ITEM_BYTES * 3 // 4 * 3 // 4)
    sealed = SEAL.close(value)
    assert MAX_ITEM_BYTES * 3 // 4 < len(sealed) <= MAX_ITEM_BYTES
    assert SEAL.open(sealed) == value


def test_the_same_value_never_looks_the_same_and_is_not_readable() -> None:
    assert SEAL.close("secret") != SEAL.close("secret")
    parts = [urlsafe_b64decode(part + "==") for part in SEALED.split(".")]
    assert not any(b"ses_x" in part for part in parts)
    header = json.loads(parts[0])
    assert header.keys() == {"alg", "enc", "kid"}
    assert (header["alg"], header["enc"]) == ("dir", "A256GCM")


def test_what_was_sealed_for_another_purpose_does_not_open() -> None:
    with pytest.raises(TokenInvalid):
        Seal(SECRET.keys(CLOCK), "answer", CLOCK).open(SEALED)


def test_what_was_sealed_elsewhere_does_not_open() -> None:
    with pytest.raises(TokenInvalid):
        Seal(FakeSecret().keys(CLOCK), "cookie", CLOCK).open(SEALED)


def test_it_opens_after_rotations_until_its_root_is_dropped() -> None:
    document, clock, opened = SECRET.ring, FakeClock(), list[bool]()
    for _ in range(4):
        document = rotated(document, clock())
        clock.forward(ms=PUBLISHED_BEFORE_USE)
        seal = Seal(FakeSecret(document).keys(clock), "cookie", clock)
        try:
            opened.append(bool(seal.open(SEALED)))
        except TokenInvalid:
            opened.append(False)
        assert seal.open(seal.close(1)) == 1
    assert opened == [True, True, True, False]


def test_a_container_that_has_not_heard_of_a_new_root_looks_once_more() -> None:
    clock, secret = FakeClock(), FakeSecret()
    behind = Seal(secret.keys(clock), "cookie", clock)
    secret.ring = rotated(secret.ring, clock())
    clock.forward(ms=PUBLISHED_BEFORE_USE)
    ahead = Seal(FakeSecret(secret.ring).keys(clock), "cookie", clock)
    assert behind.open(ahead.close("x")) == "x"
    assert secret.looks == 1


@settings(max_examples=200)
@given(st.integers(0, len(SEALED) - 1), st.sampled_from("AZaz09-_.=é"))
def test_one_changed_character_anywhere_is_noticed(place: int, character: str) -> None:
    tampered = SEALED[:place] + character + SEALED[place + 1 :]
    try:
        opened = SEAL.open(tampered)
    except TokenInvalid:
        return
    # The last character of a base64url part carries bits that mean nothing.
    assert opened == {"sub": "ses_x", "epoch": 1}
    assert tampered == SEALED or SEALED[place + 1 : place + 2] in (".", "")


def under(header: dict[str, Any], key: bytes | None = None) -> str:
    root = SECRET.keys(CLOCK).ring().sealer(CLOCK())
    head = {"alg": "dir", "enc": "A256GCM", "kid": root.kid} | header
    return jwe.encrypt_compact(head, b"{}", OctKey.import_key(key or root.derive("cookie")), list(head.values()))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(under({"kid": "made-up"}), id="a made-up kid"),
        pytest.param(under({}, b"k" * 32), id="another key under our kid"),
        pytest.param(under({"alg": "A256KW"}), id="another algorithm"),
        pytest.param(under({"enc": "A128GCM"}, b"k" * 16), id="another encryption"),
        pytest.param(under({"enc": "A128CBC-HS256"}, b"k" * 32), id="an encryption that we do not use"),
    ],
)
def test_a_forged_header_is_refused(text: str) -> None:
    with pytest.raises(TokenInvalid):
        SEAL.open(text)


def test_a_sealed_text_that_is_no_json_is_refused() -> None:
    root = SECRET.keys(CLOCK).ring().sealer(CLOCK())
    head = {"alg": "dir", "enc": "A256GCM", "kid": root.kid}
    with pytest.raises(TokenInvalid):
        SEAL.open(jwe.encrypt_compact(head, b"not json", OctKey.import_key(root.derive("cookie"))))


@pytest.mark.parametrize(
    "header", [b"", b"[]", b"{}", b"null", b"[" * 100_000, b'{"alg": []}', b'{"alg":"dir","enc":5}', b"\xff"]
)
def test_a_header_that_is_none_is_refused(header: bytes) -> None:
    with pytest.raises(TokenInvalid):
        SEAL.open(f"{urlsafe_b64encode(header).decode().rstrip('=')}..AAAA.AAAA.AAAA")


@settings(max_examples=200)
@given(st.text(max_size=60) | st.text("AZaz09-_.", max_size=60))
def test_whatever_comes_is_refused_in_order(text: str) -> None:
    with pytest.raises(TokenInvalid):
        SEAL.open(text)
