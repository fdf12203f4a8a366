"""The devices of sessions: what they hear of changes that came over HTTP, and when they have to go."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from tessera.errors import NotFound, SessionEnded, TokenRevoked
from tessera.model.clock import Clock
from tessera.model.frames import MAX_DATA, compact
from tessera.model.topics import session_topic
from tessera.realtime.changes import Changed, Ended, Moved, News
from tessera.realtime.delivery import Delivery
from tessera.stores.connections import Connections
from tessera.stores.keys import PUSH, partition
from tessera.stores.session_store import SessionStore
from tessera.stores.table import Table
from tessera.stores.topics import Published, Topics

if TYPE_CHECKING:
    from tessera.realtime.pushes import Pushes  # its cryptography costs a cold start that few messages need

PUBLISHER = "tessera"


class Devices:
    """Tells connections of what happens to their session."""

    def __init__(
        self,
        connections: Connections,
        topics: Topics,
        delivery: Delivery,
        sessions: SessionStore,
        *,
        table: Table,
        clock: Clock,
        pushes: "Callable[[], Pushes]",
    ) -> None:
        self._connections, self._topics, self._delivery = connections, topics, delivery
        self._sessions, self._table, self._clock, self._pushes = sessions, table, clock, pushes

    def tell(self, news: News, message_id: str) -> int:
        """Tell news; return how many frames that took. `message_id` is the same when the same news comes again."""
        match news:
            case Changed():
                return self._changed(news, message_id)
            case Ended():
                self._ended(news)
            case Moved():
                for connection in self._connections.get_many(self._of(news.session_id)):
                    self._connections.note(connection, replace(connection, ends_at=news.ends_at))
        return 0

    def _changed(self, news: Changed, message_id: str) -> int:
        """Publish a change and deliver it at once; a batch that comes again finds the offset that it had.

        Without any device connected, browsers that asked for it are told by a push.
        """
        topic = session_topic(news.session_id)
        known, away = self._topics.exists(topic), not self._connections.of_session(news.session_id)
        pushing = away and self._registered(news)
        data = self._data(news) if known or pushing else None
        if data is None:
            return 0
        if pushing:
            self._pushes().tell(news.session_id, json.loads(data))
        if not known:
            return 0
        message, _ = self._topics.publish(topic, PUBLISHER, message_id, data, live=False)
        return self._delivery.deliver(topic, [_with(message, data)])

    def _registered(self, news: Changed) -> bool:
        """Whether a browser wants to hear of such a change; the key for it is looked at only then."""
        items = self._table.query(partition(news.session_id), PUSH)
        return any(news.name in item["changes"] for item in items)

    def _data(self, news: Changed) -> str | None:
        """Return what the message says, without a patch that is too large; None for a session that is over."""
        if news.version is None:
            try:
                version = self._sessions.find(news.session_id).live(self._clock()).session.version
            except NotFound:
                return None
            news = replace(news, version=version)
        text = compact(news.as_json())
        return text if len(text.encode()) <= MAX_DATA else compact(replace(news, patch=None).as_json())

    def _ended(self, news: Ended) -> None:
        """Close the connections of the session, those of tokens from before an epoch if one is named."""
        dead = [
            connection_id
            for connection_id, epoch in self._connections.of_session(news.session_id)
            if news.epoch is None or epoch < news.epoch
        ]
        problem = TokenRevoked("The session has new tokens") if news.again else SessionEnded()
        self._delivery.end(dead, problem)
        if news.gone:
            self._topics.forget(session_topic(news.session_id))

    def _of(self, session_id: str) -> list[str]:
        return [connection_id for connection_id, _ in self._connections.of_session(session_id)]


def _with(message: Published, data: str) -> Published:
    return replace(message, data=data)
