"""The reconciler, on a schedule: charges that nobody has settled come to their end, or before a person."""

from collections import Counter
from contextlib import suppress
from typing import Any

from tessera.entry import Entry, Remaining
from tessera.errors import PoisonedItem, Unavailable
from tessera.model.clock import SECOND, Millis
from tessera.payments.payments import Look, Outcome
from tessera.stores.table import Key
from tessera.telemetry import ERRORS, PAYMENT_LAG, PAYMENTS_RECONCILED
from tessera.wiring import Graph

MARGIN: Millis = 30 * SECOND
"""What must be left for one more charge: two calls to the provider, and the table."""


def reconcile(_event: object, graph: Graph, remaining: Remaining) -> dict[str, Any]:
    """Look at each charge that is due; return what came of it, and how long the oldest open one waits."""
    if not graph.settings.payment_provider:
        return _told(graph, Counter(), 0)
    now, counts, lag = graph.clock(), Counter[Outcome](), 0
    for shard in range(graph.charges.shards):
        for item in graph.charges.due(shard, now):
            if remaining() < MARGIN:
                lag = max(lag, (now - item["expiresAt"]) // SECOND)
                break  # of those that are left in this shard it is the one that waits longest
            look = _looked_at(graph, Key(item["pk"], item["sk"]))
            counts[look.outcome] += 1
            if look.outcome == Outcome.POSTPONED and look.since is not None:
                lag = max(lag, (now - look.since) // SECOND)
    return _told(graph, counts, lag)


def _looked_at(graph: Graph, key: Key) -> Look:
    """Look at one charge. One that cannot be read is somebody's to look at, and holds up no other."""
    try:
        return graph.payments.reconcile(key)
    except Unavailable as error:
        graph.telemetry.log.warning("not reconciled yet", reason=type(error).__name__)
        return Look(Outcome.POSTPONED)
    except PoisonedItem as poison:
        session = graph.telemetry.pseudonym(key.pk.partition("#")[2])
        graph.telemetry.log.exception("poisoned charge", session=session, exc_info=poison)
        graph.telemetry.count(ERRORS, labels='operation="flows.reconcile",status="poisoned"')
        with suppress(Unavailable):
            graph.charges.set_aside(key, graph.clock())
        return Look(Outcome.POSTPONED)


def _told(graph: Graph, counts: Counter[Outcome], lag: int) -> dict[str, Any]:
    graph.telemetry.count(PAYMENTS_RECONCILED, counts[Outcome.SETTLED] + counts[Outcome.DROPPED])
    graph.telemetry.gauge(PAYMENT_LAG, lag)
    return {outcome.value: counts[outcome] for outcome in Outcome} | {"lagSeconds": lag}


handler = Entry("flows.reconcile", reconcile)
