"""What lies where in the table.

    pk                sk                   item
    SESSION#<id>      CORE                 the session (`Record.attributes`); after its expiry, a tombstone
    SESSION#<id>      EXPIRY               the marker by which the clean-up finds it; no TTL, it goes last
    SESSION#<id>      DATA#<bucket>        {data, version, updatedAt}
    SESSION#<id>      IDEMPOTENCY#<hash>   the sealed answer to a POST, for 24 hours
    IDEMPOTENCY#…     IDEMPOTENCY#<hash>   the same where no session is concerned
    ALIAS#<alias>     ALIAS                {id}: an id of a system that moved in
    METRICS           <shard>              counters, summed up by GET /metrics
    RATE#<who>        <window>             {count}
    CLEANUP           STATE                where the clean-up stands

Every child of a session carries the absolute expiry (or an earlier end) as its TTL, so that even what no
clean-up finds goes in the end.
"""

from tessera.stores.table import Key

CORE = "CORE"
MARKER = "EXPIRY"
CLEANUP = Key("CLEANUP", "STATE")


def partition(session_id: str) -> str:
    """Return the partition in which everything of a session lies."""
    return f"SESSION#{session_id}"


def session_of(pk: str) -> str:
    """Return the session id of a partition."""
    return pk.removeprefix("SESSION#")


def child_key(session_id: str, name: str) -> Key:
    """Return the key of an item of a session."""
    return Key(partition(session_id), name)


def core_key(session_id: str) -> Key:
    """Return the key of the session itself."""
    return child_key(session_id, CORE)


def alias_key(alias: str) -> Key:
    """Return the key under which an alias names its session."""
    return Key(f"ALIAS#{alias}", "ALIAS")
