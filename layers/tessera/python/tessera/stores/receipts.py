"""Receipts: what a request with an Idempotency-Key leaves in the very transaction that does its work.

The record of an answer says what was answered. Where the work was done and no answer came of it, since that of the
transaction was lost or the container died with it, the repetition finds the receipt, and by it what was done then.
"""

from collections.abc import Mapping
from typing import Any

from tessera.errors import IdempotencyKeyReused, NothingToDo
from tessera.model.changes import Clause
from tessera.model.clock import DAY_SECONDS, SECOND, Clock
from tessera.model.record import Record, ttl
from tessera.stores.keys import receipt_key
from tessera.stores.table import ABSENT, Put, Table


class Receipt:
    """The receipt of one request: `name` stands for its caller, path and key, `body_hash` for its body."""

    def __init__(self, table: Table, clock: Clock, name: str, body_hash: str) -> None:
        self._table, self._clock, self._name, self._body_hash = table, clock, name, body_hash
        self._unchanged = ABSENT
        self.found = False
        """Whether it was there already."""

    def check(self, session_id: str) -> None:
        """Look whether the request was done before.

        Raises:
            NothingToDo: it was; `found` is what was done, as `left` has it.
            IdempotencyKeyReused: it was, with another body.

        """
        item = self._table.get(receipt_key(session_id, self._name))
        if item is None:
            self._unchanged = ABSENT  # also where TTL came by since the last look
            return
        if item["ttl"] <= self._clock() // SECOND:  # TTL has not come by yet
            self._unchanged = Clause(("ttl",), "is", item["ttl"])
            return
        if item["bodyHash"] != self._body_hash:
            raise IdempotencyKeyReused
        self.found = True
        raise NothingToDo(item["done"])

    def left(self, record: Record, done: Mapping[str, Any]) -> Put:
        """Return the write of the receipt, for the transaction that does what it says.

        A container is taken for dead that only was slow, and the request comes to another one. Both look, and find
        no receipt. One alone can write it; the transaction of the other fails as a whole, it looks again, and
        finds what the first has done.
        """
        last = ttl(record.session.absolute_expires_at, record.retention_seconds)
        item = {
            **receipt_key(record.id, self._name)._asdict(),
            "bodyHash": self._body_hash,
            "done": dict(done),
            "ttl": min(last, self._clock() // SECOND + DAY_SECONDS),
        }
        return Put(item, (self._unchanged,))
