"""Refresh tokens: opaque, 256 bits, stored as a hash, rotated at each use.

A token's secret is a MAC over its family and its generation, so that
- whoever presents the same token within the grace gets the same successor, however many do so at once;
- a token of any earlier generation is known for what it is, a stolen one, while a made-up one revokes nothing.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass

from tessera.errors import TokenInvalid
from tessera.model.ids import is_session_id
from tessera.model.record import Refresh
from tessera.tokens.keyring import KeyRing, Root

_FAMILY_BYTES = 16
_SECRET_CHARACTERS = 43  # of base64url: 256 bits
_GENERATION_DIGITS = 9


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token; as text, which means nothing to a client, `<session id>.<generation>.<secret>`."""

    session_id: str
    generation: int
    secret: str

    @staticmethod
    def issue(root: Root, session_id: str, family: str, generation: int) -> "RefreshToken":
        """Make the token of a generation."""
        return RefreshToken(session_id, generation, _secret(root, session_id, family, generation))

    @staticmethod
    def first(root: Root, session_id: str) -> "tuple[RefreshToken, Refresh]":
        """Begin a family: its first token, and what is stored of it."""
        family = secrets.token_hex(_FAMILY_BYTES)
        token = RefreshToken.issue(root, session_id, family, 0)
        return token, Refresh(token.hash, family)

    @staticmethod
    def of(text: str) -> "RefreshToken":
        """Read one, or raise TokenInvalid."""
        session_id, _, rest = text.partition(".")
        generation, _, secret = rest.partition(".")
        if not (
            is_session_id(session_id)
            and generation.isdecimal()
            and generation.isascii()
            and len(generation) <= _GENERATION_DIGITS
            and len(secret) == _SECRET_CHARACTERS
            and secret.isascii()
        ):
            raise TokenInvalid
        return RefreshToken(session_id, int(generation), secret)

    def __str__(self) -> str:
        return f"{self.session_id}.{self.generation}.{self.secret}"

    @property
    def hash(self) -> str:
        """What is stored: SHA-256 in hex. A fast hash will do: there is nothing to guess in 256 bits."""
        return hashlib.sha256(str(self).encode()).hexdigest()

    def is_genuine(self, ring: KeyRing, family: str) -> bool:
        """Whether we issued it in that family, under any root that is still on the ring."""
        return any(
            hmac.compare_digest(self.secret, _secret(root, self.session_id, family, self.generation))
            for root in ring.roots
        )


def _secret(root: Root, session_id: str, family: str, generation: int) -> str:
    mac = hmac.digest(root.derive("refresh"), f"{session_id}.{family}.{generation}".encode(), "sha256")
    return urlsafe_b64encode(mac).decode().rstrip("=")
