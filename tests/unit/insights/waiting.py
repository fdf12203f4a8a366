"""Archive objects that wait for the compaction, as the archiver leaves them, and what came of them."""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pyarrow import parquet

from tessera.archive import objects
from tessera.archive.compaction import Compaction
from tessera.archive.rows import Rows
from tessera.insights.questions import key as question
from tessera.model.clock import Clock, Millis
from tessera.stores.bucket import Bucket, MemoryBucket
from tessera.stores.expiry import shard_of
from tessera.stores.heads import compaction_bucket, memory_of
from tessera.stores.keys import head_key, range_key
from tessera.stores.memory import MemoryTable
from tessera.stores.table import BY_EXPIRY, Item, Put, Table
from tests.support.fakes import START

SHARDS = 3


def put(table: Table, item: Item) -> None:
    """Write a whole item."""
    table.transact([Put(item)])


class Archive:
    """A table and a bucket with conversations in them."""

    def __init__(self) -> None:
        self.table, self.bucket, self.analytics = MemoryTable(), MemoryBucket(), MemoryBucket()

    def conversation(self, session: str, conversation: str = "cnv_1", **head: Any) -> None:
        """Begin a conversation; `customer` names whose it is."""
        customer = head.pop("customer", None)
        whose = {"customerId": memory_of(customer)} if customer else {}
        put(self.table, {**head_key(session, conversation)._asdict(), "sessionId": session, **whose, **head})

    def object(
        self,
        session: str,
        messages: Sequence[Mapping[str, Any]],
        *,
        first: int = 1,
        conversation: str = "cnv_1",
        at: Millis = START,
    ) -> str:
        """Archive messages and let them wait since `at`; return the key of the object."""
        last = first + len(messages) - 1
        numbered = [{**message, "seq": seq} for seq, message in enumerate(messages, first)]
        key = objects.key(session, conversation, first, last)
        self.bucket.put(key, objects.encode(numbered))
        waiting = {BY_EXPIRY.pk: compaction_bucket(shard_of(session, SHARDS)), BY_EXPIRY.sk: at}
        entry = range_key(session, conversation, first)._asdict()
        put(self.table, {**entry, "first": first, "last": last, **waiting})
        return key

    def compaction(
        self,
        clock: Clock,
        *,
        table: Table | None = None,
        bucket: Bucket | None = None,
        analytics: Bucket | None = None,
        most: int = 4,
    ) -> Compaction:
        """Return a compaction, which sees them through these stores if they are given."""
        return Compaction(
            table or self.table,
            bucket or self.bucket,
            analytics or self.analytics,
            clock,
            SHARDS,
            rows=Rows(pseudonym=lambda name: f"~{name}", question=question),
            most=most,
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return every row of every file, with the `day` of its path."""
        found: list[dict[str, Any]] = []
        for key in self.analytics.keys("messages/"):
            day = key.split("/")[1].removeprefix("day=")
            table = parquet.read_table(io.BytesIO(self.analytics.get(key) or b""))
            found += [{**row, "day": day} for row in table.to_pylist()]
        return found

    def manifests(self) -> list[dict[str, Any]]:
        """Return the manifests by their numbers."""
        return [json.loads(self.analytics.get(key) or b"") for key in self.analytics.keys("manifests/")]


def said(message_id: str, content: Any = "Where is my order?", at: Millis = START, role: str = "user") -> Item:
    """Return a message as it is stored."""
    return {"messageId": message_id, "role": role, "content": content, "createdAt": at}


def drained(compaction: Compaction) -> int:
    """Compact until nothing waits; return how many rows were added."""
    added = 0
    while (done := compaction.batch()) is not None:
        added += done.rows
    return added
