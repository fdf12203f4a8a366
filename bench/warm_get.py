"""A warm sessions/get against a bare get_item handler, on the same engine, call by call in turns.

Both handlers run in this process with the same event. Ours does all that it does on Lambda: access, rate limit,
validation, the log line and the EMF record, which are formatted and then thrown away, and every ten seconds the
write of its counters.
"""

import os
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stdout
from functools import partial
from http import HTTPStatus
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.engines import ENGINES, client, environment
from bench.handlers import Context, loaded
from bench.harness import Outcome, Target, in_turns, p50, p99
from bench.sessions import get_event, stored
from local.paths import FUNCTIONS
from tests.support.tables import new_table

BARE = Path(__file__).parent / "bare" / "read.py"
GET = FUNCTIONS / "sessions" / "get.py"
ROUNDS = 4_000
_WARM_UP = 300
_TARGETS = [
    target
    for engine in ENGINES
    for target in (Target(f"{engine}_ratio", at_most=1.3), Target(f"{engine}_l1_p50_ms", at_most=1.0))
]

type Call = Callable[[], None]


def run() -> Outcome:
    """Measure on each engine."""
    figures: dict[str, float] = {}
    for name, engine in ENGINES.items():
        with engine() as url, ProcessPoolExecutor(1, get_context("spawn")) as container:
            measured = container.submit(_measured, url).result()
        figures |= {f"{name}_{figure}": value for figure, value in measured.items()}
    return Outcome("warm_get", figures, _TARGETS)


def _measured(url: str) -> dict[str, float]:
    with Path(os.devnull).open("w") as null, redirect_stdout(null), _calls(url) as (bare, ours, from_l1):
        times = in_turns({"bare": bare, "ours": ours}, rounds=ROUNDS, warm_up=_WARM_UP)
        times |= in_turns({"l1": from_l1}, rounds=ROUNDS, warm_up=_WARM_UP)
    figures = {"ratio": round(p50(times["ours"]) / p50(times["bare"]), 3)}
    for subject, measured in times.items():
        figures |= {f"{subject}_p50_ms": p50(measured), f"{subject}_p99_ms": p99(measured)}
    return figures


@contextmanager
def _calls(url: str) -> Generator[tuple[Call, Call, Call]]:
    """Give the bare handler, ours, and ours with L1, as calls that read the same session."""
    with new_table(client(url)) as table:
        record = stored(url, table)
        called = partial(_called, event=get_event(record))
        variables = environment(url, table, REQUESTS_PER_MINUTE=str(10**9))
        yield (
            called(BARE, variables),
            called(GET, variables),
            called(GET, variables | {"KINDS": '{"checkout": {"cacheSeconds": 2}}'}),
        )


def _called(path: Path, variables: Mapping[str, str], *, event: Mapping[str, Any]) -> Call:
    """Load a handler afresh and call it once while its environment is set; return further calls."""
    with patch.dict(os.environ, variables):
        handler, context = loaded(path), Context()

        def call() -> None:
            answer = handler(event, context)
            if answer["statusCode"] != HTTPStatus.OK:
                raise RuntimeError(f"{path} answered {answer}")

        call()
    return call
