"""History that only the archive has: a conversation of 10,000 messages, and a customer's memory of 100,000.

The table is on dynoxide, the bucket on MiniStack; ours are the real handlers. The conversation lies in 2,000
objects of five messages, the smallest that the archiver makes of a busy one. It is compared with the plain way:
one `get_object` after the other with boto3, unpacked and parsed. The memory lies in conversations of 100 messages,
an object for every 20; a fresh process answers from 10,000 and from 100,000 messages, and its peak memory is read.
"""

import gzip
import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from itertools import batched
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.cleanup import peak_memory
from bench.engines import bucket_client, client, dynoxide, environment, ministack
from bench.handlers import Context, loaded
from bench.harness import Outcome, Target, in_turns, p50
from local.paths import EVENTS, FUNCTIONS
from tessera.archive import objects
from tessera.model.bodies import CreateSession
from tessera.model.clock import HOUR_SECONDS, SECOND, Millis, system_clock
from tessera.model.ids import new_conversation_id, new_session_id
from tessera.model.kinds import kinds
from tessera.model.life import born
from tessera.model.record import Refresh
from tessera.stores.dynamodb import DynamoTable
from tessera.stores.heads import memory_of
from tessera.stores.keys import core_key, head_key, range_key
from tessera.stores.table import Put
from tessera.stores.tiers import Tiers
from tests.support.tables import new_table

LONG, OBJECT = 10_000, 5
MEMORIES, CONVERSATION, MEMORY_OBJECT = (10_000, 100_000), 100, 20
PAGE = 1_000
ROUNDS, NEWEST_ROUNDS = 3, 30
_TARGETS = (
    Target("ratio_to_one_get_after_the_other", at_most=1.0),
    Target("recall_memory_ratio_100k_to_10k", at_most=1.2),
    Target("recall_query_seconds_100k", at_most=25),
    Target("recall_query_complete_100k", at_least=1),
)
_WORDS = ("tea", "kettle", "order", "parcel", "return", "invoice", "Austria", "colour", "broken", "gift")


@dataclass(frozen=True)
class Place:
    """Where it runs: the engines, the table, the buckets."""

    table_url: str
    table: str
    bucket_url: str
    bucket: str

    def environment(self) -> dict[str, str]:
        """Return the environment of a function there."""
        return environment(
            self.table_url,
            self.table,
            AWS_ENDPOINT_URL_S3=self.bucket_url,
            ARCHIVE_BUCKET=self.bucket,
            RATE_LIMITS="off",
        )


@dataclass(frozen=True)
class Recalled:
    """What a fresh process took for a customer's memory: seconds, MiB."""

    newest_seconds: float
    query_seconds: float
    complete: bool
    memory: float


def run() -> Outcome:
    """Restore the conversation in turns with the plain way; then recall from the two memories."""
    with _place() as place:
        session = Archived(place, "long", messages=LONG, per_object=OBJECT).write()
        os.environ.update(place.environment())
        with Path(os.devnull).open("w") as null, redirect_stdout(null):
            handler = loaded(FUNCTIONS / "conversations" / "read.py")
            ways = {"ours": lambda: _restored(handler, session), "plain": lambda: _fetched(place, session)}
            whole = in_turns(ways, rounds=ROUNDS)
            newest = in_turns({"newest": lambda: _page(handler, session)}, rounds=NEWEST_ROUNDS, warm_up=3)
        some, many = (_recalled(place, f"memory-{size}", size) for size in MEMORIES)
    figures = {
        "ratio_to_one_get_after_the_other": p50(whole["ours"]) / p50(whole["plain"]),
        "restore_10k_seconds": p50(whole["ours"]) / 1_000,
        "plain_10k_seconds": p50(whole["plain"]) / 1_000,
        "newest_100_p50_ms": p50(newest["newest"]),
        "recall_newest_50_seconds_100k": many.newest_seconds,
        "recall_query_seconds_10k": some.query_seconds,
        "recall_query_seconds_100k": many.query_seconds,
        "recall_query_complete_100k": float(many.complete),
        "recall_memory_ratio_100k_to_10k": many.memory / some.memory,
        "recall_memory_100k_mib": many.memory,
        "recall_memory_10k_mib": some.memory,
    }
    return Outcome("restore", {name: round(value, 3) for name, value in figures.items()}, _TARGETS)


