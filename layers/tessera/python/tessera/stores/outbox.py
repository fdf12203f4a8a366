"""The outbox: orders of which a CRM has still to be told, written in the transaction that completes them.

An item of it lies in a partition of its own beside the session's, which ends with the session: a CRM may be down
for longer. It has the order as it was completed until a deal is made of it, then only the deal's id.

Who delivers an order claims it first, for `CLAIM`. A claim is no lock that somebody must give back: it ends by
itself, and everybody who writes says which claim it is of. Before the call that makes the deal stands `intend`:
whoever claims an order with an intent knows that there may be a deal already.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tessera.errors import Stale
from tessera.model.changes import Change, Clause
from tessera.model.clock import DAY_SECONDS, MINUTE_SECONDS, SECOND, Millis
from tessera.model.orders import completed_order
from tessera.model.record import Record
from tessera.stores.keys import OUTBOX_DUE, outbox_key, outbox_of
from tessera.stores.table import ABSENT, BY_CUSTOMER, BY_EXPIRY, PRESENT, Item, Put, Table, waiting

GRACE: Millis = 2 * MINUTE_SECONDS * SECOND
"""How long the stream has for an order before the schedule looks at it."""

CLAIM: Millis = 10 * MINUTE_SECONDS * SECOND
"""How long an order is its claimant's. No function runs for so long, and no request to a CRM."""

KEPT_SECONDS = 30 * DAY_SECONDS
"""How long an item stays at most, told or not."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An order in the hands of one who delivers it, until then. `number` counts the claims, from 1 on.

    `intended`: an earlier claimant may have made the deal. `order` is as `model.orders` has it.
    """

    session_id: str
    number: int
    order: Mapping[str, Any]
    completed_at: Millis
    until: Millis
    intended: bool


class Outbox:
    """The outbox over any table. While it is not `on`, nothing comes into it."""

    def __init__(self, table: Table, *, on: bool) -> None:
        self._table, self._on = table, on

    def completed(self, record: Record, change: Change, now: Millis) -> list[Put]:
        """Return what is to be written with a change of a session: an item when it completes an order.

        Completed twice, by a checkout and what reconciles it: the session's own condition lets one of them
        through, and this one refuses whatever that may have missed.
        """
        order = completed_order(record, change) if self._on else None
        if order is None:
            return []
        item: Item = {
            **outbox_key(record.id)._asdict(),
            "order": order,
            "claims": 0,
            "freeAt": 0,
            BY_EXPIRY.pk: OUTBOX_DUE,
            BY_EXPIRY.sk: now + GRACE,
            BY_CUSTOMER.sk: now,
            "ttl": now // SECOND + KEPT_SECONDS,
        }
        if record.session.customer_id:
            item[BY_CUSTOMER.pk] = outbox_of(record.session.customer_id)  # so that an erasure finds it
        return [Put(item, (ABSENT,))]

    def due(self, now: Millis) -> Iterator[Item]:
        """Give the keys of those that wait for a delivery, the longest waiting first."""
        return waiting(self._table, OUTBOX_DUE, now)

    def claim(self, session_id: str, now: Millis) -> Claim | None:
        """Take the order of a session in hand; None when there is none, or it is told or in other hands.

        The stream tells of an order twice; the schedule comes to it at the same moment; a claimant has died, or
        only seems to have: of all that come, one finds `freeAt` behind it and moves it, and the others do not.
        """
        until = now + CLAIM
        clauses = (
            PRESENT,
            Clause(("dealId",), "absent"),
            Clause(("freeAt",), "at most", now),
        )
        taken = Change(
            {("freeAt",): until, (BY_EXPIRY.pk,): OUTBOX_DUE, (BY_EXPIRY.sk,): until},
            clauses=clauses,
            add={("claims",): 1},
        )
        try:
            item = self._table.update(outbox_key(session_id), taken)
        except Stale:
            return None
        return Claim(
            session_id,
            number=item["claims"],
            order=item["order"],
            completed_at=item[BY_CUSTOMER.sk],
            until=until,
            intended="intended" in item,
        )

    def intend(self, claim: Claim) -> bool:
        """Note that the deal is about to be made; False when the claim has passed to another meanwhile."""
        return self._written(claim, Change({("intended",): True}))

    def delivered(self, claim: Claim, deal_id: str, now: Millis) -> None:
        """Note the deal; what is personal goes. One whose claim has ended may say so too: the first counts."""
        told = Change(
            {("dealId",): deal_id, ("deliveredAt",): now},
            remove=frozenset(
                (name,) for name in ("order", "freeAt", "intended", *BY_EXPIRY[1:], *BY_CUSTOMER[1:])
            ),
            clauses=(PRESENT, Clause(("dealId",), "absent")),
        )
        try:
            self._table.update(outbox_key(claim.session_id), told)
        except Stale:
            return  # another found the same deal first

    def postpone(self, claim: Claim, until: Millis, *, refused: bool = False) -> bool:
        """Give the order back until then. Only where the CRM has `refused` the deal is an intent taken back.

        Whoever does not know what became of a call gives nothing back: it leaves the order as one who has died
        there leaves it, and the next claim comes when such a call must have ended.
        """
        change = Change({("freeAt",): until, (BY_EXPIRY.sk,): until})
        return self._written(claim, change | Change(remove=frozenset({("intended",)} if refused else ())))

    def give_up(self, claim: Claim) -> bool:
        """Take the order off the schedule; it stays for who tells of it again by hand."""
        return self._written(claim, Change(remove=frozenset({(BY_EXPIRY.pk,), (BY_EXPIRY.sk,)})))

    def _written(self, claim: Claim, change: Change) -> bool:
        mine = Change(clauses=(Clause(("claims",), "is", claim.number), Clause(("dealId",), "absent")))
        try:
            self._table.update(outbox_key(claim.session_id), change | mine)
        except Stale:
            return False
        return True
