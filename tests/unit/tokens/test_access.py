"""Access tokens: what we mint others can verify; what others mint, alter or outdate we refuse."""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import OKPKey
from jwt import PyJWK

from tessera.errors import TokenExpired, TokenInvalid
from tessera.model.caller import Caller
from tessera.tokens.access import LIFETIME, AccessTokens, expires_in
from tessera.tokens.keyring import PATIENCE, PUBLISHED_BEFORE_USE, new_ring, rotated
from tests.support.fakes import START, FakeClock, FakeSecret
from tests.support.records import session

RING = new_ring(START)
KID, JWK = RING["signing"][0]["kid"], RING["signing"][0]["jwk"]
RECORD = session(email="ada@example.com", customer={"customerId": "c-1", "firstName": "Ada"})


class World:
    """An issuer, its clock and its secret."""

    def __init__(self, ring: Any = RING) -> None:
        self.clock = FakeClock()
        self.secret = FakeSecret(ring)
        self.tokens = self.container()

    def container(self, issuer: str = "tessera-test", audience: str = "tessera") -> AccessTokens:
        return AccessTokens(self.secret.keys(self.clock), issuer, audience, self.clock)


@pytest.fixture
def world() -> World:
    return World()


def b64(content: Any) -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return urlsafe_b64encode(raw).decode().rstrip("=")


def forged(
    claims: dict[str, Any] | None = None,
    header: dict[str, Any] | None = None,
    *,
    without: str = "",
    key: Any = None,
) -> str:
    """Sign what a holder of our own key could sign: only the contents are wrong."""
    now = START // 1_000
    body = {"iss": "tessera-test", "aud": "tessera", "sub": RECORD.id, "epoch": RECORD.epoch}
    body |= {"iat": now, "exp": now + 900, "jti": "x"} | (claims or {})
    body.pop(without, None)
    head = {"alg": "ES256", "kid": KID, "typ": "at+jwt"} | (header or {})
    text = f"{b64(head)}.{b64(body)}"
    signature = jwt.get_algorithm_by_name("ES256").sign(text.encode(), key or PyJWK(JWK, "ES256").key)
    return f"{text}.{b64(signature)}"


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, payload, _ = (
        json.loads(urlsafe_b64decode(p + "==")) if i < 2 else {} for i, p in enumerate(token.split("."))
    )
    return header, payload


# --- what we mint ------------------------------------------------------------------------------------


def test_a_session_is_known_by_its_token(world: World) -> None:
    assert world.tokens.verify(world.tokens.for_session(RECORD)) == Caller(RECORD.id, RECORD.epoch)


def test_a_service_is_known_by_its_scopes(world: World) -> None:
    token = world.tokens.for_service("shop", ["sessions:read", "admin"], 60)
    assert world.tokens.verify(token) == Caller(service="shop", scopes=frozenset({"sessions:read", "admin"}))
    assert world.tokens.verify(world.tokens.for_service("shop", [], 60)).scopes == frozenset()


def test_others_verify_it_through_our_jwks(world: World) -> None:
    token = world.tokens.for_session(RECORD)
    jwks = jwt.PyJWKSet.from_dict(world.secret.keys(world.clock).ring().jwks())
    key = jwks[jwt.get_unverified_header(token)["kid"]].key
    options: Any = {"verify_exp": False, "verify_iat": False}
    assert jwt.decode(token, key, ["ES256"], audience="tessera", options=options)["sub"] == RECORD.id


def test_it_lives_fifteen_minutes_and_says_nothing_personal(world: World) -> None:
    header, payload = parts(world.tokens.for_session(RECORD))
    assert header == {"alg": "ES256", "kid": KID, "typ": "at+jwt"}
    assert payload.keys() == {"iss", "aud", "sub", "iat", "exp", "jti", "epoch"}
    assert payload["exp"] - payload["iat"] == LIFETIME == 900


def test_it_carries_the_claims_of_the_login(world: World) -> None:
    """In a place of their own: no claim of a login can name a scope, an issuer or another session."""
    claims = {"role": "buyer", "sub": "service:x", "scope": "admin"}
    token = world.tokens.for_session(replace(RECORD, claims=claims))
    assert parts(token)[1]["claims"] == claims
    assert world.tokens.verify(token) == Caller(RECORD.id, RECORD.epoch)


