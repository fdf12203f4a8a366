"""Fills a table fast: sessions that have expired and as many that live, written past the SDK."""

import http.client
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import batched
from urllib.parse import urlsplit

from bench.sessions import checkout
from tessera.model.clock import HOUR_SECONDS, SECOND, Millis
from tessera.model.ids import new_session_id
from tessera.model.record import Record
from tessera.stores.attributes import encode_item
from tessera.stores.expiry import marker
from tessera.stores.keys import child_key, core_key
from tessera.stores.table import Item

SHARDS = 16
HOURS = 3
"""Hours of the index over which the expired are spread."""

_FAT = {f"k{number:04d}": "x" * 90 for number in range(2_500)}
"""Metadata of 250 KB, which a browser may send."""

_SPREAD = (HOURS - 1) * HOUR_SECONDS * SECOND
_BATCH = 25
_HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Date": "20260101T000000Z",
    "X-Amz-Target": "DynamoDB_20120810.BatchWriteItem",
    "Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/eu-central-1/dynamodb/aws4_request, "
    "SignedHeaders=host, Signature=none",
}


def fill(url: str, table: str, expired: int, now: Millis, *, fat: bool = False) -> None:
    """Write that many sessions that expired within the last two hours, and as many that live.

    Each has its core and its marker; every third has a bucket of data too. The `fat` are as large as may be.
    """
    with_idle = checkout(now - 2 * _SPREAD, idle_seconds=HOUR_SECONDS)
    if fat:
        with_idle = replace(with_idle, session=with_idle.session.model_copy(update={"metadata": _FAT}))
    dead = (_copy(with_idle, now - 1 - _SPREAD * n // expired) for n in range(expired))
    live = (_copy(with_idle, now + _SPREAD * (n + expired) // expired) for n in range(expired))
    both = (record for pair in zip(dead, live, strict=True) for record in pair)
    _write(url, table, (item for n, record in enumerate(both) for item in _items(record, with_data=n % 6 < 2)))  # noqa: PLR2004


def _copy(record: Record, expires_at: Millis) -> Record:
    changes = {"id": new_session_id(), "expires_at": expires_at}
    return replace(record, session=record.session.model_copy(update=changes))


def _items(record: Record, *, with_data: bool) -> Iterator[Item]:
    record = replace(record, parts=("data",) if with_data else ())
    yield {**core_key(record.id)._asdict(), **record.attributes()}
    yield marker(record, SHARDS, aliases=())
    if with_data:
        yield {**child_key(record.id, "DATA#cart")._asdict(), "data": {"note": "gift"}, "version": 1}


def _write(url: str, table: str, items: Iterable[Item]) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    for batch in batched(items, _BATCH, strict=False):
        puts = [{"PutRequest": {"Item": encode_item(item)}} for item in batch]
        connection.request("POST", "/", json.dumps({"RequestItems": {table: puts}}), _HEADERS)
        answer = json.loads(connection.getresponse().read())
        if answer != {"UnprocessedItems": {}}:
            raise RuntimeError(f"the engine answered {answer}")
    connection.close()
