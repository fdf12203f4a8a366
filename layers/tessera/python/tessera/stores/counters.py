"""Counters: the aggregates behind GET /metrics, and the windows of the rate limits."""

import secrets
from collections import defaultdict
from collections.abc import Mapping

from tessera.model.changes import Change
from tessera.stores.table import Key, Table

_METRICS = "METRICS"
_SHARDS = 8


class Counters:
    """Counters that any number of containers add to; sharded, so that none waits for another."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, amounts: Mapping[str, float]) -> None:
        """Add to named counters (a Prometheus series each), in one write."""
        key = Key(_METRICS, str(secrets.randbelow(_SHARDS)))
        self._table.update(key, Change(add={(name,): amount for name, amount in amounts.items()}))

    def totals(self) -> dict[str, float]:
        """Return every counter, summed over the shards."""
        totals: defaultdict[str, float] = defaultdict(float)
        for item in self._table.query(_METRICS):
            for name in item.keys() - {"pk", "sk"}:
                totals[name] += item[name]
        return dict(totals)

    def hit(self, who: str, *, window: int, width: int, amount: int) -> int:
        """Count requests in a window (its start and width in seconds); return the sum over all containers."""
        change = Change({("ttl",): window + 2 * width}, add={("count",): amount})
        return self._table.update(Key(f"RATE#{who}", str(window)), change)["count"]
