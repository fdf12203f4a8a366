"""Delivery: what was published goes out to those who subscribe, page by page; who is gone is forgotten."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import batched, islice
from typing import Any, Protocol

from tessera.errors import Problem
from tessera.model import frames
from tessera.model.clock import Clock
from tessera.model.frames import compact
from tessera.model.topics import Topic
from tessera.stores.connections import Connections, present, shown
from tessera.stores.table import Item, Table
from tessera.stores.topics import Place, Published, Topics
from tessera.stores.work import Work, leave

PAGE = 1_000
"""Subscribers that one invocation serves of a topic; the others are left to the next, beside the other topics."""

INTRODUCED = 150
"""Members that fit one frame."""


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
        told = [message_frame(message) for message in messages]
        return self.send({each.id: told for each in subscribers[: self._page]})

    def resume(self, work: Work) -> int:
        """Do what was left: the next page of subscribers, or what one connection missed."""
        topic = Topic.parse(work.topic)
        messages = self._topics.between(topic, work.since, work.up_to)
        if work.connection_id:
            others = self._introducing(topic, work.page) if work.page else ()
            return self.send({work.connection_id: [*others, *map(message_frame, messages)]})
        held = list(messages)
        return self.deliver(topic, held, page=work.page) if held else 0

    def _introducing(self, topic: Topic, page: str) -> Iterator[bytes]:
        """Yield frames that tell who is present of those after `page`."""
        members = (each.as_json() for each in present(self._connections.subscribers(topic, after=page)))
        for some in batched(members, INTRODUCED, strict=False):
            frame: dict[str, Any] = {"type": "presence", "topic": str(topic), "joined": some, "left": []}
            yield compact(frame).encode()

    def announce(self, topic: Topic, joined: Sequence[Item], left: Sequence[Item]) -> int:
        """Tell those who watch a topic who has come and gone; `joined` and `left` are subscriptions as kept."""
        frame = {"type": "presence", "topic": str(topic), "joined": shown(joined), "left": shown(left)}
        text = compact(frame).encode()
        watching = (each.id for each in self._connections.subscribers(topic) if each.presence)
        pages = batched(watching, self._page, strict=False)
        return sum(self.send({connection_id: [text] for connection_id in page}) for page in pages)

    def end(self, connection_ids: Sequence[str], problem: Problem) -> None:
        """Tell connections why they end, as their last frame, and close them."""
        if not connection_ids:
            return
        last = compact(frames.error(problem)).encode()
        self._posts.post({connection_id: [last] for connection_id in connection_ids})
        self.drop(connection_ids)

    def drop(self, connection_ids: Sequence[str]) -> None:
        """Close connections and forget them; whoever still is there comes back and resumes."""
        if connection_ids:
            self._posts.close(connection_ids)
        for connection_id in connection_ids:
            self._connections.close(connection_id)

    def send(self, told: Mapping[str, Sequence[bytes]]) -> int:
        """Post frames. Who is gone is forgotten; who could not be reached is closed, to come back and resume."""
        posted = self._posts.post(told)
        self.drop([*posted.failed])
        for connection_id in posted.gone:
            self._connections.close(connection_id)
        return posted.sent


def message_frame(message: Published) -> bytes:
    """Return a message as the frame that tells of it."""
    return f'{{"type":"message","topic":{compact(message.topic)},{message.as_json()}}}'.encode()