def test_no_two_tokens_are_the_same(world: World) -> None:
    assert world.tokens.for_session(RECORD) != world.tokens.for_session(RECORD)


@given(st.integers(0, 2 * LIFETIME))
def test_it_expires_to_the_second(seconds: int) -> None:
    world = World()
    token = world.tokens.for_session(RECORD)
    world.clock.forward(seconds)
    if seconds < LIFETIME:
        assert world.tokens.verify(token)
    else:
        with pytest.raises(TokenExpired):
            world.tokens.verify(token)


@given(st.integers(-(10**12), 10**12))
def test_what_is_left_is_never_negative(left: int) -> None:
    assert expires_in(START + left, START) == max(0, left // 1_000)


# --- rotation ----------------------------------------------------------------------------------------


def test_ed25519_keys_sign_and_verify_too() -> None:
    jwk = OKPKey.generate_key("Ed25519", private=True).as_dict(private=True)
    ed = {"kid": "ed", "activeFrom": 0, "jwk": {n: jwk[n] for n in ("kty", "crv", "x", "d")}}
    world = World({**RING, "signing": [ed, *RING["signing"]]})
    token = world.tokens.for_session(RECORD)
    assert parts(token)[0]["alg"] == "EdDSA"
    assert world.tokens.verify(token) == Caller(RECORD.id, RECORD.epoch)
    assert world.tokens.verify(forged()) == Caller(RECORD.id, RECORD.epoch)


def test_a_key_does_not_verify_with_the_algorithm_of_another() -> None:
    jwk = OKPKey.generate_key("Ed25519", private=True).as_dict(private=True)
    ed = {"kid": "ed", "activeFrom": 0, "jwk": {n: jwk[n] for n in ("kty", "crv", "x", "d")}}
    world = World({**RING, "signing": [ed, *RING["signing"]]})
    with pytest.raises(TokenInvalid):
        world.tokens.verify(forged(header={"kid": "ed"}))


def test_a_token_outlives_the_rotation_of_its_key_but_not_its_drop(world: World) -> None:
    token = forged({"exp": START})  # read as seconds: far away
    for _ in range(3):
        world.secret.ring = rotated(world.secret.ring, world.clock())
        world.clock.forward(ms=PUBLISHED_BEFORE_USE)
        assert world.container().verify(token)
    world.secret.ring = rotated(world.secret.ring, world.clock())
    world.clock.forward(ms=PATIENCE)
    with pytest.raises(TokenInvalid):
        World(world.secret.ring).tokens.verify(token)


def test_a_container_that_has_not_heard_of_a_rotation_looks_once_more(world: World) -> None:
    behind = world.container()
    world.secret.ring = rotated(world.secret.ring, START)
    world.clock.forward(ms=PUBLISHED_BEFORE_USE)
    ahead = World(world.secret.ring)
    ahead.clock = world.clock
    token = AccessTokens(ahead.secret.keys(world.clock), "tessera-test", "tessera", world.clock).for_session(
        RECORD
    )
    assert behind.verify(token) == Caller(RECORD.id, RECORD.epoch)
    assert world.secret.looks == 1


def test_made_up_key_ids_reach_secrets_manager_once_per_patience(world: World) -> None:
    for number in range(50):
        with pytest.raises(TokenInvalid):
            world.tokens.verify(forged(header={"kid": f"made-up-{number}"}))
    assert world.secret.looks == 1
    world.clock.forward(ms=PATIENCE)
    with pytest.raises(TokenInvalid):
        world.tokens.verify(forged(header={"kid": "another"}))
    assert world.secret.looks == 2


# --- what others mint --------------------------------------------------------------------------------


def unsigned(algorithm: str) -> str:
    header, payload = parts(forged())
    return f"{b64(header | {'alg': algorithm})}.{b64(payload)}."


def confused() -> str:
    """HS256 with our public key, which everybody has, as the secret."""
    header, payload = parts(forged())
    public = PyJWK(JWK, "ES256").key.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    text = f"{b64(header | {'alg': 'HS256'})}.{b64(payload)}"
    return f"{text}.{b64(hmac.digest(pem, text.encode(), 'sha256'))}"


def foreign_key(**header: Any) -> str:
    return forged(header=header, key=ec.generate_private_key(ec.SECP256R1()))


def embedded_jwk() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    return forged(header={"jwk": jwk}, key=key)


def by_rsa() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return jwt.encode(parts(forged())[1], key, "RS256", headers={"kid": KID, "typ": "at+jwt"})


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(unsigned("none"), id="alg none"),
        pytest.param(unsigned("None"), id="alg None"),
        pytest.param(unsigned("ES256"), id="no signature"),
        pytest.param(confused(), id="HS256 with the public key"),
        pytest.param(by_rsa(), id="RS256"),
        pytest.param(foreign_key(), id="another's key under our kid"),
        pytest.param(embedded_jwk(), id="a key in the token itself"),
        pytest.param(foreign_key(jku="https://evil.example/jwks.json"), id="an address of keys in the token"),
        pytest.param(foreign_key(x5u="https://evil.example/x.pem"), id="an address of a certificate"),
        pytest.param(forged(header={"kid": None}), id="no kid"),
        pytest.param(forged(header={"kid": ["x"]}), id="a kid that is no text"),
        pytest.param(forged(header={"kid": "../../etc/passwd"}), id="a kid that is a path"),
        pytest.param(forged(header={"typ": "JWT"}), id="another type"),
        pytest.param(forged(header={"typ": None}), id="no type"),
        pytest.param(forged(header={"crit": ["x"], "x": 1}), id="a critical header that we do not know"),
        pytest.param(forged({"iss": "tessera-other"}), id="another issuer"),
        pytest.param(forged({"aud": "other"}), id="another audience"),
        pytest.param(forged({"aud": ["other", "more"]}), id="other audiences"),
        pytest.param(forged({"iat": START // 1_000 + 6}), id="issued in the future"),
        pytest.param(forged({"exp": "soon"}), id="an expiry that is no number"),
        pytest.param(forged({"epoch": "1"}), id="an epoch that is no number"),
        *(pytest.param(forged(without=claim), id=f"no {claim}") for claim in ("iss", "aud", "sub", "iat", "exp")),
        pytest.param(forged(without="jti"), id="no jti"),
        pytest.param(forged(without="epoch"), id="no epoch"),
        *(pytest.param(text, id=repr(text[:9])) for text in ("", ".", "..", "...", "a.b.c", "ey", "\0", "ü.ü.ü")),
        pytest.param(f"{b64([1])}.{b64({})}.", id="a header that is no object"),
        pytest.param(f"{b64(b'[' * 100_000)}.{b64({})}.", id="a header nested without end"),
        pytest.param(f"{b64({'kid': KID, 'alg': 'ES256'})}.{b64({})}.{b64(b'x' * 64)}", id="a made-up signature"),
    ],
)
def test_it_is_refused(token: str, world: World) -> None:
    with pytest.raises(TokenInvalid):
        world.tokens.verify(token)


def test_one_audience_of_several_may_be_ours(world: World) -> None:
    assert world.tokens.verify(forged({"aud": ["other", "tessera"]}))


def test_an_expired_token_that_is_forged_as_well_is_just_invalid(world: World) -> None:
    with pytest.raises(TokenInvalid):
        world.tokens.verify(foreign_key(exp=0))
    with pytest.raises(TokenInvalid):
        world.tokens.verify(forged({"exp": 1, "aud": "other"}))


TOKEN = forged()


@settings(max_examples=200)
@given(st.integers(0, len(TOKEN) - 1), st.sampled_from("AZaz09-_.=é"))
def test_one_changed_character_anywhere_is_noticed(place: int, character: str) -> None:
    tampered = TOKEN[:place] + character + TOKEN[place + 1 :]
    tokens = World().tokens
    try:
        bearer = tokens.verify(tampered)
    except TokenInvalid:
        return
    # The last character of a base64url part carries bits that mean nothing.
    assert bearer == Caller(RECORD.id, RECORD.epoch)
    assert tampered == TOKEN or place == len(TOKEN) - 1


@settings(max_examples=200)
@given(st.text(max_size=60) | st.binary(max_size=60).map(b64).map(lambda part: f"{part}.{part}.{part}"))
def test_whatever_comes_is_refused_in_order(text: str) -> None:
    with pytest.raises(TokenInvalid):
        World().tokens.verify(text)
