"""The service's own functions behind a WebSocket server in this process, as API Gateway and the stream call them.

Two containers of each function take turns, on tables in memory. What API Gateway and the streams do not promise
they do not do here either: batches may come late, twice, or with their frames in another order.
"""

import asyncio
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import count, cycle
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tessera.model.clock import SECOND, Millis, system_clock
from tessera.model.topics import Topic
from tessera.realtime.delivery import Posted
from tessera.stores.memory import MemoryTable
from tessera.stores.table import Item, Put, Write
from tessera.stores.topics import LOG
from tests.functions.service import Context, Owner, Service, sample
from tests.functions.talking import change
from tests.support.fakes import FakeClock
from tests.support.faulty_proxy import HOST
from tests.support.sockets import MemoryPosts

WINDOW = 8
"""Messages of a topic that can be read again."""

STREAMED = (LOG, "WORK")


class WallClock(FakeClock):
    """The time of day: pages count in it."""

    def __call__(self) -> Millis:
        return system_clock()

    def forward(self, seconds: float = 0, *, ms: Millis = 0) -> Millis:
        time.sleep(seconds + ms / SECOND)
        return self()


class StreamedTable(MemoryTable):
    """A table in memory with a stream of what is put there."""

    def __init__(self) -> None:
        super().__init__()
        self.stream: list[Item] = []
        self.log: list[Item] = []
        """All messages that were ever accepted, in their order; nothing makes this forget."""

    def transact(self, writes: Sequence[Write]) -> None:
        super().transact(writes)
        items = [write.item for write in writes if isinstance(write, Put)]
        self.stream += [deepcopy(item) for item in items if item["sk"].startswith(STREAMED)]
        self.log += [deepcopy(item) for item in items if item["sk"].startswith(LOG)]


class GatewayPosts(MemoryPosts):
    """Implements `Posts` as API Gateway does: it takes a frame, and sends it when it can."""

    def __init__(self) -> None:
        super().__init__()
        self.open: dict[str, asyncio.Queue[bytes | str | None]] = {}
        """What is still to be sent to each connection; None ends it."""
        self.shuffle: random.Random | None = None
        """Whether frames overtake each other."""
        self.failing = 0
        """How many connections in turn cannot be reached, though they stand."""
        self.stuck = False
        """Whether connections cannot be closed either."""
        self.losing = 0
        """How many frames in turn are taken and lost."""

    def post(self, frames: Mapping[str, Sequence[bytes]]) -> Posted:
        posted = Posted()
        for connection_id, own in frames.items():
            if connection_id not in self.open:
                posted.gone.add(connection_id)
            elif self.failing > 0:
                self.failing -= 1
                posted.failed.add(connection_id)
            else:
                for frame in self.shuffle.sample(own, len(own)) if self.shuffle else own:
                    self._send(connection_id, frame)
                posted.sent += len(own)
        return posted

    def _send(self, connection_id: str, frame: bytes) -> None:
        if self.losing > 0:
            self.losing -= 1
        else:
            self.open[connection_id].put_nowait(frame)

    def close(self, connection_ids: Iterable[str]) -> None:
        for connection_id in connection_ids:
            if connection_id in self.open and not self.stuck:
                self.open[connection_id].put_nowait(None)


class LiveServer:
    """The WebSocket API on a free port of the loopback. An asynchronous context manager."""

    def __init__(self) -> None:
        self.posts = GatewayPosts()
        self.table = StreamedTable()
        self.held = False
        """Whether the stream waits. What it has then comes in one batch."""
        self.repeats = False
        """Whether batches come twice, as they do after a failure."""
        one = Service(
            WallClock(),
            environment={"HISTORY_MESSAGES": str(WINDOW), "FRAMES_PER_MINUTE": "1000000"},
            realtime_table=self.table,
            posts=self.posts,
        )
        self._containers = cycle([one, one.another()])
        self._numbers = count(1)
        self._server: Server | None = None
        self.service = one

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server
        return next(iter(self._server.sockets)).getsockname()[1]

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._carry,
            HOST,
            0,
            process_request=self._connect,
            select_subprotocol=lambda _, offered: offered[0] if offered else None,
            compression=None,
            ping_interval=None,
            close_timeout=0.2,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self.hang_up()
        self._server.close(close_connections=False)
        for connection in [*self._server.connections]:
            connection.transport.abort()
        await self._server.wait_closed()

    def session(self) -> Owner:
        """Create a session."""
        return self.service.create()

    def ticket(self, owner: Owner) -> str:
        """Return a ticket for one connection of a session."""
        return self.service.call("tokens/ticket", owner.id, token=owner.token).json["ticket"]

    def hang_up(self) -> None:
        """Close every connection, as the gateway does when it is deployed anew."""
        self.posts.close([*self.posts.open])

    def send(self, frame: str) -> None:
        """Send a frame to every connection."""
        for queue in self.posts.open.values():
            queue.put_nowait(frame)

    def head(self, topic: str) -> tuple[str, int]:
        """Return epoch and offset of a topic."""
        return self.service.graph.topics.head(Topic.parse(topic)).place

    def log(self, topic: str) -> list[Item]:
        """Return all that was ever accepted in a topic, in its order."""
        return [item for item in self.table.log if item["topic"] == topic]

    def forget(self, topic: str) -> None:
        """Lose the history of a topic; it goes on in another epoch."""
        self.service.graph.topics.forget(Topic.parse(topic))

    def flow(self) -> None:
        """Let the stream come to the fan-out, unless it is held."""
        while self.table.stream and not self.held:
            batch, self.table.stream = self.table.stream, []
            records = [change(next(self._numbers), item) for item in batch]
            for _ in range(2 if self.repeats else 1):
                answer = self._call("fanout", {"Records": records})
                assert answer == {"batchItemFailures": []}

    def _connect(self, connection: ServerConnection, request: Request) -> Response | None:
        answer = self._call("connect", {"headers": dict(request.headers.raw_items()), **_on(connection)})
        if answer["statusCode"] != 200:
            return Response(answer["statusCode"], "refused", Headers(), b"")
        return None

    async def _carry(self, connection: ServerConnection) -> None:
        """Carry frames both ways for as long as a connection stands."""
        outgoing = self.posts.open.setdefault(connection.id.hex, asyncio.Queue())
        sending = asyncio.create_task(_send(connection, outgoing))
        try:
            async for frame in connection:
                answer = self._call("message", {"body": frame, **_on(connection)})
                outgoing.put_nowait(answer["body"])
                self.flow()
        except ConnectionClosed:
            pass  # as it pleases: the client is one that fails
        finally:
            del self.posts.open[connection.id.hex]
            sending.cancel()
            self._call("disconnect", _on(connection))

    def _call(self, operation: str, event: Mapping[str, Any]) -> Any:
        name = f"realtime/{operation}"
        return next(self._containers).handler(name)({**sample(name), **event}, Context())


def _on(connection: ServerConnection) -> dict[str, Any]:
    return {"requestContext": {"connectionId": connection.id.hex}}


async def _send(connection: ServerConnection, outgoing: "asyncio.Queue[bytes | str | None]") -> None:
    try:
        while (frame := await outgoing.get()) is not None:
            await connection.send(frame.decode() if isinstance(frame, bytes) else frame)
        await connection.close()
    except ConnectionClosed:
        pass  # its frames are lost, as those of a gateway are
