"""A portal on this machine that answers as Bitrix24's REST API does: for trying things out, and for the tests.

It knows crm.deal.add and crm.deal.list behind a webhook, and its limit of calls. `faults` are what befalls the
next calls, one each: what a network and a busy portal do.
"""

import json
import secrets
import socket
import struct
import threading
import time
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, cast

from tessera.integrations.bitrix24 import BURST, PER_SECOND

type Fault = Literal["limit", "overload", "outage", "refusal", "garbage", "lost", "vanished", "reset", "hang"]
"""limit: 503 QUERY_LIMIT_EXCEEDED. overload: 429 OPERATION_TIME_LIMIT. refusal: 400. These have no effect.
lost: the connection ends before there is an effect. vanished: it ends after that. reset: same, by RST.
outage: 502 after an effect. garbage: 200 and HTML after an effect. hang: no answer after an effect."""

type Deal = dict[str, Any]
type Reply = tuple[int, Mapping[str, Any] | bytes]

_LIMIT = (503, {"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"})
_STRANGER = (401, {"error": "INVALID_CREDENTIALS", "error_description": "Invalid request credentials"})
_WITHOUT_EFFECT: Mapping[str, Reply] = {
    "limit": _LIMIT,
    "overload": (
        429,
        {"error": "OPERATION_TIME_LIMIT", "error_description": "The method is blocked"},
    ),
    "refusal": (400, {"error": "ERROR_CORE", "error_description": "The stage is wrong for ada@example.org"}),
}
_WITH_EFFECT: Mapping[str, Reply] = {
    "outage": (502, b"<html><h1>502 Bad Gateway</h1></html>"),
    "garbage": (200, b"<html><h1>We are moving</h1></html>"),
}


class Portal:
    """The deals of a portal, the calls that it took, and the faults that are to come."""

    def __init__(self, heard: Callable[[Deal], object] = lambda _: None) -> None:
        self.deals: list[Deal] = []
        self.calls: list[str] = []
        self.faults: deque[Fault] = deque()
        self.key = secrets.token_hex(8)
        self.webhook = ""
        self.released = threading.Event()
        """What hangs, hangs until this is set."""
        self._heard, self._lock = heard, threading.Lock()
        self.burst = BURST
        self._level, self._at = 0.0, time.monotonic()

    def answer(self, path: str, body: Any) -> tuple[Reply, Fault | None]:
        """Return the answer to a call and the fault that befalls it."""
        with self._lock:
            method = path.rpartition("/")[2].removesuffix(".json")
            if path != f"/rest/1/{self.key}/{method}.json":
                return (
                    401,
                    {"error": "INVALID_CREDENTIALS", "error_description": "Invalid request credentials"},
                ), None
            self.calls.append(method)
            fault = self.faults.popleft() if self.faults else None
            if fault is not None and fault in _WITHOUT_EFFECT:
                return _WITHOUT_EFFECT[fault], fault
            if fault == "lost":
                return _LIMIT, fault
            return (_LIMIT if self._over_limit() else self._done(method, body)), fault

    def _over_limit(self) -> bool:
        now = time.monotonic()
        self._level, self._at = max(0.0, self._level - (now - self._at) * PER_SECOND), now
        self._level += 1
        return self._level > self.burst

    def _done(self, method: str, body: Any) -> Reply:
        match method:
            case "crm.deal.add":
                deal: Deal = {"ID": str(len(self.deals) + 1), **body["fields"]}
                self.deals.append(deal)
                self._heard(deal)
                return 200, {"result": int(deal["ID"]), "time": {"operating": 0.1}}
            case "crm.deal.list":
                wanted = {name.removeprefix("="): value for name, value in body["filter"].items()}
                found = [deal for deal in self.deals if deal.items() >= wanted.items()]
                shown = [{name: deal[name] for name in body["select"]} for deal in found]
                return 200, {"result": shown, "total": len(shown)}
            case _:
                return 404, {"error": "ERROR_METHOD_NOT_FOUND", "error_description": "Method not found!"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer a call, or do to it what its fault says."""
        portal = cast("_Server", self.server).portal
        length = int(self.headers.get("content-length", 0))
        (status, content), fault = portal.answer(self.path, json.loads(self.rfile.read(length)))
        self.close_connection = True
        match fault:
            case "lost" | "vanished":
                return
            case "reset":
                # Closing with nothing to linger for sends RST.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                return
            case "hang":
                portal.released.wait()
                return
            case "outage" | "garbage":
                status, content = _WITH_EFFECT[fault]
            case _:
                pass
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "text/html" if isinstance(content, bytes) else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing: the path has the key."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, portal: Portal, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.portal = portal
        portal.webhook = f"http://127.0.0.1:{self.server_port}/rest/1/{portal.key}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone away is what the faults are for."""


@contextmanager
def running(portal: Portal, port: int = 0) -> Generator[Portal]:
    """Run the portal on a port of this machine, any free one by default."""
    server = _Server(portal, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield portal
    finally:
        portal.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def bitrix24(arguments: Namespace) -> None:
    """Answer as Bitrix24 does, until Ctrl-C: prints its webhook, then each deal."""
    portal = Portal(lambda deal: print(json.dumps(deal, ensure_ascii=False), flush=True))
    server = _Server(portal, arguments.port)
    print(portal.webhook, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
