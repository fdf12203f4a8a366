"""Buckets as items: what lies in the table of one, what in S3, and what leads back to its earlier versions."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tessera.errors import ContentTooLarge, PoisonedItem
from tessera.model.clock import DAY_SECONDS, SECOND, Millis
from tessera.model.data import MAX_DATA_BYTES, Held, weight
from tessera.model.record import Record, ttl
from tessera.model.threeway import LOST, Step
from tessera.stores.attributes import size
from tessera.stores.bucket import Bucket
from tessera.stores.keys import DATA, data_key, past_key
from tessera.stores.overflow import Overflow, fetched
from tessera.stores.table import MAX_ITEM_BYTES, Item

MAX_STEP_BYTES = 4_000
"""What the steps back from one version may have together; of more, the largest values are lost."""

PAST_SECONDS = 7 * DAY_SECONDS
"""How long there are steps back from a version."""

_READS = 5


class _Superseded(Exception):
    """Where the item pointed there is nothing any more: another writer was here since it was read."""


def bucket_item(record: Record, name: str, held: Held, overflow: Overflow) -> Item:
    """Return the item of a bucket; what is too large for one is in S3 from here on.

    TTL takes such an item with the session, not before: nobody would know of its object any more. The next save
    takes that away.
    """
    large = is_large(held.data)
    item: Item = {
        **data_key(record.id, name)._asdict(),
        "version": held.version,
        "updatedAt": held.updated_at,
        "ttl": _last(record, None if large else held.expires_at),
    }
    if held.expires_at is not None:
        item["expiresAt"] = held.expires_at
    return item | (overflow.moved(held.data) if large else {"data": dict(held.data)})


def is_large(data: Any) -> bool:
    """Whether it is too large for an item."""
    return size(data) > MAX_ITEM_BYTES


def _last(record: Record, expires_at: Millis | None) -> int:
    """TTL takes a bucket after its own expiry; without one, when it takes what is left of the session."""
    last = ttl(record.session.absolute_expires_at, record.retention_seconds)
    return last if expires_at is None else min(last, ttl(expires_at, 0))


def past_item(record: Record, name: str, after: Held, steps: Sequence[Step]) -> Item:
    """Return the item of the steps from the version that is to be, back to the one that is there."""
    return {
        **past_key(record.id, name, after.version)._asdict(),
        "version": after.version,
        "steps": list(_fitting(steps)),
        "ttl": min(_last(record, after.expires_at), after.updated_at // SECOND + PAST_SECONDS),
    }


def _fitting(steps: Sequence[Step]) -> Sequence[Step]:
    fitting, total = list(steps), size(list(steps))
    for place in sorted(range(len(fitting)), key=lambda place: -size(fitting[place])):
        if total <= MAX_STEP_BYTES:
            return fitting
        lost = {"path": fitting[place]["path"], "lost": True}
        total += size(lost) - size(fitting[place])
        fitting[place] = lost
    return fitting if total <= MAX_STEP_BYTES else LOST


def is_live(item: Item, now: Millis) -> bool:
    """Whether a bucket is still to be seen: TTL takes late what has expired."""
    return "expiresAt" not in item or now < item["expiresAt"]


def settled[T](read: Callable[[], T], key: str) -> T:
    """Return what is read of buckets, anew where another writer takes away what a pointer leads to.

    Raises:
        PoisonedItem: it leads nowhere.

    """
    for _ in range(_READS):
        try:
            return read()
        except _Superseded:
            continue
    raise PoisonedItem(key)


def held_of(item: Item, bucket: Callable[[], Bucket]) -> Held:
    """Return what an item holds, wherever that lies; to be called within `settled`."""
    if "overflow" in item:
        data = fetched(item, bucket)
        if data is None:
            raise _Superseded
    else:
        data = item["data"]
    return Held(data, item["version"], item["updatedAt"], item.get("expiresAt"))


def all_of(items: Iterable[Item], now: Millis, bucket: Callable[[], Bucket]) -> dict[str, Any]:
    """Return the data of those that are still live, by name; to be called within `settled`.

    Raises:
        ContentTooLarge: more than one answer holds beside a session.

    """
    live = [item for item in items if is_live(item, now)]
    room = MAX_DATA_BYTES
    found: dict[str, Any] = {}
    for item in live:
        room -= item["overflowBytes"] if "overflow" in item else weight(item["data"])
        if room < 0:
            raise ContentTooLarge("Read the buckets one by one", limit=MAX_DATA_BYTES)
        found[item["sk"].removeprefix(DATA)] = held_of(item, bucket).data
    return found
