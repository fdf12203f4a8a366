"""The sweep, each minute: sockets whose session has expired, that fell silent, that must move."""

from dataclasses import asdict
from typing import Any

from tessera.entry import Entry, Remaining
from tessera.model.clock import SECOND, Millis
from tessera.realtime.sweep import Swept
from tessera.stores.connections import SHARDS, connection_of
from tessera.stores.table import Item
from tessera.wiring import Graph

PAGE = 100
_MARGIN: Millis = 10 * SECOND


def sweep(_event: object, graph: Graph, remaining: Remaining) -> dict[str, Any]:
    """Do what is due by now, page by page, while there is time; return what was done."""
    swept, now = Swept(), graph.clock()
    for shard in range(SHARDS):
        start: Item | None = None
        while remaining() > _MARGIN:
            page = graph.connections.due(shard, now, limit=PAGE, start=start)
            swept.add(graph.sweep.settle([connection_of(item) for item in page.items]))
            start = page.last
            if start is None:
                break
    return asdict(swept)


handler = Entry("realtime.sweep", sweep)
