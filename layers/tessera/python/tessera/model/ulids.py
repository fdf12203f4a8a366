"""ULIDs: ids that sort by the time at which they were made (github.com/ulid/spec), in lower case."""

import secrets
from collections.abc import Callable

from tessera.model.clock import Clock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base32
_CHARACTERS, _CHARACTER_BITS = 26, 5
_RANDOM_BYTES = 10
_RANDOM_BITS = 8 * _RANDOM_BYTES


class Ulids:
    """Makes ids of 26 characters: 48 bits of milliseconds, then 80 of `random`, which gives that many bytes.

    Each one sorts after the one before, also within a millisecond and when the clock goes back.
    """

    def __init__(self, clock: Clock, random: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._clock, self._random = clock, random
        self._last = 0

    def __call__(self) -> str:
        """Return the next one."""
        now, random = self._clock(), int.from_bytes(self._random(_RANDOM_BYTES))
        later = now > self._last >> _RANDOM_BITS
        self._last = now << _RANDOM_BITS | random if later else self._last + 1
        places = range(_CHARACTER_BITS * (_CHARACTERS - 1), -1, -_CHARACTER_BITS)
        return "".join(_ALPHABET[self._last >> place & 0x1F] for place in places)
