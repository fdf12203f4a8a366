"""The heads of conversations: what stands of each, for as long as anything of it is kept.

A head is made with the first message and outlives its session. It carries the high-water mark of the archive, the
customer whose memory it belongs to, what was popped, its end, and when an archive run has something to do with it.
"""

from tessera.model.changes import Change
from tessera.model.clock import Millis
from tessera.stores.expiry import shard_of
from tessera.stores.table import BY_EXPIRY

_DUE = "ARCHIVE#"


def memory_of(customer_id: str) -> str:
    """Return the place of a customer's conversations in the index by customer, apart from the sessions."""
    return f"MEMORY#{customer_id}"


def due_bucket(shard: int) -> str:
    """Return the place in the index by expiry where conversations wait to be archived or to go."""
    return f"{_DUE}{shard:02d}"


def due(session_id: str, at: Millis, shards: int) -> Change:
    """Put a head among those that an archive run looks at from that moment on."""
    bucket = due_bucket(shard_of(session_id, shards))
    return Change({(BY_EXPIRY.pk,): bucket, (BY_EXPIRY.sk,): at})


def compaction_bucket(shard: int) -> str:
    """Return the place in the index by expiry where archive objects wait for the compaction."""
    return f"COMPACT#{shard:02d}"
