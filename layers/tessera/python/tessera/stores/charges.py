"""Charges that are not settled: written before the provider is asked, gone with the answer's write.

They lie in partitions of their own, so that a session which expires or is deleted in the middle takes none along,
and in the index by expiry, so that the reconciler finds them without a scan. The means of payment are sealed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tessera.errors import PoisonedItem, Stale
from tessera.model.changes import Change
from tessera.model.clock import DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS, SECOND, Millis
from tessera.model.payments import Charge, Intent
from tessera.stores.expiry import shard_of
from tessera.stores.keys import charge_key
from tessera.stores.table import ABSENT, BY_EXPIRY, PRESENT, Delete, Item, Key, Put, Table, waiting

GRACE: Millis = MINUTE_SECONDS * SECOND
"""How long who wrote an intent has it alone: longer than its function may run."""

FLAGGED = "CHARGES#FLAGGED"
"""The place in the index by expiry where charges wait for a person, by the time when they were flagged."""

_FLAGGED_SECONDS = 400 * DAY_SECONDS
_LONGEST_WAIT: Millis = 4 * MINUTE_SECONDS * SECOND
"""So that every five minutes, which is what the alarm looks at, each one is looked at."""


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A charge that is not settled: what it is for, the sealed means, how often the reconciler has asked."""

    intent: Intent
    sealed: str
    asked: int = 0


class Charges:
    """The charges that are not settled, over any table. They are opened and closed with their session's change."""

    def __init__(self, table: Table, shards: int) -> None:
        self._table, self.shards = table, shards

    def opened(self, intent: Intent, sealed: str) -> Put:
        """Return what writes an intent. It is there once: of two that begin, the session lets one through."""
        optional = {"offerId": intent.offer_id, "step": intent.step}
        item: Item = {
            **_key(intent)._asdict(),
            "sessionId": intent.session_id,
            "amount": intent.amount,
            "currency": intent.currency,
            "at": intent.at,
            "sealed": sealed,
            BY_EXPIRY.pk: due_bucket(shard_of(intent.session_id, self.shards)),
            BY_EXPIRY.sk: intent.at + GRACE,
        }
        return Put(item | {name: value for name, value in optional.items() if value is not None}, (ABSENT,))

    def closed(self, intent: Intent) -> Delete:
        """Return what takes a settled charge away, and the means with it."""
        return Delete(_key(intent))

    def close(self, intent: Intent) -> None:
        """Take away a charge that was never made and will not be."""
        self._table.delete(_key(intent))

    def get(self, key: Key) -> Unsettled | None:
        """Return a charge, None when it is settled or flagged.

        Raises:
            PoisonedItem: it cannot be read.

        """
        item = self._table.get(key)
        if item is None or "flagged" in item:
            return None
        try:
            return Unsettled(_intent(item), item["sealed"], item.get("asked", 0))
        except (KeyError, TypeError) as error:
            raise PoisonedItem(key.pk) from error

    def due(self, shard: int, now: Millis) -> Iterator[Item]:
        """Give the keys of charges that the reconciler is to look at, the longest waiting first."""
        return waiting(self._table, due_bucket(shard), now)

    def postpone(self, key: Key, asked: int, now: Millis) -> None:
        """Look at it again later, the later the more often that was in vain."""
        wait = min(MINUTE_SECONDS * SECOND << min(asked, 10), _LONGEST_WAIT)
        self._update(key, Change({("asked",): asked + 1, (BY_EXPIRY.sk,): now + wait}, clauses=(PRESENT,)))

    def set_aside(self, key: Key, now: Millis) -> None:
        """Look at one that cannot be read again in an hour."""
        self._update(key, Change({(BY_EXPIRY.sk,): now + HOUR_SECONDS * SECOND}, clauses=(PRESENT,)))

    def flag(self, intent: Intent, charge: Charge, reason: str, now: Millis) -> None:
        """Keep a charge that was paid, and whose session cannot take it, for a person to see to.

        Of two runs that look at one charge at once, the one may have dropped it while the other one made it, and
        the session is gone: so nothing has to be there. It may also be settled; rather one look too many then.
        """
        told = {"flagged": reason, "transactionId": charge.transaction_id}
        assigned: dict[tuple[str, ...], Any] = {
            **{(name,): value for name, value in told.items() if value is not None},
            ("sessionId",): intent.session_id,
            ("amount",): intent.amount,
            ("currency",): intent.currency,
            ("at",): intent.at,
            ("ttl",): now // SECOND + _FLAGGED_SECONDS,
            (BY_EXPIRY.pk,): FLAGGED,
            (BY_EXPIRY.sk,): now,
        }
        self._update(_key(intent), Change(assigned, frozenset({("sealed",)})))

    def _update(self, key: Key, change: Change) -> None:
        try:
            self._table.update(key, change)
        except Stale:
            return  # it was settled meanwhile


def due_bucket(shard: int) -> str:
    """Return the place in the index by expiry where charges wait for the reconciler."""
    return f"CHARGES#{shard:02d}"


def _key(intent: Intent) -> Key:
    return charge_key(intent.session_id, intent.offer_id)


def _intent(item: Item) -> Intent:
    return Intent(
        session_id=item["sessionId"],
        offer_id=item.get("offerId"),
        amount=item["amount"],
        currency=item["currency"],
        step=item.get("step"),
        at=item["at"],
    )
