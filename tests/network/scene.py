"""A scene: two pages behind a network that fails, somebody else who publishes, and what must be so in the end."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tessera.model.clock import MINUTE_SECONDS, SECOND, system_clock
from tessera.model.frames import compact, rotate
from tests.functions.service import Owner
from tests.support.conditions import until
from tests.support.faulty_proxy import HOST, Door, FaultyProxy, Way
from tests.support.live_server import WINDOW, LiveServer
from tests.support.pages import Message, Page, Pages, Position, Subscribed


class Outsider:
    """A plain client with a good network, which publishes. When it is hung up on it comes again."""

    def __init__(self, server: LiveServer) -> None:
        self._server, self._owner, self._ids = server, server.session(), count(1)
        self._connection: ClientConnection | None = None

    async def publish(self, topic: str, data: Any) -> Position:
        """Publish; return where the acknowledgement says that the message is."""
        number = next(self._ids)
        frame = {"type": "publish", "id": number, "topic": topic, "messageId": f"o-{number}", "data": data}
        while True:
            connection = self._connection or await self._connect()
            try:
                await connection.send(json.dumps(frame))
                ack = await self._answer(connection, number)
            except ConnectionClosed:
                self._connection = None
                continue
            assert ack["type"] == "ack", ack
            return Position(ack["epoch"], ack["offset"])

    async def _answer(self, connection: ClientConnection, number: int) -> Any:
        while True:
            frame = json.loads(await connection.recv())
            if frame.get("id") == number:
                return frame

    async def close(self) -> None:
        if self._connection:
            await self._connection.close()

    async def _connect(self) -> ClientConnection:
        protocols: Any = ["tessera.v1", f"ticket.{self._server.ticket(self._owner)}"]
        self._connection = await connect(f"ws://{HOST}:{self._server.port}", subprotocols=protocols)
        return self._connection


@dataclass
class World:
    """What all scenes share: the service, the process with the pages, and the outsider."""

    server: LiveServer
    pages: Pages
    outsider: Outsider
    owners: tuple[Owner, Owner]
    _topics: count = field(default_factory=lambda: count(1))

    @classmethod
    @asynccontextmanager
    async def opened(cls, folder: Path) -> AsyncGenerator[Self]:
        async with LiveServer() as server, Pages(folder) as pages:
            outsider = Outsider(server)
            yield cls(server, pages, outsider, (server.session(), server.session()))
            await outsider.close()

    @asynccontextmanager
    async def scene(self, seed: int = 1) -> AsyncGenerator["Scene"]:
        """Set a scene with fresh pages and topics."""
        number = next(self._topics)
        topics = (f"app:{number}-a", f"app:{number}-b")
        async with FaultyProxy(self.server.port) as proxy:
            pages = tuple(self._page(owner, proxy, seed) for owner in self.owners)
            scene = Scene(self, proxy, pages, topics, Random(seed))  # noqa: S311 - a seed that can be repeated
            try:
                yield scene
            finally:
                scene.calm()
                for page in pages:
                    await page.close()
                    self.pages.forget(page)

    def _page(self, owner: Owner, proxy: FaultyProxy, seed: int) -> Page:
        return self.pages.open(f"ws://{HOST}:{proxy.port}", lambda: self.server.ticket(owner), seed=seed)


@dataclass
class Scene:
    """The pages, the network between, and what was said."""

    world: World
    proxy: FaultyProxy
    pages: tuple[Page, ...]
    topics: tuple[str, ...]
    random: Random
    said: dict[str, tuple[str, str, Any, int]] = field(default_factory=dict)
    """What pages published: page, topic, data and priority by messageId."""
    acks: list[tuple[str, Position, Any]] = field(default_factory=list)
    """What the outsider's messages were acknowledged with."""
    forgotten: bool = False
    unsure: bool = False
    """Whether only the next message of a topic tells a page that it has missed some."""

    @property
    def server(self) -> LiveServer:
        return self.world.server

    # --- what happens -----------------------------------------------------------------------------

    async def begin(self) -> None:
        """Both pages listen; one of them to both topics."""
        for page, topics in zip(self.pages, (self.topics, self.topics[:1]), strict=True):
            for topic in topics:
                page.subscribe(topic)

    def subscribed(self) -> bool:
        return all(page.position(topic) for page in self.pages for topic in page.shown)

    async def listen(self) -> None:
        """Wait until both pages are subscribed, or can be expected not to be."""
        for _ in range(50):
            if self.subscribed():
                return
            await asyncio.sleep(0.004)

    async def say(self, page: int, topic: int, priority: int = 0, times: int = 1) -> None:
        """Publish through the outbox of a page."""
        name = self.pages[page].name
        for _ in range(times):
            number = len(self.said) + 1
            message_id, data = f"{name}-{number}", {"n": number, "says": name}
            self.said[message_id] = (name, self.topics[topic], data, priority)
            self.pages[page].publish(self.topics[topic], message_id, data, priority)

    async def told(self, topic: int, times: int = 1, data: Any = None) -> None:
        """Have the outsider publish."""
        for _ in range(times):
            said = data or {"outside": len(self.acks)}
            place = await self.world.outsider.publish(self.topics[topic], said)
            self.acks.append((self.topics[topic], place, said))

    async def overtaken(self, topic: int, times: int, repeat: bool) -> None:
        """Messages come in another order than they were published."""
        await self.hold()
        await self.told(topic, times)
        await self.release(True, repeat)
        self.server.posts.shuffle, self.server.repeats = None, False

    async def unheard(self, page: int, topic: int) -> None:
        """A page publishes, and does not hear that the service has it."""
        self.proxy.drop(Way.DOWN)
        before = len(self.server.table.log)
        await self.say(page, topic)
        for _ in range(10):
            if len(self.server.table.log) > before:
                break
            await asyncio.sleep(0.004)

    async def away(self, topic: int, times: int) -> None:
        """Nobody is connected while messages come."""
        await self.door(Door.REFUSED)
        self.proxy.reset()
        await self.told(topic, times)
        await self.door(Door.OPEN)

    async def left(self, page: int, topic: int) -> None:
        """A page publishes without a network, is closed, and comes back."""
        await self.door(Door.REFUSED)
        self.proxy.reset()
        await self.say(page, topic)
        await self.reload(page)
        await self.door(Door.OPEN)

    async def blackhole(self) -> None:
        self.proxy.blackhole()

    async def drop(self, way: Way) -> None:
        self.proxy.drop(way)

    async def reset(self) -> None:
        self.proxy.reset()

    async def cut(self, way: Way) -> None:
        self.proxy.cut(way)

    async def delay(self, seconds: float) -> None:
        self.proxy.delay = seconds

    async def door(self, door: Door) -> None:
        await self.proxy.door(door)

    async def hold(self) -> None:
        """The stream waits."""
        self.server.held = True

    async def release(self, shuffle: bool = False, repeat: bool = False) -> None:
        """The stream comes, with its frames in any order, or twice."""
        self.server.posts.shuffle = self.random if shuffle else None
        self.server.repeats, self.server.held = repeat, False
        self.server.flow()

    async def rotate(self) -> None:
        """The server asks for other connections, before it ends these."""
        self.server.send(compact(rotate(system_clock() + MINUTE_SECONDS * SECOND)))

    async def hang_up(self) -> None:
        self.server.hang_up()

    async def fail(self, posts: int, stuck: bool = False) -> None:
        """The next posts reach nobody; `stuck`: nor can those connections be closed, which are forgotten."""
        self.server.posts.failing, self.server.posts.stuck = posts, stuck

    async def lose(self, frames: int) -> None:
        """The gateway takes the next frames, and loses them."""
        self.unsure = True
        self.server.posts.losing = frames

    async def forget(self, topic: int) -> None:
        """The history of a topic is lost."""
        self.forgotten = self.unsure = True
        self.server.forget(self.topics[topic])

    async def reload(self, page: int) -> None:
        await self.pages[page].reload()

    async def wait(self, milliseconds: int) -> None:
        await asyncio.sleep(milliseconds / 1000)

    # --- what must be so ----------------------------------------------------------------------------

    def calm(self) -> None:
        """No fault strikes from here on; what the network swallowed stays lost."""
        self.proxy.delay, self.server.held, self.server.repeats = 0, False, False
        posts = self.server.posts
        posts.shuffle, posts.failing, posts.stuck, posts.losing = None, 0, False, 0
        self.server.flow()

    async def end(self) -> None:
        """Heal the network, wait until all is delivered, and hold all to what is promised."""
        self.calm()
        await self.proxy.door(Door.OPEN)
        if not self.unsure:
            await until(self.settled, self.report)
        for topic in range(len(self.topics)):
            await self.told(topic)  # not only what was resumed comes, but what is new
        await until(self.settled, self.report)
        self.check()

    def settled(self) -> bool:
        """Whether all that was said is in its topic, and every page has come to the heads of its topics."""
        assert [page.state for page in self.pages].count("ended") == 0, self.report()
        logged = {item["messageId"] for topic in self.topics for item in self.server.log(topic)}
        return self.said.keys() <= logged and all(
            page.position(topic) == self.server.head(topic) for page in self.pages for topic in page.shown
        )

    def check(self) -> None:
        """Hold everything that was told to the promise."""
        for topic in self.topics:
            log = {(item["epoch"], item["offset"]): item for item in self.server.log(topic)}
            for page in self.pages:
                check_shown(page.shown.get(topic, []), log)
            for acknowledged, place, data in self.acks:
                assert acknowledged != topic or json.loads(log[place]["data"]) == data
        self._check_outboxes()

    def _check_outboxes(self) -> None:
        order: defaultdict[tuple[Any, ...], list[str]] = defaultdict(list)
        for message_id, (page, topic, data, priority) in self.said.items():
            found = [item for item in self.server.log(topic) if item["messageId"] == message_id]
            assert len({item["epoch"] for item in found}) == len(found), f"twice in an epoch: {found}"
            assert self.forgotten or len(found) == 1, f"not once: {found}"
            assert json.loads(found[0]["data"]) == data
            order[page, topic, priority].append(message_id)
        for (_, topic, _), published in order.items():
            logged = [item["messageId"] for item in self.server.log(topic)]
            firsts = [logged.index(message_id) for message_id in published]
            assert self.forgotten or firsts == sorted(firsts), f"out of order: {logged}"
        for page in self.pages:
            assert page.refused == {}
            for message_id, place in page.published.items():
                item = next(i for i in self.server.table.log if (i["epoch"], i["offset"]) == place)
                assert item["messageId"] == message_id

    def report(self) -> str:
        """Say how far all have come."""
        heads = {topic: self.server.head(topic) for topic in self.topics}
        states = [(p.name, p.state, {t: p.position(t) for t in p.shown}) for p in self.pages]
        return f"heads {heads}, pages {states}, said {self.said}"


def check_shown(shown: list[Message | Subscribed], log: dict[tuple[str, int], Any]) -> None:
    """Every message once and in order, or `recovered: false` said where some are left out, and only there."""
    at: Position | None = None
    asked_after: Position | None = None
    for told in shown:
        match told:
            case Subscribed(place, recovered=True):
                assert at is not None, f"recovered before it began: {shown}"
                assert place.epoch == at.epoch, f"recovered into another epoch: {shown}"
            case Subscribed(place, recovered=False):
                same = asked_after is not None and place.epoch == asked_after.epoch
                missed = place.offset - asked_after.offset if same and asked_after else WINDOW + 1
                assert missed > WINDOW, f"recovered: false, though all is held: {shown}"
                at = place
            case Message(place, message_id, data):
                assert at is not None, f"a message before the beginning: {shown}"
                assert place == (at.epoch, at.offset + 1), f"{place} after {at}: {shown}"
                item = log[place]
                assert (item["messageId"], json.loads(item["data"])) == (message_id, data)
                at = place
        if isinstance(told, Subscribed):
            asked_after = at
