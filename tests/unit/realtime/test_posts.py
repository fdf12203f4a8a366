"""Posts against a server that answers as API Gateway does, and as it does on a bad day."""

import asyncio
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote

import pytest
from botocore.credentials import ReadOnlyCredentials
from botocore.httpsession import get_cert_path
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tessera.errors import Misconfigured
from tessera.model.clock import system_clock
from tessera.realtime.posts import AT_ONCE, Bucket, SocketPosts

HOST = "127.0.0.1"
SHORT = 0.3
"""Seconds of patience where nothing answers."""

SILENT, CUT = 0, -1
"""What a connection can be answered with beside a status: nothing at all; an end of the TCP connection."""


@dataclass
class Gateway:
    """A callback address. `answers` are for each connection what comes one after the other; then 200.

    `held` is not answered until `release_at` other requests have come.
    """

    answers: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    held: str = ""
    release_at: int = 0
    url: str = ""
    requests: list[tuple[str, str, bytes]] = field(default_factory=list[tuple[str, str, bytes]])
    heads: list[bytes] = field(default_factory=list[bytes])
    accepted: int = 0

    def __post_init__(self) -> None:
        self._open = set[asyncio.StreamWriter]()
        self._released = asyncio.Event()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one TCP connection."""
        self.accepted += 1
        self._open.add(writer)
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        method, path, _ = head.split(b"\r\n")[0].decode().split()
        length = next(
            int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
        )
        body = await reader.readexactly(length)
        connection_id = unquote(path.rpartition("/")[2])
        self.heads.append(head)
        self.requests.append((method, path, body))
        if self.release_at and len(self.requests) > self.release_at:
            self._released.set()
        if connection_id == self.held:
            await self._released.wait()
        status = (self.answers.get(connection_id) or [200]).pop(0)
        if status == SILENT:
            await asyncio.Event().wait()
        if status == CUT:
            return False
        text = b'{"message":"x","connectionId":"y","requestId":"z"}' if status >= 400 else b""
        writer.write(
            b"HTTP/1.1 %d x\r\nLocation: /elsewhere\r\nContent-Length: %d\r\n\r\n" % (status, len(text)) + text
        )
        await writer.drain()
        return True

    async def hang_up(self) -> None:
        """End the TCP connections that stand."""
        for writer in [*self._open]:
            writer.close()

    def told(self) -> dict[str, list[bytes]]:
        """Return the bodies that came for each connection."""
        told = defaultdict[str, list[bytes]](list)
        for _, path, body in self.requests:
            told[unquote(path.rpartition("/")[2])].append(body)
        return told


@contextmanager
def listening(gateway: Gateway, tls: ssl.SSLContext | None = None) -> Iterator[asyncio.AbstractEventLoop]:
    """Run a gateway in a thread."""
    loop, ready = asyncio.new_event_loop(), threading.Event()

    async def run() -> None:
        server = await asyncio.start_server(gateway.take, HOST, 0, ssl=tls, backlog=500)
        gateway.url = f"http{'s' if tls else ''}://{HOST}:{server.sockets[0].getsockname()[1]}/v1"
        ready.set()
        await asyncio.Event().wait()

    def work() -> None:
        asyncio.set_event_loop(loop)
        task = loop.create_task(run())
        loop.run_forever()
        for each in asyncio.all_tasks(loop):
            each.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert ready.wait(30)
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)


@contextmanager
def posting(
    gateway: Gateway, *, patience: float = 60, ca_bundle: str = "", per_second: int = 1_000_000
) -> Iterator[SocketPosts]:
    posts = SocketPosts(
        gateway.url,
        "eu-central-1",
        lambda: ReadOnlyCredentials("AKID", "secret", None),
        system_clock,
        per_second,
        ca_bundle=ca_bundle or get_cert_path(verify=True),
        patience=patience,
    )
    try:
        yield posts
    finally:
        posts.shut()


def frames(number: int, each: Sequence[bytes] = (b'{"n":1}',)) -> dict[str, Sequence[bytes]]:
    return {f"c{n}=": each for n in range(number)}


def test_each_connection_gets_its_frames_in_their_order() -> None:
    gateway, sent = Gateway(), [f'{{"n":{n}}}'.encode() for n in range(5)]
    with listening(gateway), posting(gateway) as posts:
        posted = posts.post(frames(3 * AT_ONCE, sent))
    assert (posted.sent, posted.gone, posted.failed) == (15 * AT_ONCE, set(), set())
    assert gateway.told() == {f"c{n}=": sent for n in range(3 * AT_ONCE)}


def test_a_post_says_what_api_gateway_wants_to_see_and_no_more() -> None:
    gateway = Gateway()
    with listening(gateway), posting(gateway) as posts:
        posts.post({"KyA1bf/TBliACEFQ=": [b'{"gr\xc3\xbc\xc3\x9fe":1}']})
    first, *lines = gateway.heads[0].decode().strip().split("\r\n")
    assert first == "POST /v1/%40connections/KyA1bf%2FTBliACEFQ%3D HTTP/1.1"
    assert {line.partition(":")[0].lower() for line in lines} == {
        "host",
        "content-length",
        "x-amz-date",
        "authorization",
    }
    assert gateway.requests[0][2] == b'{"gr\xc3\xbc\xc3\x9fe":1}'


def test_who_is_gone_hears_no_more_and_is_named() -> None:
    gateway = Gateway({"c1=": [200, 410]})
    with listening(gateway), posting(gateway) as posts:
        posted = posts.post(frames(3, [b"1", b"2", b"3"]))
    assert (posted.sent, posted.gone, posted.failed) == (7, {"c1="}, set())
    assert gateway.told()["c1="] == [b"1", b"2"]


@pytest.mark.parametrize("bad", [429, 500, 503, CUT])
def test_who_cannot_be_reached_for_now_is_tried_again(bad: int) -> None:
    gateway = Gateway({"c1=": [bad, bad]})
    with listening(gateway), posting(gateway) as posts:
        posted = posts.post(frames(2, [b"1", b"2"]))
    assert (posted.sent, posted.failed) == (4, set())
    assert gateway.told()["c1="][-2:] == [b"1", b"2"]


@pytest.mark.parametrize("bad", [429, 500, SILENT])
def test_after_three_tries_a_connection_has_failed_and_hears_no_more(bad: int) -> None:
    gateway = Gateway({"c1=": [bad] * 3})
    with listening(gateway), posting(gateway, patience=SHORT if bad == SILENT else 60) as posts:
        posted = posts.post({"c1=": [b"1", b"2"]})
    assert (posted.sent, posted.gone, posted.failed) == (0, set(), {"c1="})
    assert gateway.told()["c1="] == [b"1"] * 3


@pytest.mark.parametrize("status", [302, 400, 413])
def test_what_would_not_be_taken_at_another_try_is_not_tried_again(status: int) -> None:
    gateway = Gateway({"c1=": [status]})
    with listening(gateway), posting(gateway) as posts:
        assert posts.post({"c1=": [b"1"]}).failed == {"c1="}
    assert len(gateway.requests) == 1


def test_nobody_listens_at_all() -> None:
    gateway = Gateway()
    with listening(gateway):
        pass
    with posting(gateway, patience=SHORT) as posts:
        assert posts.post(frames(2)).failed == {"c0=", "c1="}


def test_a_slow_connection_delays_no_other() -> None:
    """It is answered only when all the others have been told."""
    number = 3 * AT_ONCE
    gateway = Gateway(held="c0=", release_at=number)
    with listening(gateway), posting(gateway) as posts:
        posted = posts.post({"c0=": [b"1"], **{f"d{n}": [b"1"] for n in range(number)}})
    assert posted.sent == number + 1
    assert not posted.failed


def test_without_permission_everything_stops_and_nothing_is_left_for_the_next_time() -> None:
    gateway = Gateway({f"c{n}=": [403] for n in range(3 * AT_ONCE)})
    with listening(gateway), posting(gateway) as posts:
        with pytest.raises(Misconfigured):
            posts.post(frames(3 * AT_ONCE))
        came = len(gateway.requests)
        assert came <= AT_ONCE
        assert posts.post({"other": [b"1"]}).sent == 1
        assert len(gateway.requests) == came + 1


def test_connections_are_kept_from_one_time_to_the_next() -> None:
    gateway = Gateway()
    with listening(gateway), posting(gateway) as posts:
        for _ in range(3):
            assert posts.post(frames(2 * AT_ONCE)).sent == 2 * AT_ONCE
    assert gateway.accepted <= AT_ONCE


def test_connections_that_were_ended_meanwhile_cost_no_try() -> None:
    """A container sleeps between two invocations, and the gateway does not wait for it."""
    gateway = Gateway()
    with listening(gateway) as loop, posting(gateway) as posts:
        posts.post(frames(10))
        asyncio.run_coroutine_threadsafe(gateway.hang_up(), loop).result(30)
        assert posts.post(frames(10)).sent == 10
    assert len(gateway.requests) == 20


def test_closing_asks_for_each_and_does_not_mind_who_is_gone() -> None:
    gateway = Gateway({"c1=": [410], "c2=": [503]})
    with listening(gateway), posting(gateway) as posts:
        posts.close(frames(2 * AT_ONCE))
    assert {method for method, _, _ in gateway.requests} == {"DELETE"}
    assert gateway.told() == {f"c{n}=": [b""] * (2 if n == 2 else 1) for n in range(2 * AT_ONCE)}


def test_a_proxy_of_the_environment_is_not_for_posts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    gateway = Gateway()
    with listening(gateway), posting(gateway) as posts:
        assert posts.post(frames(1)).sent == 1


def test_only_who_shows_a_trusted_certificate_is_told_anything(tmp_path: Path) -> None:
    certificate, tls = _certificate(tmp_path)
    gateway = Gateway()
    with listening(gateway, tls):
        with posting(gateway, ca_bundle=str(certificate)) as posts:
            assert posts.post(frames(3)).sent == 3
        with posting(gateway) as posts:
            assert posts.post({"secret": [b"1"]}).failed == {"secret"}
    assert "secret" not in gateway.told()


def _certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate that nobody knows; return its file, and what a server shows it with."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, today - timedelta(1), today + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, secret = folder / "certificate.pem", folder / "key.pem"
    file.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(file, secret)
    return file, tls


def test_the_bucket_gives_so_many_a_second_and_a_tenth_of_that_at_once() -> None:
    now = 0.0
    bucket = Bucket(100, lambda: now)
    assert [bucket.wait() for _ in range(12)] == pytest.approx([0.0] * 10 + [0.01, 0.02])
    now = 1.0
    assert [bucket.wait() for _ in range(11)] == pytest.approx([0.0] * 10 + [0.01])


def test_posts_wait_for_the_bucket() -> None:
    """At ten a second the third goes two tenths of a second after the first, or later."""
    gateway = Gateway()
    with listening(gateway), posting(gateway, per_second=10) as posts:
        began = time.monotonic()
        assert posts.post(frames(3)).sent == 3
        assert time.monotonic() - began >= 0.2
