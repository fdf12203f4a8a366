"""Contents that are too large for an item: they go to S3, with a pointer, and nobody sees the difference."""

import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from tessera.errors import Unavailable
from tessera.stores.attributes import size
from tessera.stores.bucket import Bucket
from tessera.stores.table import MAX_ITEM_BYTES

_MOVED = ("content", "metadata")
_POINTER = ("overflow", "overflowBytes")


class Overflow:
    """The contents of one append that are too large for an item: each goes to S3 once, however often we try."""

    def __init__(self, bucket: Callable[[], Bucket], session_id: str) -> None:
        self._bucket, self._session_id = bucket, session_id
        self._keys: dict[bytes, str] = {}
        self._doubted = False

    def fitted(self, messages: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return the messages as an item can hold them: the largest contents first become pointers."""
        kept: dict[str, Any] = dict(messages)
        sizes = {seq: size(message) for seq, message in messages.items()}
        total = sum(sizes.values())
        for seq in sorted(sizes, key=lambda seq: -sizes[seq]):
            if total <= MAX_ITEM_BYTES:
                break
            kept[seq] = self._pointer(messages[seq])
            total += size(kept[seq]) - sizes[seq]
        return kept

    def _pointer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        # By its content: another try may give another message the same number, and with it the same id.
        moved = {name: message[name] for name in _MOVED if name in message}
        body = json.dumps(moved, ensure_ascii=False).encode()
        if body not in self._keys:
            self._keys[body] = f"{overflow_prefix(self._session_id)}{secrets.token_hex(16)}"
            self._bucket().put(self._keys[body], body)
        rest = {name: value for name, value in message.items() if name not in _MOVED}
        return rest | {"overflow": self._keys[body], "overflowBytes": len(body)}

    def doubt(self) -> None:
        """Note that a try may have been written though it failed: what it points at must stay."""
        self._doubted = True

    def discard(self) -> None:
        """Delete what no message points at; what is left by a failure here, the bucket's lifecycle takes."""
        if self._keys and not self._doubted:
            with suppress(Unavailable):
                self._bucket().delete_many(list(self._keys.values()))


def resolved(message: Mapping[str, Any], bucket: Callable[[], Bucket]) -> dict[str, Any]:
    """Return a message with its content, wherever that lies."""
    if "overflow" not in message:
        return dict(message)
    body = bucket().get(message["overflow"])
    rest = {name: value for name, value in message.items() if name not in _POINTER}
    return rest | (json.loads(body) if body is not None else {"content": None})


def overflow_prefix(session_id: str) -> str:
    """Return where the contents of a session lie that were too large for an item."""
    return f"overflow/{session_id}/"
