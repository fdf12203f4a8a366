"""A page of the deployed system while the network between fails: what is said and what is changed arrives."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect

from local.endpoints import Endpoints
from tests.support.client import Caller, Opened, opened
from tests.support.conditions import until
from tests.support.faulty_proxy import Door, FaultyProxy, Way
from tests.support.pages import TIMING, Page, Pages, Position

SLOWER = {**TIMING, "silence": 500, "probeTimeout": 2_000, "ackTimeout": 2_000, "connectTimeout": 3_000}
"""Functions take their time, the more the more tests run beside this one."""

FAULTS = st.sampled_from(["blackhole", "reset", "drop up", "drop down", "cut up", "cut down", "refused", "reload"])


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def pages(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    opening = Pages(tmp_path_factory.mktemp("pages"))
    yield runner.run(opening.__aenter__())
    runner.run(opening.__aexit__(None, None, None))


class Visit:
    """A session with a page behind the proxy, changed over HTTP, and written to by somebody else."""

    def __init__(self, endpoints: Endpoints, anyone: Caller, pages: Pages, proxy: FaultyProxy) -> None:
        self.endpoints, self.proxy = endpoints, proxy
        self.session, self.other = opened(anyone), opened(anyone)
        self.topics = f"session:{self.session.id}", f"app:{self.session.id}"
        there = urlsplit(endpoints.websocket)
        through = there._replace(netloc=f"{there.hostname}:{proxy.port}").geturl()
        self.page: Page = pages.open(through, lambda: ticket_of(self.session), timing=SLOWER)
        self.acks: dict[str, Position] = {}
        self.versions: list[int] = []
        self.said = 0

    async def everything_happens(self) -> None:
        """The session is changed over HTTP, the page publishes, and so does somebody else."""
        self.said += 1
        self.page.publish(self.topics[1], f"page-{self.said}", self.said)
        patch = {"metadata": {"n": self.said}}
        answer = await asyncio.to_thread(self.session.holder.patch, f"/sessions/{self.session.id}", patch)
        self.versions.append(answer.ok()["version"])
        protocols: Any = ["tessera.v1", f"ticket.{ticket_of(self.other)}"]
        async with connect(self.endpoints.websocket, subprotocols=protocols) as socket:
            frame = {"type": "publish", "id": 1, "topic": self.topics[1], "data": self.said}
            await socket.send(json.dumps(frame | {"messageId": f"other-{self.said}"}))
            ack = json.loads(await socket.recv())
        self.acks[f"other-{self.said}"] = Position(ack["epoch"], ack["offset"])

    async def strike(self, fault: str) -> None:
        name, _, way = fault.partition(" ")
        match name:
            case "drop" | "cut":
                getattr(self.proxy, name)(Way(way))
            case "refused":
                await self.proxy.door(Door.REFUSED)
                self.proxy.reset()
            case "reload":
                await self.page.reload()
            case _:
                getattr(self.proxy, name)()

    def complete(self) -> bool:
        """Whether the page was shown all there is."""
        shown = [len(self.page.messages(topic)) for topic in self.topics]
        return shown == [len(self.versions), 2 * self.said]

    def check(self) -> None:
        changes, said = (self.page.messages(topic) for topic in self.topics)
        assert [change.data["version"] for change in changes] == self.versions
        for messages in (changes, said):
            places = [message.place for message in messages]
            first = places[0]
            assert places == [Position(first.epoch, first.offset + step) for step in range(len(places))]
        ids = {message.message_id: message.place for message in said}
        assert ids.items() >= {**self.acks, **self.page.published}.items()
        assert [name for name in ids if name.startswith("page")] == [f"page-{n + 1}" for n in range(self.said)]
        for topic in self.topics:
            first, *again = self.page.recoveries(topic)
            assert not first
            assert all(again)


def ticket_of(session: Opened) -> str:
    return session.holder.post(f"/sessions/{session.id}/socket-ticket").ok()["ticket"]


@settings(max_examples=2)
@given(faults=st.lists(FAULTS, min_size=3, max_size=3, unique=True))
def test_every_message_and_every_change_once_and_in_order(
    runner: asyncio.Runner, pages: Pages, endpoints: Endpoints, anyone: Caller, faults: list[str]
) -> None:
    note(str(faults))

    async def play() -> None:
        async with FaultyProxy(urlsplit(endpoints.websocket).port or 80) as proxy:
            visit = Visit(endpoints, anyone, pages, proxy)
            for topic in visit.topics:
                visit.page.subscribe(topic)
            await until(lambda: all(visit.page.position(topic) for topic in visit.topics), "a subscription")
            for fault in faults:
                await visit.everything_happens()
                await visit.strike(fault)
                await visit.everything_happens()
                await proxy.door(Door.OPEN)
            await until(
                visit.complete, lambda: (visit.page.shown, visit.versions, visit.acks, visit.page.statuses)
            )
            visit.check()
            await visit.page.close()

    runner.run(play())
