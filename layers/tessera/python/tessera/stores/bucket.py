"""The contract of a bucket: bodies under keys, written whole; and a bucket in memory, for tests.

tests/contract/ proves it on every implementation.
"""

from collections.abc import Iterable, Iterator, Sequence
from threading import Lock
from typing import Protocol

from tessera.errors import Misconfigured


class Bucket(Protocol):
    """What every bucket can do. Whatever was written is read and listed at once.

    Raises (all of them): Throttled, Unavailable, ContentTooLarge, Misconfigured as `errors.from_aws` has it.
    """

    def get(self, key: str) -> bytes | None:
        """Return the body, or None."""
        ...

    def get_many(self, keys: Sequence[str]) -> Iterator[bytes | None]:
        """Return the body of each key, or None, in the order of the keys.

        They are fetched side by side, a bounded number ahead of what has been taken; who stops early ends that
        by closing the iterator, or by dropping it.
        """
        ...

    def put(self, key: str, body: bytes) -> None:
        """Write the body, over the one that is there."""
        ...

    def put_new(self, key: str, body: bytes) -> bool:
        """Write the body if nothing has this key; False when something has.

        That something may be our own: the SDK repeats a write whose answer was lost.

        Raises:
            Contended: others write or delete the key at this moment.

        """
        ...

    def keys(self, prefix: str) -> Iterable[str]:
        """Return the keys that begin so, in the order of their UTF-8 bytes, read as they are taken."""
        ...

    def delete_many(self, keys: Iterable[str]) -> None:
        """Delete them all, in batches; those that are not there do not matter. After an error some are gone."""
        ...


def no_bucket() -> Bucket:
    """Stand for a bucket where nothing may be large enough to need one."""
    raise Misconfigured("no bucket takes what is too large for an item")


class MemoryBucket:
    """Implements `Bucket`. The lock stands for the atomicity of one request, nothing else."""

    def __init__(self) -> None:
        self._bodies: dict[str, bytes] = {}
        self._lock = Lock()

    def get(self, key: str) -> bytes | None:
        """See Bucket."""
        return self._bodies.get(key)

    def get_many(self, keys: Sequence[str]) -> Iterator[bytes | None]:
        """See Bucket."""
        return map(self.get, keys)

    def put(self, key: str, body: bytes) -> None:
        """See Bucket."""
        with self._lock:
            self._bodies[key] = body

    def put_new(self, key: str, body: bytes) -> bool:
        """See Bucket."""
        with self._lock:
            if key in self._bodies:
                return False
            self._bodies[key] = body
            return True

    def keys(self, prefix: str) -> Iterable[str]:
        """See Bucket."""
        with self._lock:
            return iter(sorted(key for key in self._bodies if key.startswith(prefix)))

    def delete_many(self, keys: Iterable[str]) -> None:
        """See Bucket."""
        for key in keys:
            with self._lock:
                self._bodies.pop(key, None)
