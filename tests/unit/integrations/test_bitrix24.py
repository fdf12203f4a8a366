"""Calls to Bitrix24 over real HTTP: what each end of a call means, and that the webhook stays a secret."""

import json
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from local.bitrix24 import Fault, Portal, running
from tessera.errors import Misconfigured, Refused, TesseraError, Throttled, Unanswered, Unavailable
from tessera.integrations.bitrix24 import Bitrix24, webhook_in

FIELDS = {"TITLE": "Order 1", "ORIGINATOR_ID": "tessera", "ORIGIN_ID": "ses_1"}


@pytest.fixture
def portal() -> Iterator[Portal]:
    with running(Portal()) as portal:
        yield portal


def client(portal: Portal) -> Bitrix24:
    return Bitrix24(lambda _fresh: portal.webhook, timeout=0.5)


def test_a_deal_is_made_and_found(portal: Portal) -> None:
    bitrix = client(portal)
    assert bitrix.find_deal("ses_1") is None
    assert bitrix.add_deal(FIELDS) == "1"
    assert bitrix.add_deal(FIELDS | {"ORIGIN_ID": "ses_2"}) == "2"
    assert bitrix.find_deal("ses_2") == "2"
    assert portal.deals[0] == FIELDS | {"ID": "1"}


@pytest.mark.parametrize(
    ("fault", "error", "deals"),
    [
        ("limit", Throttled, 0),
        ("overload", Throttled, 0),
        ("refusal", Refused, 0),
        ("lost", Unanswered, 0),
        ("vanished", Unanswered, 1),
        ("reset", Unanswered, 1),
        ("hang", Unanswered, 1),
        ("outage", Unanswered, 1),
        ("garbage", Unanswered, 1),
    ],
)
def test_each_end_of_a_call_says_what_is_certain(
    portal: Portal, fault: Fault, error: type[TesseraError], deals: int
) -> None:
    """Only where nothing can have been done it is said that nothing was."""
    portal.faults.append(fault)
    with pytest.raises(error) as raised:
        client(portal).add_deal(FIELDS)
    assert type(raised.value) is error
    portal.released.set()
    assert len(portal.deals) == deals


def test_the_fifty_first_call_at_once_is_over_the_limit(portal: Portal) -> None:
    def taken(bitrix: Bitrix24) -> bool:
        with suppress(Throttled):
            bitrix.find_deal("ses_1")
            return True
        return False

    assert [taken(client(portal)) for _ in range(50)] == [True] * 50
    assert not all(taken(client(portal)) for _ in range(60))


def test_where_nobody_listens_nothing_was_done() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/rest/1/s3cret"
        with pytest.raises(Unavailable):
            Bitrix24(lambda _fresh: address).add_deal(FIELDS)


def test_a_wrong_key_is_refused_and_another_one_looked_for(portal: Portal) -> None:
    """The next call has the webhook that was put in meanwhile."""
    known = [portal.webhook + "0"]

    def webhook(fresh: bool) -> str:
        if fresh:
            known[0] = portal.webhook
        return known[0]

    bitrix = Bitrix24(webhook)
    with pytest.raises(Refused) as refused:
        bitrix.add_deal(FIELDS)
    assert refused.value.code == "INVALID_CREDENTIALS"
    assert bitrix.add_deal(FIELDS) == "1"


@pytest.mark.parametrize("fault", ["refusal", "lost", "garbage", "hang"])
def test_no_error_and_no_log_has_the_webhook_or_the_shopper(
    portal: Portal, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    portal.faults.append(fault)
    with caplog.at_level(logging.DEBUG), pytest.raises(TesseraError) as raised:
        client(portal).add_deal(FIELDS)
    told = f"{raised.getrepr(style='long')} {raised.value!r} {raised.value.__cause__!r} {caplog.text}"
    assert portal.key not in told
    assert "ada@example.org" not in told


# --- answers that no portal should give -------------------------------------------------------------


def answering(answer: bytes) -> Bitrix24:
    """Return a client of a server that gives one answer to one call."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with server, server.accept()[0] as connection:
            connection.recv(65_536)
            connection.sendall(answer)

    threading.Thread(target=serve).start()
    address = f"http://127.0.0.1:{server.getsockname()[1]}/rest/1/s3cret"
    return Bitrix24(lambda _fresh: address, timeout=2)


def http(status: str, content: Any) -> bytes:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (http("200 OK", {"error": "ACCESS_DENIED", "error_description": "for Ada"}), "ACCESS_DENIED"),
        (http("400 Bad Request", {"error": 0, "error_description": "for Ada"}), "HTTP_400"),
        (http("400 Bad Request", {"error": "of Ada Lovelace"}), "HTTP_400"),
        (http("403 Forbidden", b"<html>"), "HTTP_403"),
        (http("301 Moved Permanently", b""), "HTTP_301"),
    ],
)
def test_a_refusal_is_told_by_its_code_alone(answer: bytes, code: str) -> None:
    with pytest.raises(Refused) as refused:
        answering(answer).add_deal(FIELDS)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "answer",
    [
        http("200 OK", b""),
        http("200 OK", b"[1]"),
        http("200 OK", {}),
        http("200 OK", {"result": None}),
        http("200 OK", {"result": True}),
        http("200 OK", {"result": "a deal"}),
        http("200 OK", {"result": -1}),
        http("408 Request Timeout", b""),
        http("500 Internal Server Error", {"error": "INTERNAL_SERVER_ERROR"}),
        http("503 Service Unavailable", b"<html>"),
        http("504 Gateway Timeout", {"result": 1}),
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{",
        b"SSH-2.0-OpenSSH\r\n",
        b"",
    ],
)
def test_what_cannot_be_read_is_no_answer(answer: bytes) -> None:
    with pytest.raises(Unanswered):
        answering(answer).add_deal(FIELDS)


@pytest.mark.parametrize(
    "result", [None, "none", {"ID": "1"}, [{"ID": "1"}], [None], [{"ID": "1", "ORIGIN_ID": "ses_2"}]]
)
def test_a_search_that_was_not_understood_has_not_found_nothing(result: Any) -> None:
    """Deals of other orders mean that the filter was not looked at, and ours may be on a later page."""
    with pytest.raises(Unanswered):
        answering(http("200 OK", {"result": result})).find_deal("ses_1")


# --- the webhook ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "",
        "s3cret",
        "http://portal.example/rest/1/s3cret",
        "ftp://127.0.0.1/s3cret",
        "https:///rest",
        "http://[s3cret",
    ],
)
def test_what_is_no_webhook_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        Bitrix24(lambda _fresh: address or " ").add_deal(FIELDS)
    assert "s3cret" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize(
    ("secret", "address"),
    [
        ('{"webhook": "https://portal.example/rest/1/key"}', "https://portal.example/rest/1/key"),
        ("{}", None),
        ('{"webhook": 1}', None),
        ("https://portal.example/rest/1/key", None),
        ("[]", None),
        ("", None),
    ],
)
def test_a_secret_may_have_none(secret: str, address: str | None) -> None:
    assert webhook_in(secret) == address


def test_without_one_nothing_is_called() -> None:
    bitrix = Bitrix24(lambda _fresh: None)
    assert not bitrix.ready()
    with pytest.raises(Unavailable):
        bitrix.add_deal(FIELDS)


def test_one_that_was_put_in_a_moment_ago_is_seen() -> None:
    assert Bitrix24(lambda fresh: "https://portal.example/rest/1/key" if fresh else None).ready()
