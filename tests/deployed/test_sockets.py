"""Sockets of the deployed system: real ones, through the gateway, the functions, the tables and their streams."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from local import process
from local.endpoints import Endpoints
from local.stack import Stack
from tests.support.client import Caller, Opened, opened

PATIENCE = 60
SWEPT = 150
"""Seconds after which a sweep has come, and what it says."""


class Socket:
    """An open socket: asks, and keeps what else comes for later."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._waiting: list[Any] = []

    def ask(self, **frame: Any) -> Any:
        """Send a frame; return its answer."""
        self.connection.send(json.dumps(frame, ensure_ascii=False))
        answers = {"subscribed", "unsubscribed", "ack", "pong", "error"}
        return self.next(lambda found: found["type"] in answers)

    def message(self) -> Any:
        """Return the next message."""
        return self.next(lambda found: found["type"] == "message")

    def is_ended(self) -> None:
        """Wait for the last frame, which says so, and for the end."""
        last = self.next(lambda found: found["type"] == "error", SWEPT)
        assert last["problem"]["type"] == "/problems/session-ended"
        with pytest.raises(ConnectionClosed):
            self.connection.recv(timeout=PATIENCE)

    def next(self, wanted: Any, patience: float = PATIENCE) -> Any:
        for place, found in enumerate(self._waiting):
            if wanted(found):
                return self._waiting.pop(place)
        for _ in range(100):
            found = json.loads(self.connection.recv(timeout=patience))
            if wanted(found):
                return found
            self._waiting.append(found)
        raise AssertionError("a hundred frames, and not the one")


@pytest.fixture
def plug(endpoints: Endpoints) -> Iterator[Any]:
    """Opens sockets for sessions, and closes them at the end."""
    with ExitStack() as stack:

        def open_for(session: Opened) -> Socket:
            return stack.enter_context(socket(endpoints, ticket_of(session)))

        yield open_for


@contextmanager
def socket(endpoints: Endpoints, ticket: str, **headers: str) -> Iterator[Socket]:
    protocols: Any = ["tessera.v1", f"ticket.{ticket}"]
    with connect(
        endpoints.websocket, subprotocols=protocols, additional_headers=headers, open_timeout=PATIENCE
    ) as connection:
        yield Socket(connection)


def ticket_of(session: Opened) -> str:
    return session.holder.post(f"/sessions/{session.id}/socket-ticket").ok()["ticket"]


def test_what_one_publishes_reaches_the_other_and_is_resumed(anyone: Caller, plug: Any) -> None:
    ada, bob = opened(anyone), opened(anyone)
    hers, his = plug(ada), plug(bob)
    assert hers.connection.subprotocol == "tessera.v1"
    topic = f"app:{ada.id}"
    began = his.ask(type="subscribe", id=1, topic=topic)
    assert (began["offset"], began["recovered"], began["messages"]) == (0, False, [])
    for number in (1, 2, 3):
        ack = hers.ask(type="publish", id=number, topic=topic, messageId=f"m-{number}", data={"n": number})
        assert (ack["epoch"], ack["offset"]) == (began["epoch"], number)
    assert hers.ask(type="publish", id=4, topic=topic, messageId="m-2", data="another")["offset"] == 2
    assert [his.message()["offset"] for _ in range(3)] == [1, 2, 3]
    again = hers.ask(type="subscribe", id=5, topic=topic, since={"epoch": began["epoch"], "offset": 1})
    assert again["recovered"]
    assert [message["data"] for message in again["messages"]] == [{"n": 2}, {"n": 3}]


def test_what_does_not_fit_a_frame_follows_as_often_as_it_is_asked_for(anyone: Caller, plug: Any) -> None:
    ada = opened(anyone)
    mine, topic, numbers = plug(ada), f"app:{ada.id}", [1, 2, 3, 4]
    epoch = mine.ask(type="subscribe", id=1, topic=topic)["epoch"]
    for number in numbers:
        ack = mine.ask(type="publish", id=2, topic=topic, messageId=f"m-{number}", data="ä" * 13_000)
        assert ack["offset"] == number
    assert [mine.message()["offset"] for _ in numbers] == numbers
    for _ in range(2):
        answer = mine.ask(type="subscribe", id=3, topic=topic, since={"epoch": epoch, "offset": 0})
        told = [message["offset"] for message in answer["messages"]]
        told += [mine.message()["offset"] for _ in numbers[len(told) :]]
        assert (answer["recovered"], sorted(told)) == (True, numbers)


