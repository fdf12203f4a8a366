"""Sockets: how a connection opens, what its frames are answered with, how it closes."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tessera.errors import (
    ConnectionUnknown,
    NotFound,
    Problem,
    SessionEnded,
    TokenRevoked,
    TooManyRequests,
)
from tessera.model import frames
from tessera.model.caller import Caller
from tessera.model.clock import SECOND, Clock, Millis
from tessera.model.frames import Ping, Publish, Refused, Subscribe, Unsubscribe, compact
from tessera.model.live import LONGEST, Connection
from tessera.model.record import Record
from tessera.model.topics import Topic, check_publish, check_read
from tessera.stores.connections import BEFORE_ALL, Connections, present
from tessera.stores.limits import RateLimiter
from tessera.stores.session_store import SessionStore
from tessera.stores.table import Table
from tessera.stores.topics import Place, Topics
from tessera.stores.work import Work, leave

_NOTED: Millis = 20 * SECOND
"""How much older a sign of life may become before it is written down anew."""


class Sockets:
    """The sockets of this service."""

    def __init__(
        self,
        connections: Connections,
        topics: Topics,
        table: Table,
        sessions: SessionStore,
        clock: Clock,
        *,
        apps: Sequence[str],
        limiter: RateLimiter | None,
    ) -> None:
        self._connections, self._topics, self._table = connections, topics, table
        self._sessions, self._clock, self._apps, self._limiter = sessions, clock, apps, limiter

    def open(self, connection_id: str, ticket: str) -> None:
        """Let a connection in that brings a ticket, or raise what keeps it out.

        A logout comes meanwhile: either it finds the connection that was written here and closes it, or the
        session is read after it and shows that the ticket's token is dead.
        """
        caller, now = self._connections.redeem(ticket), self._clock()
        connection = Connection(connection_id, secrets.token_hex(8), caller, now, now, now + LONGEST)
        self._connections.open(connection)
        if caller.session_id:
            try:
                record = self._live(caller)
            except Problem:
                self._connections.close(connection_id)
                raise
            self._connections.note(connection, replace(connection, ends_at=record.session.expires_at))

    def close(self, connection_id: str) -> None:
        """Forget a connection."""
        self._connections.close(connection_id)

    def answer(self, connection_id: str, text: str) -> str:
        """Answer a frame with a frame; whatever is wrong with it, the connection lives on."""
        frame_id: Any = None
        try:
            request = _read(text)
            frame_id = request.frame_id if isinstance(request, Refused) else request.id
            if self._limiter:
                self._limiter.check(connection_id)
            if isinstance(request, Refused):
                raise request.problem
            return self._answered(connection_id, request)
        except TooManyRequests as problem:
            problem.members["retryAfter"] = problem.reset
            return compact(frames.error(problem, frame_id))
        except Problem as problem:
            return compact(frames.error(problem, frame_id))

    def _answered(self, connection_id: str, request: frames.Request) -> str:
        connection = self._connections.get(connection_id)
        if connection is None:
            raise ConnectionUnknown
        connection = self._back(connection)
        match request:
            case Ping():
                self._seen(connection)
                return compact(frames.pong(request.id))
            case Subscribe():
                return self._subscribed(connection, request)
            case Unsubscribe():
                topic = Topic.parse(request.topic)
                self._connections.unsubscribe(connection.id, topic)
                self._seen(connection)
                return compact({"type": "unsubscribed", "id": request.id, "topic": request.topic})
            case Publish():
                return self._published(connection, request)

    def _published(self, connection: Connection, request: Publish) -> str:
        topic = Topic.parse(request.topic)
        check_publish(topic, connection.caller, self._apps)
        self._customer(connection.caller)
        message, _ = self._topics.publish(
            topic, connection.caller.name, request.message_id, compact(request.data), request.priority
        )
        self._seen(connection)
        return compact({"type": "ack", "id": request.id, **message.place._asdict()})

    def _subscribed(self, connection: Connection, request: Subscribe) -> str:
        """Subscribe first and look afterwards: what is published in between comes twice, but is not missed."""
        topic = Topic.parse(request.topic)
        check_read(topic, connection.caller, self._customer(connection.caller), self._apps)
        if not self._connections.subscribe(connection, topic, presence=request.presence):
            raise ConnectionUnknown
        head = self._topics.head(topic)
        since = request.since and Place(request.since.epoch, request.since.offset)
        missed = self._topics.after(topic, head, since) if since else None
        answer: dict[str, Any] = {"type": "subscribed", "id": request.id, "topic": request.topic}
        told = frames.Growing(answer | {**head.place._asdict(), "recovered": missed is not None})
        if missed is None and head.retained:
            told.add("retained", f"{{{head.retained.as_json()}}}")
        page = self._introduce(topic, told) if request.presence else ""
        messages = ((message.place.offset, f"{{{message.as_json()}}}") for message in missed or ())
        last = told.fill("messages", messages, since.offset if since and missed is not None else head.place.offset)
        if page or last < head.place.offset:
            rest = Work(str(topic), Place(head.place.epoch, last), head.place.offset, connection.id, page)
            leave(self._table, self._clock, replace(rest, asked=secrets.token_hex(8)))
        return told.text()

    def _introduce(self, topic: Topic, told: frames.Growing) -> str:
        """Tell who is present, as many as fit; return after whom the rest come, empty when there are none."""
        others = present(self._connections.subscribers(topic))
        members = [(each.id, compact(each.as_json())) for each in others]
        last = told.fill("presence", members, BEFORE_ALL)
        return last if members and last != members[-1][0] else ""

    def _customer(self, caller: Caller) -> str | None:
        """Return the customer of the caller's session as it is now; raise SessionEnded when it is over."""
        return self._live(caller).session.customer_id if caller.session_id else None

    def _live(self, caller: Caller) -> Record:
        try:
            return caller.admit(self._sessions.find(caller.session_id)).live(self._clock())
        except (NotFound, TokenRevoked) as over:
            raise SessionEnded from over

    def _back(self, connection: Connection) -> Connection:
        """Have others see a connection again that they missed."""
        if not connection.away:
            return connection
        after = replace(connection, seen_at=self._clock(), away=False)
        self._connections.mark_away(connection, after)
        return after

    def _seen(self, connection: Connection) -> None:
        """Note a sign of life, where somebody watches for it."""
        now = self._clock()
        if connection.present and now - connection.seen_at >= _NOTED:
            self._connections.note(connection, replace(connection, seen_at=now))


def _read(text: str) -> frames.Request | Refused:
    """Read a frame. A refused one counts against the limit too, and over the limit the answer has its id."""
    try:
        return frames.read(text)
    except Refused as refused:
        return refused
