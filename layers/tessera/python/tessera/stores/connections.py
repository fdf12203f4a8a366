"""Live connections and what they subscribe to.

CONNECTION#<id>   CONNECTION        the connection; in the index of what is due
CONNECTION#<id>   TOPIC#<topic>     {}: what it subscribes to
TOPIC#<topic>     SUB#<id>          {member, presence, away?, joinedAt, sessionId?, until}: from the other side
OWNER#<session>   CONNECTION#<id>   {epoch}: the connections of a session
TICKET#<hash>     TICKET            a ticket that was not used yet
"""

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import batched
from typing import Any, NamedTuple
from zlib import crc32

from tessera.errors import Cancelled, Stale, TokenInvalid
from tessera.model.caller import Caller
from tessera.model.changes import Change, Clause
from tessera.model.clock import MINUTE_SECONDS, SECOND, Clock, Millis, rfc3339
from tessera.model.live import Connection
from tessera.model.topics import Topic
from tessera.stores.table import ABSENT, MAX_WRITES, PRESENT, Index, Item, Key, Put, Table, Update, waiting
from tessera.stores.topics import partition

BY_DUE = Index("byDue", "dueBucket", "dueAt")
SHARDS = 4
TICKET_SECONDS = 60
SUB = "SUB#"
BEFORE_ALL = " "
"""Sorts before the id of every connection."""

_CONNECTION, _TICKET, _TOPIC = "CONNECTION", "TICKET", "TOPIC#"
_LAST = "~"  # sorts after every id
_SPARE = 10 * MINUTE_SECONDS


