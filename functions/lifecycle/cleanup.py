"""The clean-up, on a schedule: buries what has expired and deletes what lies beside it.

It walks the hours from just before where the last run ended up to now, every shard of an hour at the same
time, page by page, and stops in time for its own limit; what it leaves is where the next run begins. Two runs at
once, a crash anywhere, an item that cannot be read: none of these does harm (see tessera.stores.expiry).
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from tessera.entry import Entry, Remaining
from tessera.errors import Unavailable
from tessera.model.clock import SECOND, Millis
from tessera.stores.expiry import HOUR, Settled
from tessera.stores.table import Item
from tessera.telemetry import CLEANUP_LAG, ERRORS, EXPIRED
from tessera.wiring import Graph

PAGE = 100
"""Sessions settled at once, one transaction's worth; a run holds one page per thread in memory, and no more."""

LOOK_BACK = 48
"""Hours that the very first run goes back."""

OVERLAP = 1
"""Hours that every run looks at again: the index follows the table a little later, also at the end of an hour."""

_MARGIN: Millis = 20 * SECOND
_THREADS = 8


@dataclass(slots=True)
class Run:
    """What a run did. `done` is False when it left something; `lag` is how long that waits already, in seconds.

    Each shard has its own, in its own thread; the telemetry, which is for one thread, hears of their sum.
    """

    done: bool = True
    expired: int = 0
    moved: int = 0
    deleted: int = 0
    poisoned: int = 0
    lag: int = 0

    def add(self, settled: Settled, now: Millis) -> None:
        """Count a page."""
        self.expired += settled.expired
        self.moved += settled.moved
        self.deleted += settled.deleted
        self.poisoned += len(settled.poisoned)
        if settled.left:
            self.leave(settled.left[0]["expiresAt"], now)

    def leave(self, since: Millis, now: Millis) -> None:
        """Note that something which waits since then is left to the next run."""
        self.done = False
        self.lag = max(self.lag, (now - since) // SECOND)

    def merge(self, other: "Run") -> None:
        """Count another shard."""
        self.done = self.done and other.done
        self.expired += other.expired
        self.moved += other.moved
        self.deleted += other.deleted
        self.poisoned += other.poisoned
        self.lag = max(self.lag, other.lag)


def cleanup(_event: object, graph: Graph, remaining: Remaining) -> dict[str, Any]:
    """Clean up what has expired by now; return what was done."""
    now = graph.clock()
    this_hour = now // HOUR
    run, reached = Run(), graph.expiry.reached() or this_hour - LOOK_BACK
    with ThreadPoolExecutor(_THREADS) as pool:
        for hour in range(reached - OVERLAP, this_hour + 1):
            clean = partial(_clean, graph, remaining, now, hour)
            for part in pool.map(clean, range(graph.expiry.shards)):
                run.merge(part)
            if not run.done:
                break
            reached = hour
    graph.telemetry.count(EXPIRED, run.expired)
    if run.poisoned:
        graph.telemetry.count(ERRORS, run.poisoned, 'operation="lifecycle.cleanup",status="poisoned"')
    graph.telemetry.gauge(CLEANUP_LAG, run.lag)
    graph.expiry.finish(reached, graph.clock())
    graph.telemetry.log.info("clean-up", **asdict(run))
    return asdict(run)


def _clean(graph: Graph, remaining: Remaining, now: Millis, hour: int, shard: int) -> Run:
    """Settle one shard of one hour, page by page, while there is time and the table does not refuse.

    What it leaves has waited at most since `since`: its first marker's time, or the place where reading failed.
    """
    run, start, since = Run(), None, hour * HOUR
    with suppress(Unavailable):
        while True:
            page = graph.expiry.due(hour, shard, now, limit=PAGE, start=start)
            if page.items:
                since = page.items[0]["expiresAt"]
                if remaining() < _MARGIN:
                    break
                _settle(graph, run, page.items, now)
            if page.last is None:
                return run
            start, since = page.last, page.last["expiresAt"]
    run.leave(since, now)
    return run


def _settle(graph: Graph, run: Run, markers: Sequence[Item], now: Millis) -> None:
    """Settle a page. An item that cannot be read is somebody's to look at; it is tried again in an hour."""
    settled = graph.expiry.settle(markers, now)
    run.add(settled, now)
    for session_id in settled.poisoned:
        graph.telemetry.log.error("poisoned item", session=graph.telemetry.pseudonym(session_id))


handler = Entry("lifecycle.cleanup", cleanup)
