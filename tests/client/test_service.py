"""The client and the service's own handlers agree."""

import httpx

from tessera_client import Tessera, Tokens
from tests.client.fakes import BASE, Faulty
from tests.functions.service import Service
from tests.support.fakes import FakeClock

HOUR = 3_600


def test_a_client_outlives_its_tokens(service: Service, way: Faulty) -> None:
    """Each access token is good for 15 minutes, and each refresh token for one use."""
    told: list[Tokens] = []
    transport = httpx.MockTransport(way)
    tessera = Tessera.create_session(BASE, transport=transport, on_refresh=told.append)
    clock = service.clock
    assert isinstance(clock, FakeClock)
    for hour in range(3):
        clock.forward(HOUR)
        tessera.conversation().append([{"role": "user", "content": str(hour)}])
    assert [message["content"] for message in tessera.conversation().read()] == ["0", "1", "2"]
    assert len(told) == 3
    assert tessera.account.tokens == told[-1]


def test_a_batch_beyond_one_request_keeps_its_order(tessera: Tessera) -> None:
    large = "x" * 300_000
    said = [f"{number}{large}" for number in range(7)] + [str(number) for number in range(150)]
    kept = tessera.conversation().append({"role": "user", "content": text} for text in said)
    assert [message["seq"] for message in kept] == [*range(1, 158)]
    assert [message["content"] for message in tessera.conversation().read(150)] == said[7:]


def test_what_came_after_a_number_and_before_it(tessera: Tessera) -> None:
    conversation = tessera.conversation()
    conversation.append({"role": "user", "content": number} for number in range(1, 11))
    assert [message["content"] for message in conversation.read(after=7)] == [8, 9, 10]
    assert [message["content"] for message in conversation.read(2, after=3)] == [4, 5]
    assert [message["content"] for message in conversation.read(2, before=4)] == [2, 3]
    assert [message["content"] for message in conversation.read(before=3)] == [1, 2]


def test_a_customer_is_remembered_over_conversations(service: Service, way: Faulty) -> None:
    transport, admin = httpx.MockTransport(way), service.service_token()
    body = {"customer": {"customerId": "customer-of-the-client"}}
    for said in ("I take no milk", "Where is my parcel?"):
        tessera = Tessera.create_session(BASE, token=admin, body=body, transport=transport)
        tessera.conversation().append([{"role": "user", "content": said}])
    everything = tessera.recall("customer-of-the-client")
    assert {message["content"] for message in everything["messages"]} == {"I take no milk", "Where is my parcel?"}
    best = tessera.recall("customer-of-the-client", "milk", limit=1)
    assert [message["content"] for message in best["messages"]] == ["I take no milk"]
