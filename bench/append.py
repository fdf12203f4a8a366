"""The append of a message of 1 KB: ours, at any length of the conversation, and LangChain's history in DynamoDB.

Both run on one dynoxide, one after the other, each in a fresh process. Ours is the real handler, with all that it
does on Lambda; a process is a container, which remembers the sessions that it appended to. A history is filled to
one message less, and the next append is measured, on a fresh history for each sample. Ours is also measured as one
history grows, 200 messages from 100 on and 200 from 10,000 on. Write capacity is what the engine says that it
consumed. Then 20 and 50 writers, each a process, as a container is, append five messages each to one history, and
what can be read afterwards is compared with what they said.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stdout
from functools import partial
from http import HTTPStatus
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.engines import client, dynoxide, environment
from bench.handlers import Context, loaded
from bench.harness import Outcome, Target
from bench.histories import (
    POSITIONS,
    SAMPLES,
    TEXT,
    WRITERS,
    History,
    appended_at,
    fill,
    report,
    timed,
    written_by,
)
from bench.metering import Meter
from bench.sessions import chat, event_of, store
from local.paths import FUNCTIONS, ROOT
from tessera.model.clock import system_clock
from tessera.model.record import Record
from tests.support.tables import new_table

LONG = 10_000
SHORT = 700
"""Letters of a message that is an item of less than 1 KB, with all that is stored beside them."""

LANGCHAIN = ROOT / ".tessera" / "engines" / "langchain" / "bin" / "python"
_THEIRS = Path(__file__).parent / "bare" / "langchain_history.py"
_TARGETS = (
    Target("ours_from_10000_to_from_100", at_most=1.2),
    Target("ours_short_with_ids_at_100_wcu", at_most=4),
    Target("ours_from_10000_calls", at_most=1.1),
    *(Target(f"ours_writers_50_{fault}", at_most=0) for fault in ("lost", "repeated", "out_of_order")),
)


def run() -> Outcome:
    """Measure ours, then theirs, on one engine."""
    with dynoxide() as url, new_table(client(url)) as table:
        with ProcessPoolExecutor(1, get_context("spawn")) as container:
            ours = container.submit(_ours, url, table).result()
        theirs = _theirs(url)
    figures = {
        "ours_from_10000_to_from_100": ours["from_10000_p50_ms"] / ours["from_100_p50_ms"],
        **{f"ratio_at_{at}": ours[f"at_{at}_p50_ms"] / theirs[f"at_{at}_p50_ms"] for at in POSITIONS},
        **{f"ours_{name}": value for name, value in ours.items()},
        **{f"langchain_{name}": value for name, value in theirs.items()},
    }
    return Outcome("append", {name: round(value, 3) for name, value in figures.items()}, _TARGETS)


class Ours:
    """A conversation, as one container's functions serve it to the session's owner."""

    def __init__(self, container: "Container", record: Record, ids: Iterator[int] | None = None) -> None:
        self._container, self._ids = container, ids
        self._append = event_of("conversations/append", record)
        self._read = event_of("conversations/read", record)

    def append(self, texts: Sequence[str]) -> None:
        """Append messages of a user; what is refused for now is sent again, as a client does."""
        named = ({"messageId": f"message-{next(self._ids)}"} if self._ids else {} for _ in texts)
        messages = [{"role": "user", "content": text, **name} for text, name in zip(texts, named, strict=True)]
        event = {**self._append, "body": json.dumps({"messages": messages})}
        while self._container.append(event)["statusCode"] == HTTPStatus.SERVICE_UNAVAILABLE:
            pass

    def read(self) -> list[str]:
        """Return the texts of the newest thousand messages."""
        event = {**self._read, "rawQueryString": "limit=1000", "queryStringParameters": {"limit": "1000"}}
        return [message["content"] for message in json.loads(self._container.read(event)["body"])["messages"]]


class Container:
    """The two functions, loaded afresh."""

    def __init__(self) -> None:
        self._appending = loaded(FUNCTIONS / "conversations" / "append.py")
        self._reading = loaded(FUNCTIONS / "conversations" / "read.py")
        self.client = self._appending.container.graph().client

    def append(self, event: Mapping[str, Any]) -> Any:
        """Call it; raises RuntimeError for an answer that is neither a success nor a 503."""
        return _answered(self._appending, event)

    def read(self, event: Mapping[str, Any]) -> Any:
        """Call it; raises RuntimeError for an answer that is no success."""
        return _answered(self._reading, event)


def _answered(handler: Callable[[Any, Context], Any], event: Mapping[str, Any]) -> Any:
    answer = handler(dict(event), Context())
    if answer["statusCode"] not in (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.SERVICE_UNAVAILABLE):
        raise RuntimeError(f"answered {answer}")
    return answer


def _ours(url: str, table: str) -> dict[str, float]:
    with _quiet(url, table):
        container, ids = Container(), count()
        meter = Meter(container.client)
        sessions = store(url, table)

        def begin() -> Record:
            record = chat(system_clock())
            sessions.create(record, {})
            return record

        figures = appended_at(lambda: Ours(container, begin()), meter)
        for length in (100, LONG):
            figures |= _growing(Ours(container, begin()), meter, length)
        for text, length in ((TEXT, ""), (TEXT[:SHORT], "short_")):
            with_ids = appended_at(lambda: Ours(container, begin(), ids), meter, [100], text=text)
            figures |= {f"{length}with_ids_{name}": value for name, value in with_ids.items()}
        short = appended_at(lambda: Ours(container, begin()), meter, [100], text=TEXT[:SHORT])
        figures |= {f"short_{name}": value for name, value in short.items()}
        for writers in WRITERS:
            figures |= written_by(partial(_joined, begin()), writers)
    return figures


def _joined(record: Record) -> Ours:
    return Ours(Container(), record)


def _growing(history: History, meter: Meter, length: int) -> dict[str, float]:
    """Measure appends to one history, from so many messages on."""
    fill(history, length - 1)
    times: list[float] = []
    took: list[tuple[float, int, int]] = []
    for _ in range(SAMPLES):
        meter.taken()
        times.append(timed(history))
        took.append(meter.taken())
    return report(f"from_{length}", times, took)


@contextmanager
def _quiet(url: str, table: str) -> Iterator[None]:
    """Set the environment of the functions and throw away what they log."""
    variables = environment(url, table, REQUESTS_PER_MINUTE=str(10**9))
    with Path(os.devnull).open("w") as null, redirect_stdout(null), patch.dict(os.environ, variables):
        yield


def _theirs(url: str) -> dict[str, float]:
    """Measure LangChain's in its own environment, on a table as its documents make it."""
    if not LANGCHAIN.exists():
        raise SystemExit("LangChain's environment is missing: run this as `make bench ARGS=append`")
    name = "SessionTable"
    client(url).create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "SessionId", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "SessionId", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    done = subprocess.run(
        [str(LANGCHAIN), str(_THEIRS), url, name],
        env={**os.environ, **environment(url, name), "PYTHONPATH": str(ROOT)},
        check=True,
        stdout=subprocess.PIPE,
    )
    return json.loads(done.stdout)
