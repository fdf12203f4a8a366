"""Web Push: registered browsers are told while no socket is open, by a push that they alone can read."""

import hmac
import json
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tessera.realtime.webpush import padless, unpadded
from tests.functions.live import Stream, plug, ticket_of
from tests.functions.service import Context, Owner, Service
from tests.support.fakes import FakeClock

SECRET = padless(b"s" * 16)


class Browser:
    """A browser and its push service: takes pushes and opens them."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.status = 201
        self.heard: list[Any] = []

    def post(self, _endpoint: str, body: bytes, headers: Mapping[str, str]) -> int:
        assert headers["Authorization"].startswith("vapid t=")
        if self.status == 201:
            self.heard.append(json.loads(self._opened(body)))
        return self.status

    @property
    def subscription(self) -> dict[str, Any]:
        keys = {"p256dh": padless(self._point()), "auth": SECRET}
        return {"endpoint": "https://push.example/abc", "expirationTime": None, "keys": keys}

    def _point(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def _opened(self, body: bytes) -> bytes:
        """RFC 8291, section 3.4, from the other side."""
        salt, sender = body[:16], body[21:86]
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
        first = _hmac(unpadded(SECRET), self.key.exchange(ec.ECDH(), point))
        key = _hmac(salt, _hmac(first, b"WebPush: info\0" + self._point() + sender + b"\x01"))
        content_key = _hmac(key, b"Content-Encoding: aes128gcm\0\x01")[:16]
        nonce = _hmac(key, b"Content-Encoding: nonce\0\x01")[:12]
        return AESGCM(content_key).decrypt(nonce, body[86:], None).rstrip(b"\x02")


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


@pytest.fixture
def browser() -> Browser:
    return Browser()


@pytest.fixture
def pushing(service: Service, browser: Browser) -> Service:
    service.push_service = browser
    return service


def register(service: Service, owner: Owner, browser: Browser, **more: Any) -> Any:
    return service.call("realtime/push", "me", token=owner.token, body={**browser.subscription, **more})


def say(service: Service, owner: Owner, text: str = "Hello") -> None:
    body = {"messages": [{"role": "assistant", "content": text}]}
    assert service.call("conversations/append", "me", token=owner.token, body=body).status == 201


def test_a_message_is_pushed_while_no_device_is_connected(pushing: Service, browser: Browser) -> None:
    owner, stream = pushing.create(kind="chat"), Stream(pushing)
    registered = register(pushing, owner, browser)
    assert registered.status == 201
    stream.records("table")
    say(pushing, owner)
    stream.flow()
    (told,) = browser.heard
    assert told["change"] == "messages"
    assert told["patch"]["messages"]["1"]["content"] == "Hello"
    socket = plug(pushing, ticket_of(pushing, owner))
    say(pushing, owner)
    stream.flow()
    assert len(browser.heard) == 1
    socket.disconnect()
    say(pushing, owner, "x" * 10_000)
    stream.flow()
    assert browser.heard[1]["patch"] is None


def test_only_what_was_asked_for_is_pushed(pushing: Service, browser: Browser) -> None:
    owner, stream = pushing.create(), Stream(pushing)
    register(pushing, owner, browser, changes=["session"])
    stream.records("table")
    say(pushing, owner)
    pushing.call("sessions/update", "me", token=owner.token, body={"email": "ada@example.org"})
    stream.flow()
    assert [told["change"] for told in browser.heard] == ["session"]


@pytest.mark.parametrize("status", [404, 410])
def test_a_browser_that_is_gone_is_forgotten(pushing: Service, browser: Browser, status: int) -> None:
    owner, stream = pushing.create(), Stream(pushing)
    register(pushing, owner, browser)
    stream.records("table")
    browser.status = status
    say(pushing, owner)
    stream.flow()
    route = "GET /sessions/{sessionId}/push-subscriptions"
    shown = pushing.call("realtime/push", "me", token=owner.token, route=route, body=None).json
    assert shown["subscriptions"] == []
    assert shown["publicKey"]


def test_a_registration_is_shown_without_its_address_and_can_be_removed(
    pushing: Service, browser: Browser
) -> None:
    owner = pushing.create()
    found = register(pushing, owner, browser).json
    assert register(pushing, owner, browser).json["id"] == found["id"]
    route = "GET /sessions/{sessionId}/push-subscriptions"
    shown = pushing.call("realtime/push", "me", token=owner.token, route=route, body=None)
    assert shown.json["subscriptions"] == [found]
    assert "push.example" not in shown.text
    assert [remove(pushing, owner, found["id"]) for _ in range(2)] == [204, 404]


def remove(service: Service, owner: Owner, subscription: str) -> int:
    path = f"/sessions/{owner.id}/push-subscriptions/{subscription}"
    answer = service.call(
        "realtime/push",
        token=owner.token,
        body=None,
        rawPath=path,
        routeKey="DELETE /sessions/{sessionId}/push-subscriptions/{subscriptionId}",
        pathParameters={"sessionId": owner.id, "subscriptionId": subscription},
        requestContext=_context("DELETE", path),
    )
    return answer.status


def _context(method: str, path: str) -> dict[str, Any]:
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7"}
    return {"authorizer": {}, "http": http, "requestId": "r", "stage": "$default"}


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint": "https://evil.example/abc"},
        {"endpoint": "http://push.example/abc"},
        {"endpoint": "https://push.example.evil.example/"},
        {"endpoint": "file:///etc/passwd"},
        {"keys": {"p256dh": "AAAA", "auth": SECRET}},
        {"changes": ["everything"]},
    ],
)
def test_nobody_makes_us_call_another_address(pushing: Service, browser: Browser, change: dict[str, Any]) -> None:
    assert register(pushing, pushing.create(), browser, **change).problem == (422, "invalid")


def test_a_session_that_expires_takes_its_browsers_along(
    pushing: Service, browser: Browser, clock: FakeClock
) -> None:
    owner = pushing.create(ttlSeconds=10)
    register(pushing, owner, browser)
    clock.forward(11)
    pushing.handler("lifecycle/cleanup")({}, Context(300_000))
    assert [item["sk"] for item in pushing.table.query(f"SESSION#{owner.id}", "PUSH#")] == []
