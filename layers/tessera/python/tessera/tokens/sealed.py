"""Sealed values: compressed JSON in JWE compact serialisation (RFC 7516), A256GCM, `kid` for rotation."""

import json
import zlib
from typing import Any

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from tessera.errors import TokenInvalid
from tessera.model.clock import Clock
from tessera.tokens.access import known
from tessera.tokens.keyring import Keys, Root

_ALGORITHM, _ENCRYPTION = "dir", "A256GCM"


class _Registry(jwe.JWERegistry):
    """What `open` takes: whatever an item of the table may hold. joserfc itself ends at 64 KB."""

    max_ciphertext_length = 400_000


_REGISTRY = _Registry(algorithms=[_ALGORITHM, _ENCRYPTION])


class Seal:
    """Seals JSON values for one purpose; a value sealed for another purpose does not open."""

    def __init__(self, keys: Keys, purpose: str, clock: Clock) -> None:
        self._keys, self._purpose, self._clock = keys, purpose, clock

    def close(self, value: Any) -> str:
        """Encrypt the value under the newest root in use."""
        root = self._keys.ring().sealer(self._clock())
        header = {"alg": _ALGORITHM, "enc": _ENCRYPTION, "kid": root.kid}
        plain = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return jwe.encrypt_compact(header, zlib.compress(plain), self._key(root))

    def open(self, text: str) -> Any:
        """Decrypt a sealed value.

        Raises:
            TokenInvalid: forged, damaged, of another purpose, or under a root that is gone.

        """
        try:
            opened = jwe.decrypt_compact(text, self._key_for, registry=_REGISTRY)
            return json.loads(zlib.decompress(opened.plaintext or b""))
        except (JoseError, ValueError, TypeError, zlib.error) as error:
            raise TokenInvalid from error

    def _key_for(self, sealed: Any) -> OctKey:
        kid = str(sealed.headers().get("kid"))
        root = known(self._keys, lambda ring: ring.root(kid))
        if root is None:
            raise TokenInvalid
        return self._key(root)

    def _key(self, root: Root) -> OctKey:
        return OctKey.import_key(root.derive(self._purpose))
