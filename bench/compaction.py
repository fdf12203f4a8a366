"""The compaction of 10,000 and of 100,000 archived messages, and of few large ones: how fast, in how much memory.

The table is on dynoxide, the buckets on MiniStack; ours is the real handler in a fresh process, run until nothing
waits, whose peak memory is read at its end. The messages lie in objects of ten, fifty to a conversation, over
three days; every other one is a user's. The large ones have 50 KB each, so that a batch ends by its size.
"""

import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from itertools import batched
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bench.cleanup import peak_memory
from bench.engines import bucket_client, client, dynoxide, environment, ministack
from bench.handlers import Context, loaded
from bench.harness import Outcome, Target
from local.engine import REGION
from local.paths import FUNCTIONS
from tessera.archive import objects
from tessera.model.clock import DAY_SECONDS, SECOND, Millis, system_clock
from tessera.model.ids import new_conversation_id, new_session_id
from tessera.stores.dynamodb import DynamoTable
from tessera.stores.expiry import shard_of
from tessera.stores.heads import compaction_bucket, memory_of
from tessera.stores.keys import head_key, range_key
from tessera.stores.table import BY_CUSTOMER, BY_EXPIRY, Item, Put
from tessera.stores.tiers import Tiers
from tests.support.tables import new_table

SOME, MANY, LARGE = 10_000, 100_000, 4_000
USUAL_WORDS, LARGE_WORDS = 20, 7_000
CONVERSATION, OBJECT = 50, 10
_SHARDS, _DAYS, _LIMIT_SECONDS = 16, 3, 900
_TARGETS = (
    Target("memory_ratio_100k_to_10k", at_most=1.2),
    Target("memory_ratio_large_to_usual", at_most=2.0),
)
_WORDS = [
    f"{first}{second}" for first in ("lie", "ver", "be", "rück", "an") for second in ("fern", "send", "stell")
]


@dataclass(frozen=True)
class Place:
    """Where it runs: the engines and the table; the buckets are `archive` and `analytics`."""

    table_url: str
    table: str
    bucket_url: str


@dataclass(frozen=True)
class Compacted:
    """What a fresh process took: seconds, peak memory in MiB; and how many batches it made."""

    messages: int
    seconds: float
    memory: float
    batches: int


def run() -> Outcome:
    """Compact the three archives."""
    some, many = _compacted(SOME, USUAL_WORDS), _compacted(MANY, USUAL_WORDS)
    large = _compacted(LARGE, LARGE_WORDS)
    figures = {
        "messages_per_second": many.messages / many.seconds,
        "seconds_100k": many.seconds,
        "batches_100k": many.batches,
        "memory_ratio_100k_to_10k": many.memory / some.memory,
        "memory_100k_mib": many.memory,
        "memory_10k_mib": some.memory,
        "memory_ratio_large_to_usual": large.memory / many.memory,
        "memory_large_mib": large.memory,
        "large_mib_per_second": LARGE * LARGE_WORDS * 7 / 2**20 / large.seconds,
    }
    return Outcome("compaction", {name: round(value, 3) for name, value in figures.items()}, _TARGETS)


def _compacted(messages: int, words: int) -> Compacted:
    """Archive so many messages and compact them in a fresh process; check that each has its row."""
    with _place() as place:
        fill(place, messages, words)
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            compacted = process.submit(ours, place).result()
    if compacted.messages != messages:
        raise RuntimeError(f"{compacted.messages} of {messages} were compacted")
    return compacted


@contextmanager
def _place() -> Iterator[Place]:
    with dynoxide() as table_url, ministack() as bucket_url, new_table(client(table_url)) as table:
        for bucket in ("archive", "analytics"):
            bucket_client(bucket_url).create_bucket(
                Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
            )
        yield Place(table_url, table, bucket_url)


def fill(place: Place, messages: int, words: int) -> None:
    """Archive messages of so many words, as the archiver does; all of them wait."""
    table, s3 = DynamoTable(client(place.table_url), place.table, Tiers()), bucket_client(place.bucket_url)

    def write(number: int) -> None:
        items, bodies = _conversation(random.Random(number), words)  # noqa: S311 - the same at each run
        for key, body in bodies.items():
            s3.put_object(Bucket="archive", Key=key, Body=body)
        for batch in batched(items, 100, strict=False):
            table.transact([Put(item) for item in batch])

    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(write, range(messages // CONVERSATION)):
            pass


def _conversation(chance: random.Random, words: int) -> tuple[list[Item], dict[str, bytes]]:
    """Return the head and the ranges of a conversation, and its objects."""
    session_id, conversation_id = new_session_id(), new_conversation_id()
    whose = {BY_CUSTOMER.pk: memory_of(f"c-{chance.randrange(1_000)}"), BY_CUSTOMER.sk: system_clock()}
    items: list[Item] = [{**head_key(session_id, conversation_id)._asdict(), "sessionId": session_id, **whose}]
    began = system_clock() - chance.randrange(_DAYS) * DAY_SECONDS * SECOND
    bodies: dict[str, bytes] = {}
    for seqs in batched(range(1, CONVERSATION + 1), OBJECT, strict=True):
        lines = [_message(chance, seq, words, began + seq) for seq in seqs]
        bodies[objects.key(session_id, conversation_id, seqs[0], seqs[-1])] = objects.encode(lines)
        waits = {BY_EXPIRY.pk: compaction_bucket(shard_of(session_id, _SHARDS)), BY_EXPIRY.sk: began}
        entry = range_key(session_id, conversation_id, seqs[0])._asdict()
        items.append({**entry, "first": seqs[0], "last": seqs[-1], **waits})
    return items, bodies


def _message(chance: random.Random, seq: int, words: int, at: Millis) -> dict[str, Any]:
    content = " ".join(chance.choices(_WORDS, k=words))
    role = "user" if seq % 2 else "assistant"
    return {"messageId": f"m{seq}", "seq": seq, "role": role, "content": content, "createdAt": at}


def ours(place: Place) -> Compacted:
    """Run the handler until it has nothing left."""
    buckets = {
        "ARCHIVE_BUCKET": "archive",
        "ANALYTICS_BUCKET": "analytics",
        "AWS_ENDPOINT_URL_S3": place.bucket_url,
    }
    more = {"CLEANUP_SHARDS": str(_SHARDS), "STORE_TIMEOUT_SECONDS": "5"}
    os.environ.update(environment(place.table_url, place.table, **buckets, **more))
    with Path(os.devnull).open("w") as null, redirect_stdout(null):
        handler = loaded(FUNCTIONS / "lifecycle" / "compact.py")
        began, rows, batches, done = time.perf_counter(), 0, 0, False
        while not done:
            ran = handler({}, _TimeLimit())
            rows, batches, done = rows + ran["rows"], batches + ran["batches"], ran["done"]
        return Compacted(rows, time.perf_counter() - began, peak_memory(), batches)


class _TimeLimit(Context):
    """Lambda's time limit, beginning now."""

    def __init__(self) -> None:
        super().__init__()
        self._ends = time.monotonic() + _LIMIT_SECONDS

    def get_remaining_time_in_millis(self) -> int:
        """Return the time that is left."""
        return int((self._ends - time.monotonic()) * 1_000)
