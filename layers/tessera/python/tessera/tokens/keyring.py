"""The key ring: signing keys and root secrets, kept as one JSON document in Secrets Manager.

    {"signing": [{"kid", "activeFrom", "jwk"}…], "roots": [{"kid", "activeFrom", "secret"}…]}

Newest first. A key is there for an hour before it is used (`activeFrom`): whoever has cached our JWKS knows it in
time, and all containers, which cache the ring, begin to use it together. Old keys serve until they are dropped.
Root secrets are never used themselves: each purpose derives its own key (cookies, answers, refresh tokens,
addresses).
"""

import base64
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from tessera.errors import Misconfigured, Unavailable
from tessera.model.clock import HOUR_SECONDS, SECOND, Clock, Millis

PUBLISHED_BEFORE_USE: Millis = HOUR_SECONDS * SECOND
"""How long a new key is on the ring before it is used; the JWKS may be cached this long."""

PATIENCE: Millis = 10 * SECOND
"""The least time between two looks at Secrets Manager for a key that is not on the ring."""

KEPT = 4
"""Keys that stay on the ring at a rotation, the new one included."""

_CURVE = "P-256"
_ROOT_BYTES = 32


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An ES256 (P-256) or EdDSA (Ed25519) key as a private JWK (RFC 7517)."""

    kid: str
    active_from: Millis
    jwk: Mapping[str, str]

    @property
    def algorithm(self) -> str:
        """The one algorithm that this key signs with; a token's own header has no say in it."""
        return "EdDSA" if self.jwk["kty"] == "OKP" else "ES256"

    def public(self) -> dict[str, str]:
        """Return the public JWK, as the JWKS shows it."""
        shown = {name: value for name, value in self.jwk.items() if name != "d"}
        return shown | {"kid": self.kid, "use": "sig", "alg": self.algorithm}


@dataclass(frozen=True, slots=True)
class Root:
    """A root secret of 256 bits."""

    kid: str
    active_from: Millis
    secret: bytes

    def derive(self, purpose: str) -> bytes:
        """Derive the 256-bit key of a purpose (HMAC-SHA256 as the PRF, as in HKDF-Expand, RFC 5869)."""
        return hmac.digest(self.secret, b"tessera/" + purpose.encode(), "sha256")


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys, newest first; at least one of each."""

    signing: tuple[SigningKey, ...]
    roots: tuple[Root, ...]

    @staticmethod
    def of(document: str) -> "KeyRing":
        """Read the secret's value.

        Raises:
            Misconfigured: there is no usable ring in it. There is no default one.

        """
        try:
            ring: Any = json.loads(document)
            signing = tuple(SigningKey(k["kid"], k["activeFrom"], k["jwk"]) for k in ring["signing"])
            roots = tuple(Root(r["kid"], r["activeFrom"], _secret(r["secret"])) for r in ring["roots"])
        except (ValueError, KeyError, TypeError) as error:
            raise Misconfigured("the keys secret holds no key ring: run `make keys`") from error
        if not signing or not roots:
            raise Misconfigured("the key ring is empty: run `make keys`")
        return KeyRing(signing, roots)

    def signer(self, now: Millis) -> SigningKey:
        """Return the newest signing key that may be used already."""
        return _active(self.signing, now)

    def verifier(self, kid: str) -> SigningKey | None:
        """Return the key of that id."""
        return next((key for key in self.signing if key.kid == kid), None)

    def sealer(self, now: Millis) -> Root:
        """Return the newest root that may be used already."""
        return _active(self.roots, now)

    def root(self, kid: str) -> Root | None:
        """Return the root of that id."""
        return next((root for root in self.roots if root.kid == kid), None)

    def jwks(self) -> dict[str, Any]:
        """Return the JSON Web Key Set (RFC 7517, section 5)."""
        return {"keys": [key.public() for key in self.signing]}


class Keys:
    """The ring at hand. Fetches it at the start, which refuses to go on without one, and again when asked.

    Once there is a ring, an outage of Secrets Manager does not take it away.
    """

    def __init__(self, fetch: Callable[[bool], str], clock: Clock) -> None:
        """`fetch` returns the secret's value, from a short-lived cache unless it is given True."""
        self._fetch, self._clock = fetch, clock
        self._fresh_at: Millis = 0
        self._failed_at: Millis = 0
        self._document = fetch(False)
        self._ring = KeyRing.of(self._document)

    def ring(self, *, fresh: bool = False) -> KeyRing:
        """Return the ring; `fresh` asks for news.

        They are granted once in a while only, so that made-up key ids cost nothing, and neither does an outage.
        """
        now = self._clock()
        if now - self._failed_at < PATIENCE:
            return self._ring
        fresh = fresh and now - self._fresh_at >= PATIENCE
        if fresh:
            self._fresh_at = now
        try:
            document = self._fetch(fresh)
        except Unavailable:
            self._failed_at = now
            return self._ring
        if document != self._document:
            self._document, self._ring = document, KeyRing.of(document)
        return self._ring

    def check(self) -> None:
        """Raise Unavailable or Misconfigured unless the secret can be read and holds a ring at this moment."""
        KeyRing.of(self._fetch(True))


def new_ring(now: Millis) -> dict[str, Any]:
    """Make a first ring, whose keys are active at once."""
    return {"signing": [_new_signing_key(now)], "roots": [_new_root(now)]}


def rotated(ring: Mapping[str, Any], now: Millis) -> dict[str, Any]:
    """Put a new signing key and a new root in front, drop what is older than the newest `KEPT`."""
    active_from = now + PUBLISHED_BEFORE_USE
    return {
        "signing": [_new_signing_key(active_from), *ring["signing"]][:KEPT],
        "roots": [_new_root(active_from), *ring["roots"]][:KEPT],
    }


def _active[K: (SigningKey, Root)](keys: tuple[K, ...], now: Millis) -> K:
    return next((key for key in keys if key.active_from <= now), keys[-1])


def _new_signing_key(active_from: Millis) -> dict[str, Any]:
    from joserfc.jwk import ECKey  # noqa: PLC0415 - only who makes keys pays for it

    jwk = cast("dict[str, Any]", ECKey.generate_key(_CURVE, private=True).as_dict(private=True))
    kept = {name: jwk[name] for name in ("kty", "crv", "x", "y", "d")}
    return {"kid": _new_kid(), "activeFrom": active_from, "jwk": kept}


def _new_root(active_from: Millis) -> dict[str, Any]:
    secret = base64.urlsafe_b64encode(secrets.token_bytes(_ROOT_BYTES)).decode()
    return {"kid": _new_kid(), "activeFrom": active_from, "secret": secret}


def _new_kid() -> str:
    return secrets.token_hex(6)


def _secret(text: str) -> bytes:
    """Read a root's secret; anything shorter than 256 bits, or cut short by a bad character, is none."""
    secret = base64.urlsafe_b64decode(text)
    if len(secret) != _ROOT_BYTES:
        raise ValueError(f"a root secret has {_ROOT_BYTES} bytes")
    return secret
