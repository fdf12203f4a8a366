"""Ten in a hundred requests to DynamoDB fail: what clients lose by it, and what they wait.

The functions run as on Lambda, on dynoxide. Below the SDK, whose retries are its own, one of ten requests is
throttled, gets no answer and was not done, or gets no answer and was done. Clients, each a process as a container
is, patch, append and read on a session of their own and on one that all share. What is answered with 503 they send
again after `Retry-After`, as a good client does; messages carry a `messageId`. Then everything that was
acknowledged is looked for. The same is done without faults.
"""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from http import HTTPStatus
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError

from bench.engines import client, dynoxide, environment
from bench.handlers import Context, loaded
from bench.harness import Outcome, Target, p50, p99
from bench.sessions import chat, event_of, store
from local.paths import FUNCTIONS
from tessera.model.clock import system_clock
from tessera.model.record import Record
from tests.support.tables import new_table

CLIENTS, OPERATIONS, SHARE = 4, 200, 0.1
NAMES = ("sessions/update", "conversations/append", "sessions/get")
_TARGETS = tuple(Target(figure, at_most=0) for figure in ("lost", "repeated", "half_done"))


@dataclass
class Heard:
    """What a client was told: by session, the numbers of its patches and messages that were acknowledged."""

    patches: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    messages: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    refused: int = 0
    faults: int = 0
    milliseconds: list[float] = field(default_factory=list[float])


class FaultySession:
    """botocore's way to the network. A share of the requests fails: throttled, before it was done, or after."""

    def __init__(self, session: Any, share: float, seed: int) -> None:
        self._session, self._share = session, share
        self._random = random.Random(seed)  # noqa: S311 - the same faults in each run
        self.faults = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def send(self, request: Any) -> Any:
        """Send a request, or have it fail."""
        if self._random.random() >= self._share:
            return self._session.send(request)
        self.faults += 1
        match self._random.choice(("throttled", "silent", "lost")):
            case "throttled":
                return _throttled(request.url)
            case "lost":
                self._session.send(request)
        raise ReadTimeoutError(endpoint_url=request.url)


def run() -> Outcome:
    """Measure with faults and without, on tables of their own."""
    with dynoxide() as url:
        faulty, calm = (_measured(url, share) for share in (SHARE, 0.0))
    figures = {name: value for name, value in faulty.items() if name != "faults"} | {
        "faults_injected": faulty["faults"],
        **{
            f"without_faults_{name}": calm[name]
            for name in ("acknowledged", "refused", "lost", "p50_ms", "p99_ms")
        },
    }
    return Outcome("faults", figures, _TARGETS)


def _measured(url: str, share: float) -> dict[str, float]:
    with new_table(client(url)) as table:
        sessions = store(url, table)
        records = [chat(system_clock()) for _ in range(CLIENTS + 1)]
        for record in records:
            sessions.create(record, {})
        with ProcessPoolExecutor(CLIENTS, get_context("spawn")) as pool:
            asked = [pool.submit(_client, url, table, records, number, share) for number in range(CLIENTS)]
            heard = [each.result() for each in asked]
        with ProcessPoolExecutor(
            1, get_context("spawn")
        ) as judge:  # a fresh process: its logger takes its own stream
            return judge.submit(_judged, url, table, records, heard).result()


def _client(url: str, table: str, records: list[Record], number: int, share: float) -> Heard:
    """Ask for operations in turn; each until it is done."""
    heard = Heard()
    with _quiet(url, table):
        handlers = {name: loaded(FUNCTIONS / f"{name}.py") for name in NAMES}
        sessions: list[FaultySession] = []
        for place, handler in enumerate(handlers.values()):
            endpoint = handler.container.graph().client._endpoint  # noqa: SLF001 - there is no other way below the SDK
            sessions.append(FaultySession(endpoint.http_session, share, seed=10 * number + place))
            endpoint.http_session = sessions[-1]
        for turn in range(OPERATIONS):
            name = NAMES[turn % len(NAMES)]
            session = number if turn % 2 else CLIENTS
            mark = number * OPERATIONS + turn
            _ask(handlers[name], _event(name, records[session], mark), heard)
            if name == "sessions/update":
                heard.patches.append((session, mark))
            elif name == "conversations/append":
                heard.messages.append((session, f"m{mark}"))
    heard.faults = sum(session.faults for session in sessions)
    return heard


