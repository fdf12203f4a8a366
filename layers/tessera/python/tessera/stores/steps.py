"""The events of a session's flow, each an item beside it, written with the change that it tells of."""

from tessera.model.flows import FlowEvent
from tessera.model.record import Record, ttl
from tessera.stores.keys import STEPS, child_key
from tessera.stores.table import ABSENT, Put


def happened(record: Record, event: FlowEvent, ulid: str) -> Put:
    """Return what records an event; the stream tells of it, and the facts for analysis are made of that."""
    item = {
        **child_key(record.id, STEPS + ulid)._asdict(),
        "id": ulid,
        "name": event.name.value,
        "kind": record.session.kind,
        "at": event.at,
        "ttl": ttl(record.session.absolute_expires_at, record.retention_seconds),
    }
    optional = {
        "from": event.origin,
        "to": event.to,
        "details": dict(event.details) or None,
        "customer": record.session.customer_id,  # not the name of the index by customer
    }
    return Put(item | {name: value for name, value in optional.items() if value is not None}, (ABSENT,))
