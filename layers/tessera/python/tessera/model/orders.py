"""A completed order, as those outside who must hear of it are told."""

from typing import Any

from tessera.model.changes import Change, applied
from tessera.model.record import Record
from tessera.model.status import Status

TOLD = ("email", "customer", "products", "amount", "currency", "transactionId")


def completed_order(record: Record, change: Change) -> dict[str, Any] | None:
    """Return the order that a change of a session completes, None when it completes none.

    An order has an amount and a currency; a form that is finished has not. Its fields are those of the session,
    `TOLD`, without what is null.
    """
    if change.assign.get(("status",)) != Status.COMPLETED or record.session.status == Status.COMPLETED:
        return None
    after = applied(record.attributes(), change)
    order = {name: after[name] for name in TOLD if name in after}
    return order if "amount" in order and "currency" in order else None
