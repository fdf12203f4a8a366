"""Web Push: a message encrypted for one browser (RFC 8291, RFC 8188), signed by our key (VAPID, RFC 8292)."""

import base64
import hmac
import json
import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt import PyJWK

from tessera.errors import Misconfigured
from tessera.model.clock import HOUR_SECONDS, SECOND, Millis

MAX_PLAIN = 3_000
"""Bytes; push services take 4,096 of what is made of them, some a little less."""

LIFETIME = 24 * HOUR_SECONDS
"""How long a push service keeps a message for a browser that is off, in seconds."""

_RECORD = 4_096
_TOKEN_SECONDS = 12 * HOUR_SECONDS


class Vapid:
    """The key by which push services know us, as kept in Secrets Manager: a private JWK of P-256."""

    def __init__(self, document: str, contact: str) -> None:
        try:
            self._jwk: dict[str, str] = json.loads(document)["vapid"]
            self._key: Any = PyJWK(self._jwk, "ES256").key
            point = unpadded(self._jwk["x"]), unpadded(self._jwk["y"])
        except (ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
            raise Misconfigured("the push secret holds no key: run `make keys`") from error
        self.public = padless(b"\x04" + b"".join(point))
        self._contact = contact

    def headers(self, endpoint: str, now: Millis) -> Mapping[str, str]:
        """Return what a push service wants to see with a message."""
        parts = urlsplit(endpoint)
        claims: dict[str, Any] = {"aud": f"{parts.scheme}://{parts.netloc}", "exp": now // SECOND + _TOKEN_SECONDS}
        token = jwt.encode(
            claims | ({"sub": self._contact} if self._contact else {}), self._key, algorithm="ES256"
        )
        return {
            "Authorization": f"vapid t={token}, k={self.public}",
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(LIFETIME),
        }


def encrypted(
    plain: bytes,
    p256dh: str,
    auth: str,
    *,
    random: Callable[[int], bytes] = os.urandom,
    new_key: Callable[[], ec.EllipticCurvePrivateKey] = lambda: ec.generate_private_key(ec.SECP256R1()),
) -> bytes:
    """Encrypt for the browser with that public key and secret, both in base64url as it gave them.

    Raises ValueError for a key that is none.
    """
    theirs, ours, salt = unpadded(p256dh), new_key(), random(16)
    own = ours.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    shared = ours.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs))
    keying = _expand(_expand(unpadded(auth), shared), b"WebPush: info\0" + theirs + own + b"\x01")
    key = _expand(salt, keying)
    content_key = _expand(key, b"Content-Encoding: aes128gcm\0\x01")[:16]
    nonce = _expand(key, b"Content-Encoding: nonce\0\x01")[:12]
    head = salt + _RECORD.to_bytes(4) + bytes([len(own)]) + own
    return head + AESGCM(content_key).encrypt(nonce, plain + b"\x02", None)


def new_vapid() -> dict[str, Any]:
    """Make a key, for the secret."""
    from joserfc.jwk import ECKey  # noqa: PLC0415 - only who makes keys pays for it

    jwk: Any = ECKey.generate_key("P-256", private=True).as_dict(private=True)
    return {"vapid": {name: jwk[name] for name in ("kty", "crv", "x", "y", "d")}}


def _expand(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def unpadded(text: str) -> bytes:
    """Read base64url, with or without its padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def padless(content: bytes) -> str:
    """Write base64url without padding."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
