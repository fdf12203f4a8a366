"""L1: the tier in front of the table, inside the Lambda container. Bounded, off by default, per kind.

It answers reads of kinds whose policy has `cache_seconds`, for that long. When the table fails it answers such
a kind's reads from what it still holds, marked as degraded. Writes go through to the table, always.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tessera.errors import NotFound, Unavailable
from tessera.model.changes import Change
from tessera.model.clock import SECOND, Clock, Millis
from tessera.model.kinds import Kind
from tessera.model.record import Record
from tessera.stores.session_store import Decision, SessionStore
from tessera.stores.tiers import L1, Tiers

CAPACITY = 1_000
"""Sessions held; at a few KB each, a few MB."""

DEGRADED: Millis = 60 * SECOND
"""How old an answer may be while the table fails."""


@dataclass(frozen=True, slots=True)
class _Held:
    record: Record
    at: Millis


class CachedSessions:
    """Implements `SessionStore` in front of another one."""

    def __init__(self, behind: SessionStore, kinds: Mapping[str, Kind], clock: Clock, tiers: Tiers) -> None:
        self._behind, self._kinds, self._clock, self._tiers = behind, kinds, clock, tiers
        self._held: OrderedDict[str, _Held] = OrderedDict()

    def create(self, record: Record, data: Mapping[str, Any], aliases: Sequence[str] = ()) -> None:
        """See SessionStore."""
        self._behind.create(record, data, aliases)

    def find(self, session_id: str) -> Record:
        """See SessionStore. Always from the table: who asks about an expired session wants to know exactly."""
        return self._behind.find(session_id)

    def resolve(self, session_id: str) -> str:
        """See SessionStore."""
        return self._behind.resolve(session_id)

    def get(self, session_id: str, *, degradable: bool = False) -> Record:
        """See SessionStore."""
        with self._tiers.timed(L1):
            record = self._fresh(session_id)
        if record is not None:
            return record.live(self._clock())
        self._tiers.spent.pop(L1)
        try:
            return self._keep(self._behind.get(session_id))
        except NotFound:
            self._held.pop(session_id, None)
            raise
        except Unavailable:
            held = self._held.get(session_id)
            if not degradable or held is None or self._clock() - held.at > DEGRADED:
                raise
            self._tiers.degraded = True
            with self._tiers.timed(L1):
                return held.record.live(self._clock())

    def change(self, session_id: str, decide: Callable[[Record], Change]) -> Record:
        """See SessionStore."""
        self._held.pop(session_id, None)
        return self._keep(self._behind.change(session_id, decide))

    def change_with(self, session_id: str, decide: Callable[[Record], Decision]) -> Record:
        """See SessionStore."""
        self._held.pop(session_id, None)
        return self._keep(self._behind.change_with(session_id, decide))

    def data(self, session_id: str, names: Collection[str] | None = None) -> dict[str, Any]:
        """See SessionStore."""
        return self._behind.data(session_id, names)

    def of_customer(
        self, customer_id: str, limit: int, start: tuple[int, str] | None = None
    ) -> tuple[list[Record], tuple[int, str] | None]:
        """See SessionStore."""
        return self._behind.of_customer(customer_id, limit, start)

    def delete(self, session_id: str, version: int | None = None, *, purge: bool = False) -> bool:
        """See SessionStore."""
        self._held.pop(session_id, None)
        return self._behind.delete(session_id, version, purge=purge)

    def _fresh(self, session_id: str) -> Record | None:
        held = self._held.get(session_id)
        if held is None or self._clock() - held.at >= self._seconds(held.record) * SECOND:
            return None
        self._held.move_to_end(session_id)
        return held.record

    def _keep(self, record: Record) -> Record:
        if self._seconds(record):
            self._held[record.id] = _Held(record, self._clock())
            self._held.move_to_end(record.id)
            if len(self._held) > CAPACITY:
                self._held.popitem(last=False)
        return record

    def _seconds(self, record: Record) -> int:
        kind = self._kinds.get(record.session.kind)
        return kind.cache_seconds if kind else 0
