"""The key ring: rotation, publication before use, dropping; no default."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import Misconfigured, Unavailable
from tessera.tokens.keyring import KEPT, PATIENCE, PUBLISHED_BEFORE_USE, KeyRing, Keys, new_ring, rotated
from tests.support.fakes import START, FakeClock, FakeSecret

FIRST = new_ring(START)


def ring(document: Any) -> KeyRing:
    return KeyRing.of(json.dumps(document))


def test_a_first_ring_can_be_used_at_once() -> None:
    made = ring(FIRST)
    assert made.signer(START).kid == made.signing[0].kid
    assert made.sealer(START).kid == made.roots[0].kid
    assert len(made.roots[0].secret) == 32


def test_two_rings_share_nothing() -> None:
    one, other = ring(new_ring(START)), ring(new_ring(START))
    assert one.roots[0].secret != other.roots[0].secret
    assert one.signing[0].jwk["d"] != other.signing[0].jwk["d"]


def test_a_new_key_is_published_before_it_is_used() -> None:
    old, new = ring(FIRST), ring(rotated(FIRST, START))
    fresh = new.signing[0].kid
    assert fresh in [key["kid"] for key in new.jwks()["keys"]]
    for now in (START, START + PUBLISHED_BEFORE_USE - 1):
        assert new.signer(now).kid == old.signing[0].kid
        assert new.sealer(now).kid == old.roots[0].kid
    assert new.signer(START + PUBLISHED_BEFORE_USE).kid == fresh
    assert new.sealer(START + PUBLISHED_BEFORE_USE).kid == new.roots[0].kid


def test_old_keys_serve_until_they_are_dropped() -> None:
    document, now = FIRST, START
    kid, root = FIRST["signing"][0]["kid"], FIRST["roots"][0]["kid"]
    for _ in range(KEPT - 1):
        document, now = rotated(document, now), now + PUBLISHED_BEFORE_USE
        assert ring(document).verifier(kid)
        assert ring(document).root(root)
    last = ring(rotated(document, now))
    assert last.verifier(kid) is None
    assert last.root(root) is None
    assert (len(last.signing), len(last.roots)) == (KEPT, KEPT)


def test_hasty_rotations_never_leave_a_ring_without_a_key_that_is_in_use() -> None:
    """Rotated again and again within the hour: what signs is still published long enough."""
    document = FIRST
    for minute in range(10):
        document = rotated(document, START + minute)
        key = ring(document).signer(START + minute)
        assert key.kid in [shown["kid"] for shown in ring(document).jwks()["keys"]]


def test_the_jwks_shows_nothing_private() -> None:
    shown = ring(rotated(FIRST, START)).jwks()["keys"]
    assert all(set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"} for key in shown)
    assert all((key["use"], key["alg"]) == ("sig", "ES256") for key in shown)


def test_an_ed25519_key_signs_with_eddsa() -> None:
    document = {**FIRST, "signing": [{"kid": "ed", "activeFrom": 0, "jwk": {"kty": "OKP", "crv": "Ed25519"}}]}
    assert ring(document).signer(START).algorithm == "EdDSA"


@given(st.text(max_size=20), st.text(max_size=20))
def test_each_purpose_has_a_key_of_its_own(one: str, other: str) -> None:
    root = ring(FIRST).roots[0]
    assert len(root.derive(one)) == 32
    assert (root.derive(one) == root.derive(other)) == (one == other)
    assert root.derive(one) != root.secret


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in FIRST.items() if key != name}


def root_of(secret: Any) -> dict[str, Any]:
    return {**FIRST, "roots": [{"kid": "r", "activeFrom": 0, "secret": secret}]}


@pytest.mark.parametrize(
    "document",
    [
        pytest.param("", id="empty"),
        pytest.param("not json", id="not JSON"),
        pytest.param("[]", id="no object"),
        pytest.param("{}", id="as the template creates it"),
        pytest.param(json.dumps(without("signing")), id="no signing keys"),
        pytest.param(json.dumps(without("roots")), id="no roots"),
        pytest.param(json.dumps({**FIRST, "signing": []}), id="an empty list of signing keys"),
        pytest.param(json.dumps({**FIRST, "roots": []}), id="an empty list of roots"),
        pytest.param(json.dumps({**FIRST, "signing": [{"kid": "x"}]}), id="a signing key without its key"),
        pytest.param(json.dumps({**FIRST, "signing": {"kid": "x"}}), id="no list"),
        pytest.param(json.dumps(root_of("")), id="an empty root"),
        pytest.param(json.dumps(root_of("!!!!")), id="a root that is no base64"),
        pytest.param(json.dumps(root_of(urlsafe_b64encode(b"short").decode())), id="a short root"),
        pytest.param(json.dumps(root_of(None)), id="a root without its secret"),
    ],
)
def test_without_a_usable_ring_nothing_starts(document: str) -> None:
    """And the error does not repeat the document: it may hold keys."""
    with pytest.raises(Misconfigured, match="make keys") as refused:
        Keys(lambda _: document, FakeClock())
    assert not document or document not in str(refused.value)


def test_when_the_secret_cannot_be_read_nothing_starts_either() -> None:
    def fetch(_: bool) -> str:
        raise Unavailable

    with pytest.raises(Unavailable):
        Keys(fetch, FakeClock())


# --- a container's view ------------------------------------------------------------------------------


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_news_are_seen_when_asked_for(clock: FakeClock) -> None:
    secret = FakeSecret()
    keys = secret.keys(clock)
    secret.ring = rotated(secret.ring, START)
    assert len(keys.ring().signing) == 1
    assert len(keys.ring(fresh=True).signing) == 2
    assert len(keys.ring().signing) == 2


def test_but_not_more_often_than_patience_allows(clock: FakeClock) -> None:
    secret = FakeSecret()
    keys = secret.keys(clock)
    for _ in range(100):
        keys.ring(fresh=True)
    assert secret.looks == 1
    clock.forward(ms=PATIENCE - 1)
    keys.ring(fresh=True)
    assert secret.looks == 1
    clock.forward(ms=1)
    keys.ring(fresh=True)
    assert secret.looks == 2


def test_an_unchanged_document_is_parsed_once(clock: FakeClock) -> None:
    keys: Keys = FakeSecret().keys(clock)
    same: Callable[[], bool] = lambda: keys.ring() is keys.ring()  # noqa: E731 - one comparison
    assert same()


def test_an_outage_after_the_start_takes_no_ring_away(clock: FakeClock) -> None:
    """The ring at hand serves; a look is tried again after a while, and the health check says what is wrong."""
    secret, down, asked = FakeSecret(), False, 0

    def fetch(fresh: bool) -> str:
        nonlocal asked
        asked += 1
        if down:
            raise Unavailable
        return secret.fetch(fresh)

    keys = Keys(fetch, clock)
    ring, down = keys.ring(), True
    clock.forward(600)
    before = asked
    assert [keys.ring(), keys.ring(fresh=True), keys.ring()] == [ring] * 3
    assert asked == before + 1
    with pytest.raises(Unavailable):
        keys.check()
    clock.forward(PATIENCE // 1_000)
    down = False
    assert keys.ring() == ring
    assert asked == before + 3
