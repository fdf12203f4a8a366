"""Saves of a form draft against a bare `put_item` handler, on the same engine, call by call in turns.

The draft has the fourteen fields of a project form, less than 1 KB together. Each call changes one field. PUT
sends the whole draft; PATCH one field, with the version of the last answer as `baseVersion`; "older" a field that
others have not changed, with a version 20 saves back, so that the steps are read and merged. The bare handler puts
the whole draft as one item: no session, no condition, no version. All run in one process, which is one container,
each with a DynamoDB client of its own. Write capacity and calls are what the engine says, over all rounds; every
twentieth call also writes for the rate limit.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from http import HTTPStatus
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.engines import ENGINES, client, environment
from bench.handlers import Context, loaded
from bench.harness import Outcome, Target, in_turns, p50, p99
from bench.metering import Meter
from bench.sessions import event_of, form, store
from local.paths import FUNCTIONS
from tessera.model.clock import system_clock
from tests.support.tables import new_table

ROUNDS = 600
_WARM_UP = 30
_AGE = 20
"""How many versions the older base is behind."""

_BARE = Path(__file__).parent / "bare" / "write.py"
_TARGETS = (
    Target("dynoxide_save_calls", at_most=1.1),
    Target("dynoxide_patch_calls", at_most=1.1),
    Target("dynoxide_patch_wcu", at_most=6.1),
)
DRAFT = {
    "projectName": "Analytical Engine",
    "projectDescription": "A mill and a store, cards for the operations and cards for the variables.",
    "buildingType": "mill",
    "squareFootage": 1200,
    "numberOfFloors": 2,
    "numberOfZones": 4,
    "clientName": "Ada Lovelace",
    "clientEmail": "ada@example.com",
    "clientPhone": "+44 20 7946 0000",
    "projectLocation": "London",
    "estimatedStartDate": "2026-11-20",
    "estimatedEndDate": "2027-11-20",
    "budget": 17000,
    "priority": "high",
}


def run() -> Outcome:
    """Measure on each engine."""
    figures: dict[str, float] = {}
    for name, engine in ENGINES.items():
        with engine() as url, ProcessPoolExecutor(1, get_context("spawn")) as container:
            measured = container.submit(_measured, url).result()
        figures |= {f"{name}_{figure}": value for figure, value in measured.items()}
    return Outcome("buckets", figures, _TARGETS)


def _measured(url: str) -> dict[str, float]:
    with Path(os.devnull).open("w") as null, redirect_stdout(null), new_table(client(url)) as table:
        variables = environment(url, table, REQUESTS_PER_MINUTE=str(10**9), METRICS_FLUSH_SECONDS=str(10**6))
        with patch.dict(os.environ, variables):
            subjects = _subjects(url, table)
            times = in_turns(
                {name: subject.call for name, subject in subjects.items()}, rounds=ROUNDS, warm_up=_WARM_UP
            )
    bare = p50(times["bare"])
    figures = {f"{name}_to_bare": round(p50(times[name]) / bare, 3) for name in subjects if name != "bare"}
    for name, subject in subjects.items():
        units, calls, _ = subject.meter.taken()
        made = ROUNDS + _WARM_UP
        figures |= {f"{name}_p50_ms": p50(times[name]), f"{name}_p99_ms": p99(times[name])}
        figures |= {f"{name}_wcu": round(units / made, 3), f"{name}_calls": round(calls / made, 3)}
    return figures


class Subject:
    """A handler and the events for it, one after the other."""

    def __init__(self, path: Path, dynamodb: Callable[[Any], Any], events: Iterator[Mapping[str, Any]]) -> None:
        self._handler, self._events = loaded(path), events
        self.last: dict[str, Any] = {}
        self.call()  # the graph is built now, while the environment is set
        self.meter = Meter(dynamodb(self._handler))

    def call(self) -> None:
        """Send the next event; raises RuntimeError for an answer that is no success."""
        answer = self._handler(dict(next(self._events)), Context())
        if answer["statusCode"] != HTTPStatus.OK:
            raise RuntimeError(f"answered {answer}")
        self.last = json.loads(answer["body"])


def _subjects(url: str, table: str) -> dict[str, Subject]:
    def ours(name: str, changes: Callable[[int, int], tuple[Any, int | None]]) -> Subject:
        record = form(system_clock())
        store(url, table).create(record, {"form": DRAFT})
        subject: list[Subject] = []

        def events() -> Iterator[Mapping[str, Any]]:
            event = event_of(name, record)
            for number in count():
                version = subject[0].last["version"] if subject else 1
                body, base = changes(number, version)
                query = {} if base is None else {"baseVersion": str(base)}
                text = "&".join(f"{key}={value}" for key, value in query.items())
                yield {**event, "body": json.dumps(body), "queryStringParameters": query, "rawQueryString": text}

        made = Subject(FUNCTIONS / f"{name}.py", lambda handler: handler.container.graph().client, events())
        subject.append(made)
        return made

    bare_event = event_of("data/save", form(system_clock()))
    puts = ({**bare_event, "body": json.dumps(DRAFT | {"budget": number})} for number in count())
    return {
        "bare": Subject(_BARE, _client_of, puts),
        "save": ours("data/save", lambda number, _: (DRAFT | {"budget": number}, None)),
        "patch": ours("data/patch", lambda number, version: ({"budget": number}, version)),
        "older": ours(
            "data/patch",
            lambda number, version: ({f"note{number % (2 * _AGE)}": number}, max(1, version - _AGE)),
        ),
    }


def _client_of(handler: Any) -> Any:
    return handler.__globals__["client"]