@contextmanager
def _place() -> Iterator[Place]:
    with dynoxide() as table_url, ministack() as bucket_url, new_table(client(table_url)) as table:
        bucket_client(bucket_url).create_bucket(
            Bucket="archive", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        yield Place(table_url, table, bucket_url, "archive")


class Archived:
    """A session whose conversation is in the archive alone, as the archiver leaves it."""

    def __init__(self, place: Place, customer_id: str, *, messages: int, per_object: int) -> None:
        self._table = DynamoTable(client(place.table_url), place.table, Tiers())
        self._s3, self._bucket = bucket_client(place.bucket_url), place.bucket
        self._customer_id, self._messages, self._per_object = customer_id, messages, per_object

    def write(self, at: Millis | None = None) -> str:
        """Write it; return the session's id. `at`: when the conversation ended; open when left out."""
        now = system_clock()
        wanted = CreateSession.model_validate(
            {"kind": "chat", "customer": {"customerId": self._customer_id}}, by_alias=True
        )
        record = born(
            new_session_id(), wanted, kinds=kinds({}), by_service=True, refresh=Refresh("0", "1"), now=now
        )
        conversation = new_conversation_id()
        core = record.attributes() | {"conversationId": conversation, "lastSeq": self._messages}
        began = (at or now) - HOUR_SECONDS * SECOND
        head = {
            **head_key(record.id, conversation)._asdict(),
            "sessionId": record.id,
            "kind": "chat",
            "customerId": memory_of(self._customer_id),
            "createdAt": began,
            "archivedSeq": self._messages,
            "retentionSeconds": 86_400,
        } | ({} if at is None else {"endedAt": at})
        ranges = [self._object(record.id, conversation, seqs, began) for seqs in self._seqs()]
        items = [{**core_key(record.id)._asdict(), **core}, head, *ranges]
        for batch in batched(items, 100, strict=False):
            self._table.transact([Put(item) for item in batch])
        return record.id

    def _seqs(self) -> Iterator[tuple[int, ...]]:
        return batched(range(1, self._messages + 1), self._per_object, strict=False)

    def _object(self, session_id: str, conversation: str, seqs: tuple[int, ...], began: Millis) -> dict[str, Any]:
        first, last = seqs[0], seqs[-1]
        lines = [
            {
                "messageId": f"{conversation}.{seq}",
                "seq": seq,
                "role": "user" if seq % 2 else "assistant",
                "content": f"{_WORDS[seq % 10]} {_WORDS[seq // 10 % 10]} {seq} " + "and some more words " * 8,
                "createdAt": began + seq,
            }
            for seq in seqs
        ]
        key = objects.key(session_id, conversation, first, last)
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=objects.encode(lines))
        return {**range_key(session_id, conversation, first)._asdict(), "first": first, "last": last}


def _event(name: str, session_id: str = "", **query: str) -> dict[str, Any]:
    event = json.loads((EVENTS / "conversations" / f"{name}.json").read_text())
    event["queryStringParameters"] = query
    event["rawQueryString"] = "&".join(f"{key}={value}" for key, value in query.items())
    service = {"sessionId": "", "epoch": "0", "service": "bench", "scopes": "admin", "byCookie": "", "refusal": ""}
    event["requestContext"]["authorizer"] = {"lambda": service}
    if session_id:
        path = f"/sessions/{session_id}/messages"
        event |= {"rawPath": path, "pathParameters": {"sessionId": session_id}}
        event["requestContext"]["http"]["path"] = path
    return event


def _page(handler: Any, session_id: str, **query: str) -> Any:
    answer = handler(_event("read", session_id, **query), Context())
    if answer["statusCode"] != 200:  # noqa: PLR2004 - OK
        raise RuntimeError(answer["body"])
    return json.loads(answer["body"])


def _restored(handler: Any, session_id: str) -> None:
    """Read the whole conversation back, page by page."""
    count, query = 0, {"limit": str(PAGE)}
    while True:
        page = _page(handler, session_id, **query)
        count += len(page["messages"])
        if page["before"] is None:
            break
        query = {"limit": str(PAGE), "before": str(page["before"])}
    if count != LONG:
        raise RuntimeError(f"{count} of {LONG} were restored")


def _fetched(place: Place, session_id: str) -> None:
    """Fetch the same objects one after the other; their keys are known by a listing."""
    s3 = bucket_client(place.bucket_url)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=place.bucket, Prefix=objects.prefix(session_id))
    found = [
        json.loads(line)
        for page in pages
        for listed in page.get("Contents", ())
        for line in gzip.decompress(
            s3.get_object(Bucket=place.bucket, Key=listed["Key"])["Body"].read()
        ).splitlines()
    ]
    if len(found) != LONG:
        raise RuntimeError(f"{len(found)} of {LONG} were fetched")


def _recalled(place: Place, customer_id: str, messages: int) -> Recalled:
    """Fill a customer's memory, and recall from it in a fresh process."""
    now = system_clock()
    for number in range(messages // CONVERSATION):
        archived = Archived(place, customer_id, messages=CONVERSATION, per_object=MEMORY_OBJECT)
        archived.write(now - number * HOUR_SECONDS * SECOND)
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(recall, place, customer_id).result()


def recall(place: Place, customer_id: str) -> Recalled:
    """Recall the newest 50 messages of a customer, then the 50 that answer a query best."""
    os.environ.update(place.environment())
    with Path(os.devnull).open("w") as null, redirect_stdout(null):
        handler = loaded(FUNCTIONS / "conversations" / "recall.py")
        began = perf_counter()
        _recall(handler, customer_id)
        newest = perf_counter() - began
        began = perf_counter()
        answer = _recall(handler, customer_id, query="broken%20kettle")
        return Recalled(newest, perf_counter() - began, answer["complete"], peak_memory())


def _recall(handler: Any, customer_id: str, **query: str) -> Any:
    event = _event("recall", **{"limit": "50", **query})
    event |= {"rawPath": f"/customers/{customer_id}/messages", "pathParameters": {"customerId": customer_id}}
    event["queryStringParameters"] = {"limit": "50", "query": "broken kettle"} if query else {"limit": "50"}
    event["requestContext"]["http"]["path"] = event["rawPath"]
    answer = handler(event, _TimeLimit())
    found = json.loads(answer["body"])
    if len(found["messages"]) != 50:  # noqa: PLR2004 - the limit
        raise RuntimeError(answer["body"])
    return found


class _TimeLimit(Context):
    """The 29 seconds that the function has on Lambda."""

    def __init__(self) -> None:
        super().__init__()
        self._ends = perf_counter() + 29

    def get_remaining_time_in_millis(self) -> int:
        return int((self._ends - perf_counter()) * 1_000)