class Ticket(NamedTuple):
    """What opens one connection, until then."""

    text: str
    expires_at: Millis


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A connection that subscribes to a topic, as the topic knows it."""

    id: str
    member: str
    session_id: str
    presence: bool
    joined_at: Millis
    away: bool

    def as_json(self) -> dict[str, Any]:
        """Return it as others see it."""
        of = {"sessionId": self.session_id} if self.session_id else {}
        return {"member": self.member, "joinedAt": rfc3339(self.joined_at)} | of


class Connections:
    """The connections of a table."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table, self._clock = table, clock

    def issue(self, caller: Caller) -> Ticket:
        """Make a ticket for a session or a service; only its hash is kept."""
        text, now = secrets.token_urlsafe(32), self._clock()
        expires_at = now + TICKET_SECONDS * SECOND
        item = {**_ticket_key(text)._asdict(), "caller": caller.context(), "expiresAt": expires_at}
        self._table.transact([Put(item | {"ttl": expires_at // SECOND + MINUTE_SECONDS}, (ABSENT,))])
        return Ticket(text, expires_at)

    def redeem(self, text: str) -> Caller:
        """Use a ticket up; return whose it was.

        Two come with the same ticket at once: both read it, one deletes it, the other finds nothing to delete.

        Raises:
            TokenInvalid: unknown, used, or too old.

        """
        found = self._table.get(_ticket_key(text))
        fresh = Clause(("expiresAt",), "after", self._clock())
        try:
            used = found is not None and self._table.delete(_ticket_key(text), (fresh,))
        except Stale:
            used = False
        if found is None or not used:
            raise TokenInvalid("The ticket is unknown, used or too old")
        return Caller.of(found["caller"])

    def open(self, connection: Connection) -> None:
        """Keep a connection."""
        last = {"ttl": connection.limit // SECOND + _SPARE}
        writes = [Put({**_key(connection.id)._asdict(), **_attributes(connection), **last})]
        if connection.caller.session_id:
            owned = _owner_key(connection.caller.session_id, connection.id)._asdict()
            writes.append(Put({**owned, "epoch": connection.caller.epoch, **last}))
        self._table.transact(writes)

    def get(self, connection_id: str) -> Connection | None:
        """Return a connection."""
        item = self._table.get(_key(connection_id))
        return None if item is None else _connection(item)

    def note(self, before: Connection, after: Connection) -> bool:
        """Write what has changed of a connection; False when it is gone."""
        if change := _changed(before, after):
            try:
                self._table.update(_key(after.id), Change(change, clauses=(PRESENT,)))
            except Stale:
                return False
        return True

    def mark_away(self, before: Connection, after: Connection) -> None:
        """Have those who watch its topics miss a connection, or see it again, as `after.away` says.

        It falls silent and sends a frame at once: what was seen first stands, the other finds another `seenAt`.
        """
        seen = Change(_changed(before, after), clauses=(PRESENT, Clause(("seenAt",), "is", before.seen_at)))
        mark = Change({("away",): after.away}, clauses=(PRESENT,))
        topics = [Topic.parse(item["topic"]) for item in self._table.query(_key(before.id).pk, _TOPIC)]
        writes = [Update(_key(before.id), seen), *(Update(_sub_key(topic, before.id), mark) for topic in topics)]
        with suppress(Cancelled):  # it is seen, gone, or changes its topics: the next frame or sweep tells
            for page in batched(writes, MAX_WRITES, strict=False):
                self._table.transact(page)

    def subscribe(self, connection: Connection, topic: Topic, *, presence: bool) -> bool:
        """Have a connection receive a topic, which is a sign of life; False when it is gone.

        It disconnects meanwhile: either its own item is gone and nothing is written, or the disconnection comes
        later and finds the subscription. What others write of it meanwhile stays, such as that it is away.
        """
        after = replace(connection, seen_at=self._clock(), present=connection.present or presence)
        last = {"until": connection.limit, "ttl": connection.limit // SECOND + _SPARE}
        sub: Item = {**_sub_key(topic, connection.id)._asdict(), "topic": str(topic), **last}
        sub |= {
            "member": connection.member,
            "presence": presence,
            "joinedAt": self._joined_at(connection, topic, presence),
        }
        if connection.caller.session_id:
            sub["sessionId"] = connection.caller.session_id
        change = _changed(connection, after) | {("seenAt",): after.seen_at}  # an update changes something
        seen = Change(change, clauses=(PRESENT,))
        mine = {**_topic_key(connection.id, topic)._asdict(), "topic": str(topic), "ttl": last["ttl"]}
        try:
            self._table.transact([Update(_key(connection.id), seen), Put(mine), Put(sub)])
        except Cancelled:
            return False
        return True

    def _joined_at(self, connection: Connection, topic: Topic, presence: bool) -> Millis:
        """Return since when others see it there, also where it subscribes again to resume."""
        found = self._table.get(_sub_key(topic, connection.id)) if presence else None
        return found["joinedAt"] if found and is_seen(found) else self._clock()

    def unsubscribe(self, connection_id: str, topic: Topic) -> None:
        """Have a connection receive a topic no more."""
        self._table.delete_many([_sub_key(topic, connection_id), _topic_key(connection_id, topic)])

    def close(self, connection_id: str) -> bool:
        """Forget a connection and all its subscriptions; False when there was nothing."""
        found = self._table.get(_key(connection_id))
        existed = self._table.delete(_key(connection_id))
        topics = list(self._table.query(_key(connection_id).pk, _TOPIC))
        subs = [Key(f"{_TOPIC}{item['topic']}", f"{SUB}{connection_id}") for item in topics]
        self._table.delete_many([*subs, *(Key(item["pk"], item["sk"]) for item in topics)])
        session_id = Caller.of(found["caller"]).session_id if found else ""
        if session_id:
            self._table.delete(_owner_key(session_id, connection_id))
        return existed or bool(topics)

    def of_session(self, session_id: str) -> list[tuple[str, int]]:
        """Return the connections of a session, each with the epoch of the token that it came by."""
        items = self._table.query(f"OWNER#{session_id}", _CONNECTION)
        return [(item["sk"].partition("#")[2], item["epoch"]) for item in items]

    def subscribers(self, topic: Topic, *, after: str = "") -> Iterator[Subscriber]:
        """Return who receives a topic, as they are taken, in the order of their ids, those after a given one."""
        now = self._clock()
        first = f"{SUB}{after}!" if after else SUB
        items = self._table.query_between(partition(topic), first, f"{SUB}{_LAST}")
        return (_subscriber(item) for item in items if item["until"] > now)

    def get_many(self, connection_ids: Sequence[str]) -> list[Connection]:
        """Return those of the connections that stand."""
        return [_connection(item) for item in self._table.get_many([_key(each) for each in connection_ids])]

    def due(self, shard: int, now: Millis) -> Iterator[Item]:
        """Give the keys of the connections about which something must be done."""
        return waiting(self._table, _bucket(shard), now, BY_DUE)


def connection_of(key: Item) -> str:
    """Return the connection that an item is of, by its keys."""
    return key["pk"].partition("#")[2]


def is_seen(item: Item) -> bool:
    """Whether others see a subscription, as the table has it."""
    return item.get("presence", False) and not item.get("away", False)


def shown(items: Sequence[Item]) -> list[dict[str, Any]]:
    """Return subscriptions with presence, as the table has them, as they are shown."""
    return [each.as_json() for each in present(map(_subscriber, items))]


def present(subscribers: Iterable[Subscriber]) -> Iterator[Subscriber]:
    """Yield those of them who want to be seen and are not missed."""
    return (each for each in subscribers if each.presence and not each.away)


def _attributes(connection: Connection) -> dict[str, Any]:
    return {
        "member": connection.member,
        "caller": connection.caller.context(),
        "connectedAt": connection.connected_at,
        "seenAt": connection.seen_at,
        "endsAt": connection.ends_at,
        "present": connection.present,
        "rotated": connection.rotated,
        "away": connection.away,
        BY_DUE.pk: _bucket(crc32(connection.id.encode()) % SHARDS),
        BY_DUE.sk: connection.due(),
    }


def _changed(before: Connection, after: Connection) -> dict[tuple[str, ...], Any]:
    was, is_ = _attributes(before), _attributes(after)
    return {(name,): value for name, value in is_.items() if was[name] != value}


def _connection(item: Item) -> Connection:
    return Connection(
        connection_of(item),
        item["member"],
        Caller.of(item["caller"]),
        item["connectedAt"],
        item["seenAt"],
        item["endsAt"],
        item["present"],
        item["rotated"],
        item.get("away", False),
    )


def _subscriber(item: Item) -> Subscriber:
    return Subscriber(
        item["sk"].removeprefix(SUB),
        item["member"],
        item.get("sessionId", ""),
        item["presence"],
        item["joinedAt"],
        item.get("away", False),
    )


def _bucket(shard: int) -> str:
    return f"DUE#{shard}"


def _key(connection_id: str) -> Key:
    return Key(f"{_CONNECTION}#{connection_id}", _CONNECTION)


def _topic_key(connection_id: str, topic: Topic) -> Key:
    return Key(f"{_CONNECTION}#{connection_id}", f"{_TOPIC}{topic}")


def _sub_key(topic: Topic, connection_id: str) -> Key:
    return Key(partition(topic), f"{SUB}{connection_id}")


def _owner_key(session_id: str, connection_id: str) -> Key:
    return Key(f"OWNER#{session_id}", f"{_CONNECTION}#{connection_id}")


def _ticket_key(text: str) -> Key:
    return Key(f"TICKET#{hashlib.sha256(text.encode()).hexdigest()}", _TICKET)
