"""What lies where in the table.

    pk                sk                   item
    SESSION#<id>      CORE                 the session (`Record.attributes`); after its expiry, a tombstone
    SESSION#<id>      EXPIRY               the marker by which the clean-up finds it; no TTL, it goes last
    SESSION#<id>      DATA#<bucket>        {data, version, updatedAt, expiresAt?}; where that is too large for an
                                           item {overflow, overflowBytes} in place of data: a key in S3
    SESSION#<id>      PAST#<bucket>#<slot>  {version, steps}: what leads back from that version of a bucket
    SESSION#<id>      MSG#<conversation>#<seq>   a segment: the messages of one append, from that seq on
    SESSION#<id>      MID#<messageId>      where the message with this id of a client is
    SESSION#<id>      ACT#<ulid>           {type: "cart", actions}: the cart actions of one request
    SESSION#<id>      VIEWS                {views, version}: the last views
    SESSION#<id>      STEP#<ulid>          {name, from?, to?, at, details}: an event of its flow
    SESSION#<id>      PUSH#<id>            {endpoint, p256dh, auth, changes, createdAt}: a browser to push to
    SESSION#<id>      EXPOSURE#<key>       {experiment, variation, unit, at}: what it sees of an experiment
    SESSION#<id>      IDEMPOTENCY#<hash>   the sealed answer to a POST, for 24 hours
    SESSION#<id>      RECEIPT#<hash>       {bodyHash, done}: what a POST with an Idempotency-Key has done; 24 hours
    IDEMPOTENCY#…     IDEMPOTENCY#<hash>   the same as the answer where no session is concerned
    CONVERSATION#<session>  HEAD#<conversation>         what stands of a conversation; lives as long as its archive
    CONVERSATION#<session>  RANGE#<conversation>#<seq>  an archive object: the messages from that seq on
    OUTBOX#<session>  ORDER                a completed order of which a CRM has still to be told, or its deal's id
    CHARGE#<session>  CHECKOUT, UPSELL#<offer>  a charge that is not settled; without TTL, it outlives the session
    SANDBOX#<key>     CHARGE               what the sandbox of payments remembers of a charge
    ALIAS#<alias>     ALIAS                {id}: an id of a system that moved in
    METRICS           <shard>              counters, summed up by GET /metrics
    RATE#<who>        <window>             {count}
    PACE              <name>               {dueAt}: when the next call to a service of this name is due
    CIRCUIT           <name>               {state, failures, openedAt?, owner?, leaseUntil}: of a circuit breaker
    CLEANUP           STATE                where the clean-up stands
    COMPACTION        STATE                {batch, pending?}: which batch of the compaction was the last

Every child of a session carries the absolute expiry (or an earlier end) as its TTL, so that even what no
clean-up finds goes in the end.
"""

from tessera.stores.table import Key

CORE = "CORE"
MARKER = "EXPIRY"
SEGMENT, MESSAGE_ID, HEAD, RANGE = "MSG#", "MID#", "HEAD#", "RANGE#"
_DIGITS = 10
ACTIONS, VIEWS, STEPS, PUSH = "ACT#", "VIEWS", "STEP#", "PUSH#"
DATA, PAST = "DATA#", "PAST#"
VERSIONS_BACK = 128
"""How many versions of a bucket there are steps back from; the next one takes the slot of the oldest."""
CART = "cart"
"""The type of an item of actions."""

CLEANUP = Key("CLEANUP", "STATE")
COMPACTION = Key("COMPACTION", "STATE")

EXPOSURES = "EXPOSURE#"
OUTBOX = "OUTBOX#"
OUTBOX_DUE = "OUTBOX"
"""The place in the index by expiry where orders wait to be delivered."""


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


def segment_key(session_id: str, conversation_id: str, seq: int) -> Key:
    """Return the key of the segment that begins with that sequence number."""
    return child_key(session_id, f"{SEGMENT}{conversation_id}#{seq:0{_DIGITS}}")


def message_id_key(session_id: str, message_id: str) -> Key:
    """Return the key under which a client's message id is known."""
    return child_key(session_id, f"{MESSAGE_ID}{message_id}")


def data_key(session_id: str, bucket: str) -> Key:
    """Return the key of a bucket."""
    return child_key(session_id, f"{DATA}{bucket}")


def past_key(session_id: str, bucket: str, version: int) -> Key:
    """Return the key of the steps back from that version of a bucket."""
    return child_key(session_id, f"{PAST}{bucket}#{version % VERSIONS_BACK:03}")


def conversations(session_id: str) -> str:
    """Return the partition of a session's conversations; it outlives the session's own."""
    return f"CONVERSATION#{session_id}"


def head_key(session_id: str, conversation_id: str) -> Key:
    """Return the key of a conversation's head."""
    return Key(conversations(session_id), f"{HEAD}{conversation_id}")


def range_key(session_id: str, conversation_id: str, seq: int) -> Key:
    """Return the key of the archive object that begins with that sequence number."""
    return Key(conversations(session_id), f"{RANGE}{conversation_id}#{seq:0{_DIGITS}}")


def conversation_of(key: Key) -> tuple[str, str]:
    """Return the session and the conversation that a segment, a head or a range belongs to."""
    return key.pk.partition("#")[2], key.sk.split("#")[1]


def first_seq_of(key: Key) -> int:
    """Return the sequence number with which a segment or a range begins."""
    return int(key.sk.rpartition("#")[2])


def exposure_key(session_id: str, experiment: str) -> Key:
    """Return the key of what a session sees of an experiment."""
    return child_key(session_id, f"{EXPOSURES}{experiment}")


def receipt_key(session_id: str, name: str) -> Key:
    """Return the key of the receipt of a request."""
    return child_key(session_id, f"RECEIPT#{name}")


def outbox_key(session_id: str) -> Key:
    """Return the key of what the outbox has of a session."""
    return Key(f"{OUTBOX}{session_id}", "ORDER")


def outbox_of(customer_id: str) -> str:
    """Return the place of a customer's orders in the index by customer, apart from the sessions."""
    return f"{OUTBOX}{customer_id}"


def charge_key(session_id: str, offer_id: str | None) -> Key:
    """Return the key of a charge: of an accepted offer, of the checkout itself without one."""
    return Key(f"CHARGE#{session_id}", "CHECKOUT" if offer_id is None else f"UPSELL#{offer_id}")


def alias_key(alias: str) -> Key:
    """Return the key under which an alias names its session."""
    return Key(f"ALIAS#{alias}", "ALIAS")


def pace_key(name: str) -> Key:
    """Return the key of the pace of calls to a service."""
    return Key("PACE", name)


def circuit_key(name: str) -> Key:
    """Return the key of a circuit breaker's state."""
    return Key("CIRCUIT", name)
