"""The faulty proxy: each fault is what it says."""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import websockets
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from tests.support.conditions import until
from tests.support.faulty_proxy import HOST, Door, FaultyProxy, Frames, Way

type Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Server:
    """Keeps what each connection sent, and how it ended."""

    port: int = 0
    clients: list[Pair] = field(default_factory=list)
    heard: list[bytearray] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.clients.append((reader, writer))
        heard = bytearray()
        self.heard.append(heard)
        try:
            while data := await reader.read(1000):
                heard += data
            self.ends.append("FIN")
        except ConnectionResetError:
            self.ends.append("RST")
        finally:
            writer.close()


@dataclass
class Scene:
    """A server, the proxy before it, and clients."""

    server: Server
    proxy: FaultyProxy
    open: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> Pair:
        reader, writer = await asyncio.open_connection(HOST, self.proxy.port)
        self.open.append(writer)
        return reader, writer

    async def client(self) -> Pair:
        """Connect, and wait until the server has it."""
        before = len(self.server.clients)
        reader, writer = await self.connect()
        await until(lambda: len(self.server.clients) > before, "the connection")
        return reader, writer

    async def say(self, writer: asyncio.StreamWriter, data: bytes, place: int = 0) -> None:
        """Send, and wait until the server has heard it."""
        writer.write(data)
        await until(lambda: self.server.heard[place].endswith(data), lambda: self.server.heard)


def play(scene: Callable[[Scene], Awaitable[None]]) -> None:
    async def run() -> None:
        async with _scene() as found:
            await scene(found)

    asyncio.run(run())


@asynccontextmanager
async def _scene() -> AsyncGenerator[Scene]:
    server = Server()
    listening = await asyncio.start_server(server.accept, HOST, 0)
    server.port = listening.sockets[0].getsockname()[1]
    async with FaultyProxy(server.port) as proxy:
        scene = Scene(server, proxy)
        yield scene
    listening.close()
    for writer in (*scene.open, *(writer for _, writer in server.clients)):
        writer.close()
    await until(lambda: len(asyncio.all_tasks()) == 1, asyncio.all_tasks)


def test_without_a_fault_bytes_and_ends_pass_both_ways() -> None:
    async def scene(at: Scene) -> None:
        reader, writer = await at.client()
        await at.say(writer, b"question")
        at.server.clients[0][1].write(b"answer")
        assert await reader.readexactly(6) == b"answer"
        writer.write_eof()
        await until(lambda: at.server.ends == ["FIN"])
        assert await reader.read() == b""

    play(scene)


def test_a_blackhole_swallows_both_ways_and_sends_no_fin() -> None:
    """Neither end hears anything, not even that the other has closed; a new connection is well."""

    async def scene(at: Scene) -> None:
        reader, writer = await at.client()
        await at.say(writer, b"before")
        at.proxy.blackhole()
        writer.write(b"lost")
        at.server.clients[0][1].write(b"lost too")
        await until(lambda: at.proxy.swallowed == {Way.UP: 4, Way.DOWN: 8}, lambda: at.proxy.swallowed)
        at.server.clients[0][1].close()
        await until(lambda: at.proxy.hushed[Way.DOWN] == 1)
        assert not reader.at_eof()
        assert bytes(at.server.heard[0]) == b"before"
        _, fresh = await at.client()
        await at.say(fresh, b"after", 1)
        assert not reader.at_eof()

    play(scene)


def test_a_blackhole_swallows_rst_too() -> None:
    async def scene(at: Scene) -> None:
        _, writer = await at.client()
        at.proxy.blackhole()
        with_no_time = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, with_no_time)
        writer.transport.abort()
        await until(lambda: at.proxy.hushed[Way.UP] == 1)
        assert at.server.ends == []

    play(scene)


@pytest.mark.parametrize("lost", [*Way])
def test_one_way_is_dropped_and_the_other_lives(lost: Way) -> None:
    async def scene(at: Scene) -> None:
        reader, writer = await at.client()
        server = at.server.clients[0][1]
        at.proxy.drop(lost)
        writer.write(b"up")
        server.write(b"down")
        await until(lambda: at.proxy.swallowed[lost] == len(lost))
        if lost is Way.UP:
            assert await reader.readexactly(4) == b"down"
            assert bytes(at.server.heard[0]) == b""
        else:
            await until(lambda: bytes(at.server.heard[0]) == b"up")
            server.close()
            await until(lambda: at.proxy.hushed[lost] == 1)
            assert not reader.at_eof()

    play(scene)


def test_a_reset_is_an_rst_at_both_ends() -> None:
    async def scene(at: Scene) -> None:
        reader, _ = await at.client()
        at.proxy.reset()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        await until(lambda: at.server.ends == ["RST"], lambda: at.server.ends)

    play(scene)


