"""The compaction, on a schedule: archived messages become Parquet by day, for queries over many of them.

It does batch after batch until nothing waits, and stops in time for its own limit; what it leaves is for the
next run. Two runs at once, a crash anywhere, an object that cannot be read: none of these does harm, as
tessera.archive.compaction explains.
"""

from typing import Any

from tessera.entry import Entry, Remaining
from tessera.model.clock import SECOND, Millis
from tessera.telemetry import COMPACTED, COMPACTION_LAG, ERRORS
from tessera.wiring import Graph

_MARGIN: Millis = 120 * SECOND
"""What a batch may take; it is begun only while there is so much."""


def compact(_event: object, graph: Graph, remaining: Remaining) -> dict[str, Any]:
    """Compact what waits; return what was done. `lag`: for how many seconds the oldest of what is left waits."""
    batches = rows = unreadable = lag = 0
    done = False
    while not done and remaining() >= _MARGIN:
        batch = graph.compaction.batch()
        done = batch is None
        if batch is not None:
            batches, rows = batches + 1, rows + batch.rows
            unreadable += len(batch.unreadable)
            for session in batch.unreadable:
                graph.telemetry.log.error("unreadable archive object", session=session)
    if not done and (since := graph.compaction.waiting_since()) is not None:
        lag = (graph.clock() - since) // SECOND
    graph.telemetry.count(COMPACTED, rows)
    if unreadable:
        graph.telemetry.count(ERRORS, unreadable, 'operation="lifecycle.compact",status="unreadable"')
    graph.telemetry.gauge(COMPACTION_LAG, lag)
    return {"done": done, "batches": batches, "rows": rows, "unreadable": unreadable, "lag": lag}


handler = Entry("lifecycle.compact", compact)
