"""The status machine: pending → processing → completed | failed; any live one → expired."""

from collections.abc import Mapping
from enum import StrEnum

from tessera.errors import IllegalTransition


class Status(StrEnum):
    """Where a session stands."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"


TRANSITIONS: Mapping[Status, tuple[Status, ...]] = {
    Status.PENDING: (Status.PROCESSING, Status.EXPIRED),
    Status.PROCESSING: (Status.COMPLETED, Status.FAILED, Status.EXPIRED),
    Status.COMPLETED: (Status.EXPIRED,),
    Status.FAILED: (Status.EXPIRED,),
    Status.EXPIRED: (),
}


def check_transition(current: Status, wanted: Status) -> None:
    """Raise IllegalTransition unless the arrow exists or nothing changes."""
    if wanted != current and wanted not in TRANSITIONS[current]:
        raise IllegalTransition(f"{current} does not become {wanted}", allowed=list(TRANSITIONS[current]))
