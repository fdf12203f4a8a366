"""Access tokens: JWTs (RFC 7519, RFC 9068) that others can verify through our JWKS. No personal data in them."""

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jwt
from jwt import PyJWK

from tessera.errors import TokenExpired, TokenInvalid
from tessera.model.caller import Caller
from tessera.model.clock import MINUTE_SECONDS, SECOND, Clock, Millis
from tessera.model.record import Record
from tessera.tokens.keyring import KeyRing, Keys, SigningKey

LIFETIME = 15 * MINUTE_SECONDS
LEEWAY = 5
"""Seconds by which the clock of the container that minted a token may be ahead of ours."""

TYPE = "at+jwt"
_REQUIRED = ["iss", "aud", "sub", "iat", "exp", "jti"]


class AccessTokens:
    """Mints and verifies the access tokens of one issuer for one audience."""

    def __init__(self, keys: Keys, issuer: str, audience: str, clock: Clock) -> None:
        self._keys, self._issuer, self._audience, self._clock = keys, issuer, audience, clock

    def for_session(self, record: Record) -> str:
        """Mint the token of a session: its id, epoch and claims, for `LIFETIME` seconds."""
        body: dict[str, Any] = {"sub": record.id, "epoch": record.epoch}
        if record.claims:
            body["claims"] = dict(record.claims)
        return self._mint(body, LIFETIME)

    def for_service(self, name: str, scopes: Iterable[str], lifetime: int) -> str:
        """Mint the token of a service; `lifetime` in seconds."""
        return self._mint({"sub": f"service:{name}", "scope": " ".join(scopes)}, lifetime)

    def verify(self, token: str) -> Caller:
        """Return who bears the token.

        In this order: the key by `kid` from our own ring (never from the token), the signature by the key's
        own algorithm, then type, issuer, audience and times (OWASP ASVS 9.1, 9.2).

        Raises:
            TokenInvalid, TokenExpired.

        """
        try:
            decoded = self._decode(token)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise TokenInvalid from error
        if decoded["header"].get("typ") != TYPE:
            raise TokenInvalid("The token is of another type")
        self._check_times(decoded["payload"])
        return _bearer(decoded["payload"])

    def _decode(self, token: str) -> Mapping[str, Any]:
        kid = str(jwt.get_unverified_header(token).get("kid"))
        key = known(self._keys, lambda ring: ring.verifier(kid))
        if key is None:
            raise TokenInvalid("The token was signed by another")
        return jwt.decode_complete(
            token,
            _public(key),
            algorithms=[key.algorithm],
            audience=self._audience,
            issuer=self._issuer,
            options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False},
        )

    def _check_times(self, payload: Mapping[str, Any]) -> None:
        """Judge by our clock, which PyJWT cannot be given."""
        now, issued, expires = self._clock() // SECOND, payload["iat"], payload["exp"]
        if not (isinstance(issued, int) and isinstance(expires, int)) or issued > now + LEEWAY:
            raise TokenInvalid
        if expires <= now:
            raise TokenExpired

    def _mint(self, body: Mapping[str, Any], lifetime: int) -> str:
        now = self._clock()
        key = self._keys.ring().signer(now)
        times = {"iat": now // SECOND, "exp": now // SECOND + lifetime, "jti": secrets.token_urlsafe(12)}
        return jwt.encode(
            {"iss": self._issuer, "aud": self._audience} | times | dict(body),
            PyJWK(dict(key.jwk), key.algorithm).key,
            algorithm=key.algorithm,
            headers={"kid": key.kid, "typ": TYPE},
        )


def known[T](keys: Keys, find: Callable[[KeyRing], T | None]) -> T | None:
    """Find something by its key id; once more in a fresh ring, since a rotation may be news to this container."""
    return find(keys.ring()) or find(keys.ring(fresh=True))


def expires_in(expires_at: Millis, now: Millis) -> int:
    """Return the seconds that are left, at least 0."""
    return max(0, (expires_at - now) // SECOND)


def _public(key: SigningKey) -> Any:
    return PyJWK(key.public(), key.algorithm).key


def _bearer(payload: Mapping[str, Any]) -> Caller:
    service = str(payload["sub"]).removeprefix("service:")
    if service != payload["sub"]:
        return Caller(service=service, scopes=frozenset(str(payload.get("scope", "")).split()))
    if not isinstance(payload.get("epoch"), int):
        raise TokenInvalid
    return Caller(session_id=payload["sub"], epoch=payload["epoch"])
