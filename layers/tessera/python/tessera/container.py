"""The one graph of a Lambda container: from its environment and real clients, built once."""

import gc
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from tessera.clients import Buckets, Secret, client_of
from tessera.model.clock import Clock
from tessera.settings import Settings
from tessera.stores.guard import Guard
from tessera.stores.tiers import Tiers
from tessera.wiring import Graph, no_webhook

if TYPE_CHECKING:
    from tessera.stores.breaker import Breaker

OUTAGES, OPEN_SECONDS = 2, 5
"""How many failures of a store in a row open its circuit, beside the one that loads the breaker; for how long."""


class Container:
    """The one graph of a Lambda container.

    Importing a handler builds nothing, except where the Lambda runtime imports it: that is INIT, where CPU is not
    throttled and SnapStart takes its picture.
    """

    def __init__(self, *, needs_keys: bool) -> None:
        self._needs_keys = needs_keys
        self._graph: Graph | None = None
        if "awslambdaric" in sys.modules:
            self.wire(on_lambda())
            gc.freeze()  # what INIT made stays: no later collection looks through it again
            gc.enable()

    def wire(self, graph: Graph) -> Graph:
        """Take a graph; refuse it if keys are needed and there are none."""
        _ = graph.kinds  # wrong KINDS stop the function here, not the first session of that kind
        if graph.settings.experiments:
            _ = graph.experiments  # same
        if self._needs_keys:
            graph.keys.ring()
        self._graph = graph
        return graph

    def graph(self) -> Graph:
        """Return the graph, which is built now if it was not yet."""
        return self._graph or self.wire(on_lambda())


def on_lambda() -> Graph:
    """Build the graph from the environment and real clients."""
    from tessera.stores.dynamodb import DynamoTable  # noqa: PLC0415 - tests build graphs without botocore

    settings = Settings.of(os.environ)
    tiers = Tiers()
    client = client_of("dynamodb", settings.store_timeout_seconds)
    webhook = settings.bitrix_webhook_secret

    def guard(name: str) -> Guard:
        return Guard(lambda: own_breaker(name, graph.clock, graph.telemetry.circuit_changed))

    table_guard = guard("dynamodb")  # all tables are one service
    graph = Graph(
        settings=settings,
        table=DynamoTable(client, settings.table_name, tiers, guard=table_guard),
        tiers=tiers,
        fetch_keys=Secret(settings.keys_secret, settings.store_timeout_seconds).fetch,
        client=client,
        open_bucket=Buckets(tiers, settings.store_timeout_seconds, guard("s3")).bucket,
        open_table=lambda name: DynamoTable(client, name, tiers, guard=table_guard),
        fetch_push_keys=lambda: Secret(settings.push_keys_secret, settings.store_timeout_seconds).fetch(False),
        fetch_webhook=Secret(webhook, settings.store_timeout_seconds).fetch if webhook else no_webhook,
    )
    return graph


def own_breaker(name: str, clock: Clock, changed: Callable[[str, str], None]) -> "Breaker":
    """Return a breaker for a store, which opens for seconds only and tells no other container."""
    from tessera.stores.breaker import Breaker, Circuits, Policy  # noqa: PLC0415 - loaded by the first outage
    from tessera.stores.memory import MemoryTable  # noqa: PLC0415 - same

    return Breaker(name, Policy(OUTAGES, OPEN_SECONDS), Circuits(MemoryTable(), clock), changed)