def test_a_delay_takes_its_time_and_keeps_the_order() -> None:
    """Each way takes at least as long as it says; how much longer, the machine decides."""

    async def scene(at: Scene) -> None:
        reader, writer = await at.client()
        at.proxy.delay = 0.05
        began = time.monotonic()
        for each in (b"one ", b"two ", b"three"):
            await at.say(writer, each)
        at.server.clients[0][1].write(b"answer")
        assert await reader.readexactly(6) == b"answer"
        assert time.monotonic() - began >= 4 * 0.05
        assert bytes(at.server.heard[0]) == b"one two three"

    play(scene)


def test_a_closed_door_refuses_and_opens_again_at_the_same_port() -> None:
    async def scene(at: Scene) -> None:
        _, writer = await at.client()
        port = at.proxy.port
        await at.proxy.door(Door.REFUSED)
        with pytest.raises(ConnectionRefusedError):
            await at.connect()
        await at.say(writer, b"those who are in stay in")
        await at.proxy.door(Door.OPEN)
        assert at.proxy.port == port
        _, later = await at.client()
        await at.say(later, b"hello", 1)

    play(scene)


def test_a_silent_door_accepts_and_says_nothing() -> None:
    """The server hears of no one; the caller gets neither an answer nor an end."""

    async def scene(at: Scene) -> None:
        await at.proxy.door(Door.SILENT)
        reader, writer = await at.connect()
        writer.write(b"anybody there?")
        await until(lambda: at.proxy.swallowed[Way.UP] == 14)
        assert not reader.at_eof()
        assert at.server.clients == []

    play(scene)


def test_a_server_that_is_not_there_is_a_reset() -> None:
    async def run() -> None:
        async with FaultyProxy(1) as proxy:
            reader, writer = await asyncio.open_connection(HOST, proxy.port)
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()

    asyncio.run(run())


@pytest.mark.parametrize("cut", [*Way])
def test_a_cut_ends_a_connection_in_the_middle_of_a_frame(cut: Way) -> None:
    """Whole frames before it arrive; of the one that is cut a part does, and both ends see that it is none."""

    async def run() -> None:
        heard: list[object] = []
        codes: list[int | None] = []

        async def echo(client: ServerConnection) -> None:
            try:
                async for message in client:
                    heard.append(message)
                    await client.send(message)
            finally:
                codes.append(client.close_code)

        async with serve(echo, HOST, 0) as server, FaultyProxy(_port(server)) as proxy:
            async with connect(f"ws://{HOST}:{proxy.port}", compression=None) as client:
                await client.send("x" * 70_000)
                assert await client.recv() == "x" * 70_000
                proxy.cut(cut)
                await client.send("cut")
                with pytest.raises(websockets.ConnectionClosedError):
                    await client.recv()
                assert client.close_code == 1006
            await until(lambda: codes == [1006], lambda: codes)
            assert heard == ["x" * 70_000] + (["cut"] if cut is Way.DOWN else [])
            assert proxy.links == 0

    asyncio.run(run())


def _port(server: websockets.Server) -> int:
    return next(iter(server.sockets)).getsockname()[1]


def _frame(length: int, *, masked: bool) -> bytes:
    mask = 0x80 if masked else 0
    head = bytes([0x81])
    if length < 126:
        head += bytes([mask | length])
    elif length < 65_536:
        head += bytes([mask | 126]) + length.to_bytes(2)
    else:
        head += bytes([mask | 127]) + length.to_bytes(8)
    return head + (b"mask" if masked else b"") + b"x" * length


@settings(max_examples=50)
@given(st.data())
def test_a_cut_is_in_the_middle_of_a_frame_however_its_bytes_come(data: st.DataObject) -> None:
    """Chunks have no respect for frames; neither end of the part that passes is the end of a frame."""
    masked = data.draw(st.booleans())
    lengths = data.draw(st.lists(st.sampled_from([0, 1, 125, 126, 200, 65_535, 65_536]), min_size=2, max_size=4))
    head = b"GET / HTTP/1.1\r\nHost: there\r\n\r\n"
    frames = [_frame(length, masked=masked) for length in lengths]
    stream = head + b"".join(frames)
    before = data.draw(st.integers(len(head) + len(frames[0]), len(stream) - len(frames[-1])))
    places = sorted(data.draw(st.lists(st.integers(0, before), max_size=5)))
    tracker = Frames()
    for start, end in zip([0, *places], [*places, before], strict=True):
        tracker.feed(stream[start:end])
    part = tracker.half(stream[before : data.draw(st.integers(before + 1, len(stream)))])
    assert part is not None
    passed = before + len(part)
    ends = [len(head) + sum(map(len, frames[:n])) for n in range(len(frames) + 1)]
    assert passed < len(stream)
    assert passed not in ends
