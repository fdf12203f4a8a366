"""The buckets of a session: what one holds, and what becomes of it. `stores.data` writes what is decided here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tessera.errors import ContentTooLarge, EditConflict
from tessera.model.clock import SECOND, Millis
from tessera.model.merge import merge_patch
from tessera.model.record import Record
from tessera.model.threeway import same, three_way

MAX_BUCKETS = 20
"""How many buckets a session may have at a time."""

MAX_DATA_BYTES = 1_000_000
"""What a bucket may hold, in bytes of JSON; and what all of them may have beside a session in one answer."""


@dataclass(frozen=True, slots=True)
class Held:
    """A bucket as it is. `expires_at` is None for one that lives as long as its session."""

    data: Mapping[str, Any]
    version: int
    updated_at: Millis
    expires_at: Millis | None = None

    def live(self, now: Millis) -> bool:
        """Whether it is still to be seen."""
        return self.expires_at is None or now < self.expires_at


def removal(version: int) -> int:
    """Return the version of the removal of a bucket: it is a change as well, and comes after the last save."""
    return version + 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a bucket is to become: its data, None for its end; and how long it lives from now on.

    `ttl_seconds`: None leaves the expiry as it is, 0 lifts it.
    """

    data: Mapping[str, Any] | None
    ttl_seconds: int | None = None


def patched(held: Held | None, patch: Mapping[str, Any]) -> dict[str, Any]:
    """Apply a merge patch (RFC 7396) to what is there; to nothing, it makes a new object."""
    return merge_patch(held.data if held else None, patch)


def merged(held: Held, base: Any, patch: Mapping[str, Any]) -> dict[str, Any]:
    """Apply to a bucket what a merge patch changes of an earlier version of it, `base`, as `three_way` has it.

    Raises:
        EditConflict: others have changed the same fields.

    """
    result, conflicts = three_way(base, patch, held.data)
    if conflicts:
        raise EditConflict(conflicts=conflicts, version=held.version)
    return result


def becoming(record: Record, held: Held | None, wanted: Wanted, version: int, now: Millis) -> Held | None:
    """Decide what a bucket becomes under the next version; the one that is there where nothing changes.

    Raises:
        ContentTooLarge: more than a bucket may hold.

    """
    if wanted.data is None:
        return None
    expires_at = _expiry(record, held, wanted.ttl_seconds, now)
    if held and held.expires_at == expires_at and same(held.data, wanted.data):
        return held
    if weight(wanted.data) > MAX_DATA_BYTES:
        raise ContentTooLarge(limit=MAX_DATA_BYTES)
    return Held(wanted.data, version, now, expires_at)


def _expiry(record: Record, held: Held | None, ttl_seconds: int | None, now: Millis) -> Millis | None:
    """A bucket goes with its session at the latest: what would outlive it has no expiry of its own."""
    if ttl_seconds is None:
        return held.expires_at if held else None
    at = now + ttl_seconds * SECOND
    return at if ttl_seconds and at < record.session.absolute_expires_at else None


def weight(data: Any) -> int:
    """Return the bytes of a value in JSON."""
    return len(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode())
