"""What a change over HTTP tells the session's devices: a merge patch, its kind, its version, nothing hidden."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.model.merge import merge_patch
from tessera.realtime.changes import difference
from tests.functions.live import Socket, Stream, plug, ticket_of
from tests.functions.service import Context, Owner, Service

FLAT = st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=2) | st.lists(st.integers(), max_size=2)
OBJECTS = st.recursive(
    st.dictionaries(st.sampled_from("abc"), FLAT.filter(lambda value: value is not None), max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner | FLAT.filter(lambda value: value is not None)),
)


class Device:
    """A session with a socket that subscribes to it."""

    def __init__(self, service: Service, **body: Any) -> None:
        self.service, self.stream = service, Stream(service)
        self.owner: Owner = service.create(**body)
        self.socket: Socket = plug(service, ticket_of(service, self.owner))
        assert self.socket.subscribe(f"session:{self.owner.id}")["type"] == "subscribed"
        self.stream.records("table")

    def call(self, name: str, *, by_service: bool = False, **how: Any) -> Any:
        token = self.service.service_token() if by_service else self.owner.token
        answer = self.service.call(name, self.owner.id, token=token, **how)
        assert answer.status < 300, answer.text
        return answer.json if answer.text else None

    def told(self) -> list[dict[str, Any]]:
        """Return what it has heard since it was asked last."""
        self.socket.sent.clear()
        self.stream.flow()
        assert {frame["topic"] for frame in self.socket.sent} <= {f"session:{self.owner.id}"}
        return [frame["data"] for frame in self.socket.sent]


@pytest.fixture
def device(service: Service) -> Device:
    return Device(service, kind="form", email="ada@example.org", metadata={"a": 1, "b": {"c": 2}})


@given(OBJECTS, OBJECTS)
def test_a_patch_makes_the_new_image_of_the_old_one(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert merge_patch(old, difference(old, new)) == new
    assert (difference(old, new) == {}) == (json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True))


def test_a_patch_of_a_session_is_told_once_with_its_version(device: Device) -> None:
    session = device.call("sessions/update", body={"email": None, "metadata": {"b": {"c": 3}, "d": 4}})
    (told,) = device.told()
    assert (told["change"], told["version"]) == ("session", session["version"])
    assert {**device.owner.session, **merge_patch(device.owner.session, told["patch"]), "email": None} == session
    assert told["patch"]["metadata"] == {"b": {"c": 3}, "d": 4}


def test_steps_and_status_are_the_flow(device: Device) -> None:
    device.call("sessions/update", body={"currentStep": 2, "completedSteps": [1]})
    device.call("sessions/update", by_service=True, body={"status": "processing"})
    (told,) = device.told()  # the fake stream shows what was and what is, not what was between
    assert (told["change"], told["patch"]["currentStep"], told["patch"]["status"]) == ("flow", 2, "processing")


def test_an_extension_is_told_and_a_slide_is_not(device: Device) -> None:
    """Also one that ends when a slide would have ended: somebody asked for it."""
    for body in ({"seconds": 60}, {}):
        expires_at = device.call("sessions/extend", body=body)["expiresAt"]
        (told,) = device.told()
        assert (told["change"], told["patch"]["expiresAt"]) == ("session", expires_at)
    device.call("sessions/update", body={})
    assert device.told() == []


def test_a_bucket_is_told_with_its_own_version(device: Device) -> None:
    """What a merge patch cannot say, a null that is kept, is not told wrongly."""
    path = {"sessionId": device.owner.id, "bucket": "form"}
    place = {"rawPath": f"/sessions/{device.owner.id}/data/form", "pathParameters": path}
    device.call("data/save", body={"name": "Ada", "years": 36}, **place)
    device.told()
    device.call("data/save", body={"name": "Ada", "town": {"of": "London"}}, **place)
    (told,) = device.told()
    assert told["change"] == "data"
    assert told["patch"] == {"data": {"form": {"years": None, "town": {"of": "London"}}}}
    device.call("data/save", body={"name": None}, **place)
    assert [told["patch"] for told in device.told()] == [None]


def test_a_removal_is_told_after_the_last_save_and_before_the_next_one(device: Device) -> None:
    path = {"sessionId": device.owner.id, "bucket": "form"}
    place = {"rawPath": f"/sessions/{device.owner.id}/data/form", "pathParameters": path}
    told: list[dict[str, Any]] = []
    for name, how in (("save", {"body": {"name": "Ada"}}), ("remove", {}), ("save", {"body": {"name": "Grace"}})):
        device.call(f"data/{name}", **how, **place)
        told += device.told()
    assert [each["version"] for each in told] == [1, 2, 3]
    assert [each["patch"]["data"]["form"] for each in told] == [{"name": "Ada"}, None, {"name": "Grace"}]


def test_messages_are_told_by_their_numbers(device: Device) -> None:
    said = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": {"text": "Hi"}}]
    messages = device.call("conversations/append", body={"messages": said})["messages"]
    (told,) = device.told()
    assert told["change"] == "messages"
    conversation = device.call("sessions/get")["conversationId"]
    assert told["patch"] == {"conversationId": conversation, "messages": {"1": messages[0], "2": messages[1]}}
    device.call("conversations/append", body={"messages": said[:1]})
    (told,) = device.told()
    assert [*told["patch"]] == ["messages"]
    device.call("conversations/pop")
    (told,) = device.told()
    assert told["patch"] == {"messages": {"3": None}}


def test_a_cart_and_what_happens_in_it_are_told(device: Device) -> None:
    device.call("activity/cart", body={"cartId": "cart-1"})
    (told,) = device.told()
    assert (told["change"], told["patch"]["cartId"]) == ("cart", "cart-1")
    route = "POST /sessions/{sessionId}/cart/actions"
    actions = device.call("activity/cart", route=route, body={"actions": [{"action": "item_added"}]})["actions"]
    (told,) = device.told()
    assert (told["change"], [*told["patch"]["cartActions"]]) == ("cart", [actions[0]["id"]])


def test_a_patch_that_is_too_large_is_left_out(device: Device) -> None:
    device.call("sessions/update", body={"metadata": {"large": "x" * 40_000}})
    (told,) = device.told()
    assert (told["change"], told["patch"]) == ("session", None)


def test_nothing_hidden_is_told(service: Service, device: Device) -> None:
    """Neither hashes nor claims nor a refresh, which shows nothing that the contract has."""
    refreshed = service.call("tokens/refresh", body={"refreshToken": device.owner.refresh_token})
    assert refreshed.status == 200
    device.call("sessions/update", by_service=True, body={"vaultId": "v-1"})
    text = json.dumps(device.told())
    assert "v-1" in text
    for hidden in ("refresh", "claims", "epoch", "ttl", "idleSeconds", "hash"):
        assert hidden not in text


def test_a_batch_that_comes_again_keeps_its_offsets(service: Service, device: Device) -> None:
    device.call("sessions/update", body={"email": "b@example.org"})
    device.call("sessions/update", body={"email": "c@example.org"})
    records = device.stream.records("table")
    for _ in range(2):
        assert service.handler("realtime/fanout")({"Records": records}, Context()) == {"batchItemFailures": []}
    frames = [(frame["offset"], frame["data"]["version"]) for frame in device.socket.sent]
    assert {*frames} == {*frames[: len(frames) // 2]}
    head = service.realtime_table.query(f"TOPIC#session:{device.owner.id}", "HEAD")
    assert [item["offset"] for item in head] == [len(frames) // 2]


def test_what_nobody_has_ever_subscribed_to_is_not_kept(service: Service) -> None:
    stream, owner = Stream(service), service.create()
    stream.records("table")
    service.call("sessions/update", "me", token=owner.token, body={"email": "ada@example.org"})
    stream.flow()
    assert list(service.realtime_table.query(f"TOPIC#session:{owner.id}")) == []
