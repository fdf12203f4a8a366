"""Delivery: what was published goes out to those who subscribe, page by page; who is gone is forgotten."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from tessera.model.clock import Clock
from tessera.model.frames import compact
from tessera.model.topics import Topic
from tessera.stores.connections import Connections
from tessera.stores.table import Table
from tessera.stores.topics import Place, Published, Topics
from tessera.stores.work import Work, leave

PAGE = 1_000
"""Subscribers that one invocation serves of a topic; the others are left to the next, beside the other topics."""


@dataclass
class Posted:
    """What became of posts: how many arrived, and which connections took none."""

    sent: int = 0
    gone: set[str] = field(default_factory=set[str])
    failed: set[str] = field(default_factory=set[str])


class Posts(Protocol):
    """What posts frames to connections."""

    def post(self, frames: Mapping[str, Sequence[bytes]]) -> Posted:
        """Send each connection its frames in their order, all connections at once; slow ones delay no other."""
        ...

    def close(self, connection_ids: Iterable[str]) -> None:
        """Close connections; those that are gone do not matter."""
        ...


class Delivery:
    """Brings messages to subscribers."""

    def __init__(
        self,
        connections: Connections,
        topics: Topics,
        table: Table,
        posts: Posts,
        clock: Clock,
        *,
        page: int = PAGE,
    ) -> None:
        self._connections, self._topics, self._table = connections, topics, table
        self._posts, self._clock, self._page = posts, clock, page

    def deliver(self, topic: Topic, messages: Sequence[Published], *, page: str = "") -> int:
        """Send messages of one epoch of a topic, in their order, to those who subscribe; return how many posts."""
        subscribers = list(islice(self._connections.subscribers(topic, after=page), self._page + 1))
        if len(subscribers) > self._page:
            first, last = messages[0].place, messages[-1].place
            rest = Work(
                str(topic), Place(first.epoch, first.offset - 1), last.offset, page=subscribers[self._page - 1].id
            )
            leave(self._table, self._clock, rest)
        frames = [message_frame(message) for message in messages]
        return self.send({each.id: frames for each in subscribers[: self._page]})

    def resume(self, work: Work) -> int:
        """Do what was left: the next page of subscribers, or what one connection missed."""
        topic = Topic.parse(work.topic)
        messages = self._topics.between(topic, work.since, work.up_to)
        if work.connection_id:
            return self.send({work.connection_id: [message_frame(message) for message in messages]})
        held = list(messages)
        return self.deliver(topic, held, page=work.page) if held else 0

    def send(self, frames: Mapping[str, Sequence[bytes]]) -> int:
        """Post frames. Who is gone is forgotten; who could not be reached is closed, to come back and resume."""
        posted = self._posts.post(frames)
        if posted.failed:
            self._posts.close(posted.failed)
        for connection_id in posted.gone | posted.failed:
            self._connections.close(connection_id)
        return posted.sent


def message_frame(message: Published) -> bytes:
    """Return a message as the frame that tells of it."""
    return f'{{"type":"message","topic":{compact(message.topic)},{message.as_json()}}}'.encode()
