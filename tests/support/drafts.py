"""Sessions with buckets: containers that write them, and devices that each have seen something of one."""

from collections.abc import Mapping
from typing import Any

from tessera.model.caller import Caller
from tessera.model.changes import Admitted
from tessera.model.data import Held, Wanted, merged, patched
from tessera.model.record import Record
from tessera.stores.bucket import Bucket
from tessera.stores.data import Data
from tessera.stores.expiry import HOUR, Expiry
from tessera.stores.sessions import Sessions
from tessera.stores.table import Table
from tests.support.fakes import START, FakeClock
from tests.support.records import session

SHARDS = 2


class Desk:
    """One container's view of everything; another one is another `Desk` on the same table, bucket and clock."""

    def __init__(self, table: Any, bucket: Any, clock: FakeClock) -> None:
        self.table: Table = table
        self.bucket: Bucket = bucket
        self.clock = clock
        self.sessions = Sessions(table, clock, SHARDS, bucket=lambda: bucket)
        self.data = Data(table, lambda: bucket, clock, sleep=lambda _: None)

    def beside(self, table: Any = None, bucket: Any = None) -> "Desk":
        """Return another container, which sees the same through other stores."""
        return Desk(table or self.table, bucket or self.bucket, self.clock)

    def begin(self, **body: Any) -> str:
        """Make a session; return its id."""
        made = session(**{"kind": "form", "now": self.clock()} | body)
        self.sessions.create(made, body.get("data", {}))
        return made.id

    def admit(self, record: Record) -> Admitted:
        """Let everybody into a live session, as a service is."""
        record.live(self.clock())
        return Admitted(self.clock())

    def admit_with(self, caller: Caller, record: Record) -> Admitted:
        """Let a caller into a live session of their own."""
        caller.admit(record)
        return self.admit(record)

    def load(self, session_id: str, name: str = "form") -> Held | None:
        return self.data.load(session_id, name, lambda record: record.live(self.clock()))

    def save(
        self, session_id: str, data: Mapping[str, Any] | None, name: str = "form", ttl: int | None = None
    ) -> Held | None:
        """Save whatever is there; None removes."""
        return self.data.change(session_id, name, lambda _: Wanted(data, ttl), self.admit)

    def patch(
        self, session_id: str, changes: Mapping[str, Any], base: int | None = None, name: str = "form"
    ) -> Held:
        """Patch, or merge with what others did since the base, as the handler does."""

        def decide(held: Held | None) -> Wanted:
            if held is None or base is None:
                return Wanted(patched(held, changes))
            return Wanted(merged(held, self.data.base(session_id, name, held, base), changes))

        held = self.data.change(session_id, name, decide, self.admit)
        assert held is not None
        return held

    def clean_up(self) -> int:
        """Settle every marker that is due; return how many sessions expired."""
        expiry, now = Expiry(self.table, SHARDS, bucket=lambda: self.bucket), self.clock()
        expired = 0
        for hour in range(START // HOUR, now // HOUR + 1):
            for shard in range(SHARDS):
                page = expiry.due(hour, shard, now, limit=100)
                if page.items:
                    expired += expiry.settle(page.items, now).expired
        return expired
