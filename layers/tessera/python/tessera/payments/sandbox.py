"""A provider that takes no money, for development and tests. What becomes of a charge is in the name of its means.

    tok_declined         is declined, reason "declined"
    tok_timeout          is charged, but the answer gets lost: asked again, the sandbox says that it is paid
    tok_error            is not charged at the first call, which fails; a further call charges
    tok_then_declined    is charged, and the vault that it leaves is declined from then on
    any other            is charged

A vault is judged the same way by its last word: vault_declined, vault_timeout, vault_error. Charges are remembered
in the table, by their idempotency key, so that all functions know of them.
"""

from typing import Any

from tessera.errors import Stale, Unavailable
from tessera.model.changes import Change, Clause
from tessera.model.clock import DAY_SECONDS, SECOND, Clock
from tessera.model.payments import Charge, Intent, Means
from tessera.stores.table import ABSENT, Item, Key, Table

_REMEMBERED_SECONDS = 30 * DAY_SECONDS
_DIGITS = 24


class Sandbox:
    """Implements `PaymentProvider` on a table."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table, self._clock = table, clock

    def charge(self, intent: Intent, means: Means) -> Charge:
        """See PaymentProvider."""
        words = (means.token or means.vault or "").split("_")
        outcome = words[-1]
        if outcome == "error" and self._first_time(intent.key):
            raise Unavailable
        declined = outcome == "declined" and "then" not in words
        made: dict[str, Any] = {
            "paid": not declined,
            "transactionId": f"txn_{intent.key[-_DIGITS:]}",
            "amount": intent.amount,
            "currency": intent.currency,
        }
        made |= {"reason": "declined"} if declined else {"vaultId": means.vault or _vault(intent, words)}
        item = self._remembered(intent, made)
        if outcome == "timeout":
            raise Unavailable
        return _shown(item)

    def find(self, key: str) -> Charge | None:
        """See PaymentProvider."""
        item = self._table.get(_key(key))
        return _shown(item) if item and "paid" in item else None

    def _first_time(self, key: str) -> bool:
        try:
            self._table.update(_key(key), Change({("tried",): True, ("ttl",): self._ttl()}, clauses=(ABSENT,)))
        except Stale:
            return False
        return True

    def _remembered(self, intent: Intent, made: dict[str, Any]) -> Item:
        """Two call at once with one key: the first one charges, the second one is told what it did."""
        change = Change(
            {(name,): value for name, value in made.items()} | {("ttl",): self._ttl()},
            clauses=(Clause(("paid",), "absent"),),
        )
        try:
            return self._table.update(_key(intent.key), change)
        except Stale as stale:
            found = stale.found or {}
            if (found["amount"], found["currency"]) != (intent.amount, intent.currency):
                raise  # a fault of ours: real providers refuse it too
            return dict(found)

    def _ttl(self) -> int:
        return self._clock() // SECOND + _REMEMBERED_SECONDS


def _vault(intent: Intent, words: list[str]) -> str:
    return "vault_declined" if words[-2:] == ["then", "declined"] else f"vault_{intent.key[-_DIGITS:]}"


def _key(key: str) -> Key:
    return Key(f"SANDBOX#{key}", "CHARGE")


def _shown(item: Item) -> Charge:
    return Charge(item["paid"], item["transactionId"], item.get("vaultId"), item.get("reason"))
