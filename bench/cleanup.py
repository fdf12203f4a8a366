"""The clean-up of 100,000 expired sessions among as many live ones, against scan-and-delete.

Both run on dynoxide, each in a fresh process whose peak memory is read at its end. Ours is the real handler, run
until it has nothing left. Scan-and-delete is what the field writes: a Scan with a filter on the expiry, then for
each session found a Query of its items and a DeleteItem for each of them, on boto3's resource. That one gets a
sample of 5,000 among 5,000: the share of the living is the same, and so is what a session costs it.
"""

import os
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from boto3.dynamodb.conditions import Attr, Key

from bench.engines import client, dynoxide, environment, resource
from bench.handlers import Context, loaded
from bench.harness import Outcome, Target
from bench.seeding import HOURS, SHARDS, fill
from local.paths import FUNCTIONS
from tessera.model.clock import system_clock
from tessera.stores.expiry import HOUR
from tests.support.tables import new_table

MANY, SOME, SAMPLE, FAT = 100_000, 10_000, 5_000, 200
ROUNDS = 3
_LIMIT_SECONDS = 300
_TARGETS = (
    Target("ratio_to_scan_and_delete", at_least=5),
    Target("memory_ratio_100k_to_10k", at_most=1.1),
    Target("memory_ratio_fat_to_usual", at_most=1.1),
    Target("scan_calls", at_most=0),
)


@dataclass(frozen=True)
class Cleaned:
    """What a clean-up took: seconds, peak memory in MiB, calls by operation."""

    sessions: int
    seconds: float
    memory: float
    calls: Counter[str]

    @property
    def rate(self) -> float:
        """Sessions per second."""
        return self.sessions / self.seconds


type Clean = Callable[[str, str], Cleaned]
"""Cleans a table of an engine, given the engine's URL."""


def run() -> Outcome:
    """Clean the sample by both in turns, then the larger tables by ours, then one of full sessions."""
    pairs = [(_cleaned(ours, SAMPLE), _cleaned(scan_and_delete, SAMPLE)) for _ in range(ROUNDS)]
    some, many = _cleaned(ours, SOME), _cleaned(ours, MANY)
    usual, fat = _cleaned(ours, FAT), _cleaned(ours, FAT, fat=True)
    scan_rate = median(scanned.rate for _, scanned in pairs)
    figures = {
        "ratio_to_scan_and_delete": many.rate / scan_rate,
        "ratio_on_the_same_sample": median(own.rate for own, _ in pairs) / scan_rate,
        "sessions_per_second": many.rate,
        "scan_and_delete_sessions_per_second": scan_rate,
        "seconds": many.seconds,
        "memory_ratio_100k_to_10k": many.memory / some.memory,
        "memory_100k_mib": many.memory,
        "memory_10k_mib": some.memory,
        "memory_ratio_fat_to_usual": fat.memory / usual.memory,
        "memory_fat_mib": fat.memory,
        "scan_calls": many.calls["Scan"],
        "calls_per_session": many.calls.total() / many.sessions,
        **{f"calls_{operation}": count for operation, count in sorted(many.calls.items())},
    }
    return Outcome("cleanup", {name: round(value, 3) for name, value in figures.items()}, _TARGETS)


def _cleaned(clean: Clean, expired: int, *, fat: bool = False) -> Cleaned:
    """Fill a fresh table of a fresh engine and clean it in a fresh process; check that nothing is left."""
    with dynoxide() as url, new_table(client(url)) as table:
        fill(url, table, expired, system_clock(), fat=fat)
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            cleaned = process.submit(clean, url, table).result()
    if cleaned.sessions != expired:
        raise RuntimeError(f"{cleaned.sessions} of {expired} were cleaned")
    return cleaned


def ours(url: str, table: str) -> Cleaned:
    """Run the handler until it has nothing left; the run before this was before the first session expired."""
    os.environ.update(environment(url, table, CLEANUP_SHARDS=str(SHARDS)))
    with Path(os.devnull).open("w") as null, redirect_stdout(null):
        handler = loaded(FUNCTIONS / "lifecycle" / "cleanup.py")
        graph = handler.container.graph()
        graph.expiry.finish(system_clock() // HOUR - HOURS, system_clock())
        calls = _counted(graph.client)
        began, found, done = time.perf_counter(), 0, False
        while not done:
            ran = handler({}, _Deadline())
            found, done = found + ran["expired"], ran["done"]
        return Cleaned(found, time.perf_counter() - began, peak_memory(), calls)


def scan_and_delete(url: str, table: str) -> Cleaned:
    """Clean as the field does."""
    sessions = resource(url).Table(table)
    calls = _counted(sessions.meta.client)
    began, found, start = time.perf_counter(), 0, dict[str, Any]()
    expired = Attr("sk").eq("CORE") & Attr("expiresAt").lt(system_clock())
    while True:
        page = sessions.scan(FilterExpression=expired, **start)
        for session in page["Items"]:
            found += 1
            for item in sessions.query(KeyConditionExpression=Key("pk").eq(session["pk"]))["Items"]:
                sessions.delete_item(Key={"pk": item["pk"], "sk": item["sk"]})
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    return Cleaned(found, time.perf_counter() - began, peak_memory(), calls)


class _Deadline(Context):
    """Lambda's time limit, beginning now."""

    def __init__(self) -> None:
        super().__init__()
        self._ends = time.monotonic() + _LIMIT_SECONDS

    def get_remaining_time_in_millis(self) -> int:
        return int((self._ends - time.monotonic()) * 1_000)


def _counted(client: Any) -> Counter[str]:
    """Count the client's calls by operation, by botocore's own events."""
    calls: Counter[str] = Counter()

    def count(model: Any, **_: Any) -> None:
        calls[model.name] += 1

    client.meta.events.register("before-call.dynamodb", count)
    return calls


def peak_memory() -> float:
    """Return the most memory that this process ever held, in MiB; getrusage begins with what its parent had."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1_024