def test_who_comes_and_goes_is_seen(anyone: Caller, endpoints: Endpoints, plug: Any) -> None:
    ada, bob = opened(anyone), opened(anyone)
    hers, topic = plug(ada), f"app:{ada.id}"
    (member,) = hers.ask(type="subscribe", id=1, topic=topic, presence=True)["presence"]
    assert member["sessionId"] == ada.id
    with socket(endpoints, ticket_of(bob)) as his:
        found = his.ask(type="subscribe", id=1, topic=topic, presence=True)["presence"]
        assert {each["sessionId"] for each in found} == {ada.id, bob.id}
        hers.next(lambda frame: bob.id in [each["sessionId"] for each in frame.get("joined", [])])
    hers.next(lambda frame: bob.id in [each["sessionId"] for each in frame.get("left", [])])


def test_what_is_wrong_is_told_and_the_connection_lives_on(anyone: Caller, plug: Any) -> None:
    mine = plug(opened(anyone))
    mine.connection.send("no JSON")
    problems = [mine.next(lambda found: found["type"] == "error")["problem"]["type"]]
    problems.append(mine.ask(type="nonsense", id=1)["problem"]["type"])
    problems.append(mine.ask(type="subscribe", id=2, topic="session:ses_of_another")["problem"]["type"])
    problems.append(
        mine.ask(type="publish", id=3, topic="system:metrics", messageId="m", data=1)["problem"]["type"]
    )
    assert problems == [
        f"/problems/{slug}" for slug in ("malformed-json", "invalid", "not-yours", "scope-missing")
    ]
    for route in ("$connect", "$disconnect", "$default"):
        assert mine.ask(type=route, id=4)["problem"]["type"] == "/problems/invalid"
    assert mine.ask(type="ping") == {"type": "pong"}
    assert mine.ask(type="subscribe", id=5, topic="app:lobby")["type"] == "subscribed"


def test_an_agent_publishes_and_a_newcomer_gets_its_last_word(
    anyone: Caller, admin: Caller, endpoints: Endpoints, plug: Any
) -> None:
    agent = f"agent:{opened(anyone).id}"
    with socket(endpoints, admin.post("/socket-ticket").ok()["ticket"]) as service:
        assert service.ask(type="publish", id=1, topic=agent, messageId="s", data="busy")["offset"] == 1
    found = plug(opened(anyone)).ask(type="subscribe", id=1, topic=agent)
    assert found["retained"]["data"] == "busy"


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.example"}])
def test_a_ticket_opens_once_and_for_no_page_of_another(
    anyone: Caller, endpoints: Endpoints, headers: dict[str, str]
) -> None:
    ticket = ticket_of(opened(anyone))
    if not headers:
        with socket(endpoints, ticket, Origin="http://localhost:5173"):
            pass
    with pytest.raises(InvalidHandshake), socket(endpoints, ticket, **headers):
        pass


def test_a_change_over_http_reaches_every_device_and_a_logout_closes_them(anyone: Caller, plug: Any) -> None:
    ada = opened(anyone, kind="chat")
    devices = [plug(ada), plug(ada)]
    for device in devices:
        assert device.ask(type="subscribe", id=1, topic=f"session:{ada.id}")["type"] == "subscribed"
    changed = ada.holder.patch("/sessions/me", {"metadata": {"colour": "blue"}}).ok()
    ada.holder.post("/sessions/me/messages", {"messages": [{"role": "user", "content": "Hello"}]}).ok(201)
    for device in devices:
        first, second = device.message()["data"], device.message()["data"]
        assert (first["change"], first["version"]) == ("session", changed["version"])
        assert first["patch"]["metadata"] == {"colour": "blue"}
        assert second["patch"]["messages"]["1"]["content"] == "Hello"
    ada.holder.post("/tokens/revoke", {"scope": "this"}).ok()
    for device in devices:
        device.is_ended()


def test_an_expiry_ends_a_socket_with_the_next_sweep(anyone: Caller, plug: Any, stack: Stack) -> None:
    """A minute later the schedule comes, here at once, unless the stream has not told yet of the earlier end."""
    ada = opened(anyone)
    mine, other = plug(ada), plug(opened(anyone))
    ada.holder.post("/sessions/me/extend", {"seconds": 1}).ok()
    assert process.wait_until(lambda: not ada.holder.get("/sessions/me/validity").ok()["valid"], PATIENCE)
    name = stack.deployed().resources["RealtimeSweepFunction"]
    stack.clients.functions.invoke(FunctionName=name, Payload=b"{}")
    mine.is_ended()
    assert other.ask(type="ping") == {"type": "pong"}


def test_revoking_the_others_ends_their_sockets(admin: Caller, plug: Any) -> None:
    customer = {"customerId": f"c-{uuid4()}"}
    here, there = (opened(admin, customer=customer) for _ in range(2))
    mine, others = plug(here), plug(there)
    assert others.ask(type="subscribe", id=1, topic=f"customer:{customer['customerId']}")["type"] == "subscribed"
    here.holder.post("/tokens/revoke", {"scope": "others"}).ok()
    others.is_ended()
    assert mine.ask(type="ping") == {"type": "pong"}