def _ask(handler: Any, event: Mapping[str, Any], heard: Heard) -> None:
    while True:
        began = perf_counter()
        answer = handler(dict(event), Context())
        heard.milliseconds.append((perf_counter() - began) * 1_000)
        if answer["statusCode"] < HTTPStatus.BAD_REQUEST:
            return
        if answer["statusCode"] != HTTPStatus.SERVICE_UNAVAILABLE:
            raise RuntimeError(f"answered {answer}")
        heard.refused += 1
        time.sleep(int(answer["headers"]["Retry-After"]))


def _event(name: str, record: Record, mark: int) -> dict[str, Any]:
    bodies: dict[str, Any] = {
        "sessions/update": {"metadata": {f"a{mark}": mark, f"b{mark}": mark}},
        "conversations/append": {
            "messages": [{"role": "user", "content": f"message {mark}", "messageId": f"m{mark}"}]
        },
    }
    event = event_of(name, record)
    return event | ({"body": json.dumps(bodies[name])} if name in bodies else {})


def _judged(url: str, table: str, records: list[Record], heard: list[Heard]) -> dict[str, float]:
    """Look for all that was acknowledged, without faults."""
    with _quiet(url, table):
        fields, found = _stored(records)
    patches = Counter(each for client in heard for each in client.patches)
    messages = Counter(each for client in heard for each in client.messages)
    times = [each for client in heard for each in client.milliseconds]
    return {
        "acknowledged": len(heard) * OPERATIONS,
        "refused": sum(client.refused for client in heard),
        "lost": len(patches.keys() - fields.keys()) + len(messages.keys() - found.keys()),
        "repeated": sum(count - 1 for count in found.values()),
        "half_done": sum(count != 2 for count in fields.values()),  # noqa: PLR2004 - a patch sets two fields
        "faults": sum(client.faults for client in heard),
        "p50_ms": p50(times),
        "p99_ms": p99(times),
    }


def _stored(records: list[Record]) -> tuple[Counter[tuple[int, int]], Counter[tuple[int, str]]]:
    """Return what is there: the fields of each patch, and the messages."""
    get, read = (loaded(FUNCTIONS / f"{name}.py") for name in ("sessions/get", "conversations/read"))
    fields, found = Counter[tuple[int, int]](), Counter[tuple[int, str]]()
    for place, record in enumerate(records):
        session = json.loads(get(event_of("sessions/get", record), Context())["body"])
        fields.update((place, mark) for mark in (session["metadata"] or {}).values())
        page = event_of("conversations/read", record) | {
            "rawQueryString": "limit=1000",
            "queryStringParameters": {"limit": "1000"},
        }
        shown = json.loads(read(page, Context())["body"])["messages"]
        found.update((place, message["messageId"]) for message in shown)
    return fields, found


def _throttled(url: str) -> AWSResponse:
    body = b'{"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "slow down"}'
    return AWSResponse(url, 400, {"content-type": "application/x-amz-json-1.0"}, _Body(body))


class _Body:
    """What urllib3 would have: botocore streams it once."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content


@contextmanager
def _quiet(url: str, table: str) -> Iterator[None]:
    """Set the environment of the functions and throw away what they log."""
    variables = environment(url, table, REQUESTS_PER_MINUTE=str(10**9))
    with Path(os.devnull).open("w") as null, redirect_stdout(null), patch.dict(os.environ, variables):
        yield
