"""The sweep, each minute: sockets whose session has expired, that fell silent, that must move."""

from dataclasses import asdict
from itertools import batched
from typing import Any

from tessera.entry import Entry, Remaining
from tessera.model.clock import SECOND, Millis
from tessera.realtime.sweep import Swept
from tessera.stores.connections import SHARDS, connection_of
from tessera.stores.table import PAGE
from tessera.wiring import Graph

_MARGIN: Millis = 10 * SECOND


def sweep(_event: object, graph: Graph, remaining: Remaining) -> dict[str, Any]:
    """Do what is due by now, page by page, while there is time; return what was done."""
    swept, now = Swept(), graph.clock()
    for shard in range(SHARDS):
        for items in batched(graph.connections.due(shard, now), PAGE, strict=False):
            if remaining() < _MARGIN:
                return asdict(swept)
            swept.add(graph.sweep.settle([connection_of(item) for item in items]))
    return asdict(swept)


handler = Entry("realtime.sweep", sweep)
