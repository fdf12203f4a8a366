"""Values that are too large for an item: they go to S3, with a pointer, and nobody sees the difference."""

import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from tessera.errors import Unavailable
from tessera.stores.bucket import Bucket

MOVED = ("content", "metadata")
"""What of a message can be moved."""

_POINTER = ("overflow", "overflowBytes")


class Overflow:
    """The values of one write that are too large for an item: each goes to S3 once, however often we try."""

    def __init__(self, bucket: Callable[[], Bucket], prefix: str) -> None:
        self._bucket, self._prefix = bucket, prefix
        self._keys: dict[bytes, str] = {}
        self._doubted = False

    def moved(self, value: Any) -> dict[str, Any]:
        """Bring a JSON value to S3, unless it is there; return the pointer to it."""
        body = json.dumps(value, ensure_ascii=False).encode()
        if body not in self._keys:
            self._keys[body] = f"{self._prefix}{secrets.token_hex(16)}"
            self._bucket().put(self._keys[body], body)
        return {"overflow": self._keys[body], "overflowBytes": len(body)}

    def doubt(self) -> None:
        """Note that a try may have been written though it failed: what it points at must stay."""
        self._doubted = True

    def discard(self, but: Iterable[str] = ()) -> None:
        """Delete what nothing points at, all `but` these keys; what a failure here leaves goes later."""
        unused = set(self._keys.values()) - {*but}
        if unused and not self._doubted:
            drop(self._bucket, sorted(unused))


def drop(bucket: Callable[[], Bucket], keys: Iterable[str]) -> None:
    """Delete objects that nothing points at any more; what is left by a failure goes with all of its session."""
    with suppress(Unavailable):
        bucket().delete_many(list(keys))


def resolved(message: Mapping[str, Any], bucket: Callable[[], Bucket]) -> dict[str, Any]:
    """Return a message with its content, wherever that lies."""
    if "overflow" not in message:
        return dict(message)
    moved = fetched(message, bucket)
    rest = {name: value for name, value in message.items() if name not in _POINTER}
    return rest | ({"content": None} if moved is None else moved)


def fetched(pointer: Mapping[str, Any], bucket: Callable[[], Bucket]) -> Any:
    """Return the value that a pointer leads to; None when it is not there any more."""
    body = bucket().get(pointer["overflow"])
    return None if body is None else json.loads(body)


def overflow_prefix(session_id: str) -> str:
    """Return where the contents of a session's messages lie that were too large for an item."""
    return f"overflow/{session_id}/"


def data_prefix(session_id: str) -> str:
    """Return where the buckets of a session lie that were too large for an item; they go with it."""
    return f"data/{session_id}/"
