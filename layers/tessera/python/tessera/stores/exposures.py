"""Exposures to experiments beside a session: which variation it sees, recorded once and kept to."""

from typing import Any

from tessera.model.experiments import Exposure
from tessera.model.record import Record, ttl
from tessera.stores.keys import exposure_key
from tessera.stores.table import ABSENT, Put, Table


class Exposures:
    """The exposures of sessions. They are written in the transactions of `SessionStore.change_with` alone."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def of(self, session_id: str, experiment: str) -> str | None:
        """Return the variation that a session has been exposed to, None before it was."""
        item = self._table.get(exposure_key(session_id, experiment))
        return item["variation"] if item else None

    def recorded(self, record: Record, exposure: Exposure) -> Put:
        """Return what records an exposure.

        Two tabs ask at once: both find none and decide; the second one's item is in the way of nobody but itself,
        so its transaction fails, it asks again, and finds what the first one has seen.
        """
        item: dict[str, Any] = {
            **exposure_key(record.id, exposure.experiment)._asdict(),
            "experiment": exposure.experiment,
            "variation": exposure.variation,
            "unit": exposure.unit,
            "at": exposure.at,
            "ttl": ttl(record.session.absolute_expires_at, record.retention_seconds),
        }
        if record.session.customer_id:
            item["customer"] = record.session.customer_id  # not the name of the index by customer
        return Put(item, (ABSENT,))
