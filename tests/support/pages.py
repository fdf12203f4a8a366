"""Pages: the real TypeScript core in Node.js, told what to do, and a record of all that it tells the page.

`Pages` is the process; a `Page` is one page in it, with an outbox of its own that outlives a reload.
"""

import asyncio
import json
import subprocess
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Self

from local.paths import ROOT
from tests.support.conditions import until

SOURCE = ROOT / "client" / "typescript" / "tests" / "remote" / "page.ts"
_LONGEST_LINE = 2**20

TIMING = {
    "firstWait": 4,
    "longestWait": 16,
    "connectTimeout": 250,
    "silence": 60,
    "probeTimeout": 90,
    "ackTimeout": 120,
    "holeTimeout": 25,
    "failures": 1_000_000,
    "pause": 20,
    "debounce": 5,
    "batch": 4,
}
"""Milliseconds: what takes a page minutes takes a test a moment."""


class Position(NamedTuple):
    """A place in a topic."""

    epoch: str
    offset: int


class Message(NamedTuple):
    """A message that a page was shown."""

    place: Position
    message_id: str
    data: Any


class Subscribed(NamedTuple):
    """What a page was told when a subscription began, or began again."""

    place: Position
    recovered: bool


class Pages:
    """The process. An asynchronous context manager."""

    def __init__(self, folder: Path) -> None:
        self._program = folder / "page.cjs"
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._pages: dict[str, Page] = {}
        self._names = count(1)
        self._ready = asyncio.Event()

    async def __aenter__(self) -> Self:
        esbuild = ROOT / "node_modules" / ".bin" / "esbuild"
        options = ["--bundle", "--platform=node", "--target=node20", "--log-level=warning", "--sourcemap=inline"]
        await asyncio.to_thread(
            subprocess.run, [esbuild, SOURCE, *options, f"--outfile={self._program}"], check=True
        )
        self._process = await asyncio.create_subprocess_exec(
            "node", "--enable-source-maps", self._program, stdin=PIPE, stdout=PIPE, limit=_LONGEST_LINE
        )
        self._reading = asyncio.create_task(self._read())
        await until(self._ready.is_set, "the pages' process")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process
        assert self._reading
        if self._process.stdin:
            self._process.stdin.close()
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._reading

    def open(
        self, url: str, ticket: Callable[[], str], *, seed: int = 1, timing: Mapping[str, int] = TIMING
    ) -> "Page":
        """Open a page for a session. `ticket` gives a ticket for each connection."""
        name = f"page-{next(self._names)}"
        page = self._pages[name] = Page(self, name, url, ticket, seed, timing)
        page.load()
        return page

    def forget(self, page: "Page") -> None:
        """Hear no more of a page."""
        del self._pages[page.name]

    def tell(self, page: str, do: str, **command: Any) -> None:
        """Give a command."""
        assert self._process
        assert self._process.stdin
        assert self._process.returncode is None, "the pages' process has died"
        self._process.stdin.write(json.dumps({"page": page, "do": do, **command}).encode() + b"\n")

    async def _read(self) -> None:
        assert self._process
        assert self._process.stdout
        async for line in self._process.stdout:
            event = json.loads(line)
            if event["on"] == "ready":
                self._ready.set()
            elif page := self._pages.get(event["page"].partition("/")[0]):
                page.take(event)


@dataclass
class Page:
    """One page, over all its loads."""

    pages: Pages
    name: str
    url: str
    ticket: Callable[[], str]
    seed: int
    timing: Mapping[str, int]
    shown: dict[str, list[Message | Subscribed]] = field(default_factory=dict)
    """What each subscription was told, in its order, by topic."""
    published: dict[str, Position] = field(default_factory=dict)
    """Where the service has each message whose promise resolved, by messageId."""
    refused: dict[str, Any] = field(default_factory=dict)
    """The problems of topics and messages that were refused."""
    members: dict[str, list[Any]] = field(default_factory=dict)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    loads: int = 0
    _left: set[int] = field(default_factory=set)

    def load(self) -> None:
        """Load the page; what its outbox kept is sent."""
        self.loads += 1
        self._tell("open", url=self.url, name=self.name, timing=self.timing, seed=self.seed)
        self._tell("wake")

    async def reload(self) -> None:
        """Leave, come back, and subscribe from where the page had come to."""
        await self.close()
        self.load()
        for topic in self.shown:
            self._subscribe(topic)

    def subscribe(self, topic: str, since: Position | None = None, *, presence: bool = False) -> None:
        """Subscribe; every load after this one does too, from where it had come to."""
        self.shown.setdefault(topic, [])
        self._subscribe(topic, since, presence=presence)

    def publish(self, topic: str, message_id: str, data: Any, priority: int = 0) -> None:
        """Publish through the outbox."""
        self._tell("publish", topic=topic, messageId=message_id, data=data, priority=priority)

    def wake(self) -> None:
        """Come into view."""
        self._tell("wake")

    async def close(self) -> None:
        """Leave."""
        self._tell("close")
        await until(lambda: self.loads in self._left, "the end of the page")

    def position(self, topic: str) -> Position | None:
        """Return where the page has come to in a topic: what it was shown, or where it was told to begin."""
        for told in reversed(self.shown[topic]):
            if isinstance(told, Message) or not told.recovered:
                return told.place
        return None

    def messages(self, topic: str) -> list[Message]:
        """Return the messages that the page was shown in a topic."""
        return [told for told in self.shown[topic] if isinstance(told, Message)]

    def recoveries(self, topic: str) -> list[bool]:
        """Return what each beginning of a subscription said of messages between."""
        return [told.recovered for told in self.shown[topic] if isinstance(told, Subscribed)]

    @property
    def state(self) -> str:
        """The state of the connection."""
        return self.statuses[-1]["state"] if self.statuses else "idle"

    def take(self, event: dict[str, Any]) -> None:
        """Take note of an event."""
        load = int(event["page"].partition("/")[2])
        if event["on"] == "closed":
            self._left.add(load)
        if load in self._left:
            return  # a word of a page that was left
        topic, message_id = event.get("topic", ""), event.get("messageId", "")
        match event["on"]:
            case "message":
                self.shown[topic].append(Message(_place(event), message_id, event["data"]))
            case "subscribed":
                self.shown[topic].append(Subscribed(_place(event), event["recovered"]))
            case "published":
                self.published[message_id] = _place(event)
            case "refused":
                self.refused[topic or message_id] = event["problem"]
            case "presence":
                self.members[topic] = event["members"]
            case "status":
                self.statuses.append(event)
            case "ticket":
                self._tell("ticket", id=event["id"], ticket=self.ticket())

    @property
    def _load(self) -> str:
        return f"{self.name}/{self.loads}"

    def _subscribe(self, topic: str, since: Position | None = None, *, presence: bool = False) -> None:
        since = since or self.position(topic)
        place = {"since": since._asdict()} if since else {}
        self._tell("subscribe", topic=topic, **place, **({"presence": True} if presence else {}))

    def _tell(self, do: str, **command: Any) -> None:
        self.pages.tell(self._load, do, **command)


def _place(event: dict[str, Any]) -> Position:
    return Position(event["epoch"], event["offset"])
