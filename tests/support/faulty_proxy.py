"""A TCP proxy that fails as networks do. Faults are switched while connections are open.

What a fault takes from a connection never comes later: TCP has no holes, so a connection that lost a byte is dead
that way from there on, and nobody tells its ends. Faults strike the connections that are open; `door` says what
becomes of new ones.
"""

import asyncio
import socket
import struct
from collections import Counter
from contextlib import suppress
from enum import StrEnum
from typing import Self

HOST = "127.0.0.1"
_CHUNK = 65_536
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: close() sends RST."""


class Way(StrEnum):
    """Which way bytes go: up from the client to the server, or down."""

    UP = "up"
    DOWN = "down"


BOTH = frozenset(Way)


class Door(StrEnum):
    """What becomes of new connections. A silent door accepts them, and that is all."""

    OPEN = "open"
    REFUSED = "refused"
    SILENT = "silent"


class FaultyProxy:
    """Listens on a free port of the loopback and passes on to another one. An asynchronous context manager."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._door = Door.OPEN
        self._links: dict[_Link, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None
        # Bound for as long as the proxy lives, and not listening: while the door is closed the kernel refuses
        # connections, and nobody else can take the port.
        self._place = _bound(0)
        self.delay = 0.0
        """Seconds that everything takes on its way, in both directions."""
        self.swallowed: Counter[Way] = Counter()
        """Bytes that came in and did not go on."""
        self.hushed: Counter[Way] = Counter()
        """Ends of connections, by FIN or RST, that were not passed on."""

    @property
    def port(self) -> int:
        """Where clients connect to."""
        return self._place.getsockname()[1]

    @property
    def links(self) -> int:
        """How many connections are open, dead ones too."""
        return len(self._links)

    async def __aenter__(self) -> Self:
        await self.door(Door.OPEN)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server:
            self._server.close()
        await self.clear()
        self._place.close()

    async def clear(self) -> None:
        """End all connections; what is left of their bytes is thrown away."""
        links, tasks = [*self._links], [*self._links.values()]
        for link, task in zip(links, tasks, strict=True):
            link.reset()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def door(self, door: Door) -> None:
        """Say what becomes of new connections."""
        self._door = door
        if door is Door.REFUSED and self._server:
            self._server.close()
            self._server = None
        elif door is not Door.REFUSED and not self._server:
            self._server = await asyncio.start_server(self._accept, sock=_bound(self.port))

    def blackhole(self) -> None:
        """Swallow all that the open connections carry, both ways, and their ends too: no FIN, no RST."""
        for way in BOTH:
            self.drop(way)

    def drop(self, way: Way) -> None:
        """Swallow what the open connections carry one way."""
        for link in self._links:
            link.lost.add(way)

    def reset(self) -> None:
        """Send RST to both ends of the open connections."""
        for link in self._links:
            link.reset()

    def cut(self, way: Way) -> None:
        """End each open connection, by FIN, in the middle of the next WebSocket frame that it carries that way."""
        for link in self._links:
            link.cut = way

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        link = _Link(self, reader, writer)
        self._links[link] = task
        try:
            if self._door is Door.SILENT:
                link.lost.add(Way.UP)
                await link.pump(Way.UP, reader, None)
            else:
                await link.run(self._target)
        finally:
            del self._links[link]
            writer.close()


class _Link:
    """A connection through the proxy: two sockets, and what is wrong between them."""

    def __init__(self, proxy: FaultyProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy, self._reader = proxy, reader
        self._writers = [writer]
        self.lost: set[Way] = set()
        self.cut: Way | None = None

    async def run(self, target: int) -> None:
        """Carry bytes both ways until both ends are done."""
        try:
            reader, writer = await asyncio.open_connection(HOST, target)
        except OSError:
            return self.reset()
        self._writers.append(writer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.pump(Way.UP, self._reader, writer))
                group.create_task(self.pump(Way.DOWN, reader, self._writers[0]))
        finally:
            writer.close()

    async def pump(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None) -> None:
        """Carry bytes one way until they end."""
        frames = Frames()
        try:
            while data := await reader.read(_CHUNK):
                await asyncio.sleep(self._proxy.delay)
                if way in self.lost or writer is None:
                    self._proxy.swallowed[way] += len(data)
                elif self.cut == way and (part := frames.half(data)) is not None:
                    writer.write(part)
                    return self._close()
                else:
                    frames.feed(data)
                    writer.write(data)
                    await writer.drain()
            self._ended(way, writer)
        except ConnectionError:
            if way in self.lost:
                self._proxy.hushed[way] += 1
            else:
                self.reset()

    def _ended(self, way: Way, writer: asyncio.StreamWriter | None) -> None:
        if way in self.lost or writer is None:
            self._proxy.hushed[way] += 1
        else:
            with suppress(OSError):  # the other side is gone already
                writer.write_eof()

    def reset(self) -> None:
        """Send RST both ways."""
        for writer in self._writers:
            if not writer.transport.is_closing():
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    def _close(self) -> None:
        for writer in self._writers:
            writer.close()


class Frames:
    """Where the frames of one direction begin and end (RFC 6455, section 5.2), after the head of HTTP."""

    def __init__(self) -> None:
        self._unit = b""
        """What has come of the present frame, or of the head."""
        self._upgraded = False

    def feed(self, data: bytes) -> None:
        """Take what was passed on."""
        self._unit += data
        while (length := self._length()) is not None and length <= len(self._unit):
            self._unit = self._unit[length:]
            self._upgraded = True

    def half(self, data: bytes) -> bytes | None:
        """Return what may be passed on of new data to end in the middle of a frame; None before the first."""
        if not self._upgraded:
            return None
        sent, self._unit = len(self._unit), self._unit + data
        length = self._length() or len(self._unit)
        return self._unit[sent : max(sent, length // 2, 1)]

    def _length(self) -> int | None:
        """Return the length of the present unit, None while it cannot be known."""
        unit = self._unit
        if not self._upgraded:
            end = unit.find(b"\r\n\r\n")
            return None if end < 0 else end + 4
        if len(unit) < 2:
            return None
        extended = {126: 2, 127: 8}.get(unit[1] & 0x7F, 0)
        header = 2 + extended + (4 if unit[1] & 0x80 else 0)
        if len(unit) < 2 + extended:
            return None
        return header + (int.from_bytes(unit[2 : 2 + extended]) if extended else unit[1] & 0x7F)


def _bound(port: int) -> socket.socket:
    """Return a socket that has a port which others of ours may have too."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((HOST, port))
    return bound
