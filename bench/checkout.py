"""What a move, a checkout and an accepted offer cost, beside one conditional write of the same session by PATCH.

The real handlers run in this process on dynoxide, with all that they do on Lambda: access, validation, the seal,
the log line and the EMF record, which are formatted and thrown away. Each sample is a session of its own, and goes
its way in turns with the others: PATCH, checkout, offer; another one is a form that moves a step. The provider is
the sandbox, which answers with one write to the table: its time and its unit are among the figures. Write capacity
is what the engine says that it consumed.
"""

import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from functools import partial
from http import HTTPStatus
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

from bench.engines import client, dynoxide, environment
from bench.handlers import Context, loaded
from bench.harness import Outcome, Target, p50, p99
from bench.metering import Meter
from bench.sessions import checkout, event_of, form, store
from local.paths import FUNCTIONS
from tessera.container import on_lambda
from tessera.model.changes import Change
from tessera.model.clock import system_clock
from tessera.model.record import Record
from tessera.tokens.keyring import new_ring
from tests.support.tables import new_table

SAMPLES = 300
_WARM_UP = 20
_OFFER = {"offerId": "warranty", "amount": 990}
_ORDER = {"products": [{"productId": "p-7"}], "amount": 3998, "currency": "EUR", "paymentToken": "tok_visa"}
_TARGETS = (
    Target("advance_wcu", at_most=4),
    Target("checkout_wcu", at_most=15),
    Target("checkout_calls", at_most=5),
)

type Step = tuple[str, str, dict[str, Any]]
"""The name of a figure, the operation, its body."""

_FUNNEL: tuple[Step, ...] = (
    ("update", "sessions/update", {"cartId": "cart-1"}),
    ("checkout", "flows/checkout", _ORDER),
    ("upsell", "flows/upsell", {"offerId": "warranty", "decision": "accepted"}),
)
_FORM: tuple[Step, ...] = (("advance", "flows/advance", {"to": 2}),)


def run() -> Outcome:
    """Measure on one engine, in a fresh process."""
    process = ProcessPoolExecutor(1, get_context("spawn"))
    with dynoxide() as url, new_table(client(url)) as table, process as container:
        measured = container.submit(_measured, url, table).result()
    return Outcome("checkout", measured, _TARGETS)


def _measured(url: str, table: str) -> dict[str, float]:
    variables = environment(url, table, REQUESTS_PER_MINUTE=str(10**9), PAYMENT_PROVIDER="sandbox")
    with Path(os.devnull).open("w") as null, redirect_stdout(null), patch.dict(os.environ, variables):
        shop = _Shop(partial(store, url, table))
        for _ in range(_WARM_UP):
            shop.sample()
        shop.times, shop.took = {}, {}
        for _ in range(SAMPLES):
            shop.sample()
    figures: dict[str, float] = {"checkout_to_update": p50(shop.times["checkout"]) / p50(shop.times["update"])}
    for name, times in shop.times.items():
        units, calls = zip(*shop.took[name], strict=True)
        figures |= {f"{name}_p50_ms": p50(times), f"{name}_p99_ms": p99(times)}
        figures |= {f"{name}_wcu": p50(units), f"{name}_calls": p50(calls)}
    return {name: round(value, 3) for name, value in figures.items()}


class _Shop:
    """One container of each function, on one client, and what its calls took."""

    def __init__(self, sessions: Callable[[], Any]) -> None:
        graph, ring = on_lambda(), json.dumps(new_ring(system_clock()))
        graph.fetch_keys = lambda _fresh: ring
        self._sessions, self._meter = sessions(), Meter(graph.client)
        self._handlers: dict[str, Any] = {}
        for _, operation, _ in (*_FUNNEL, *_FORM):
            self._handlers[operation] = handler = loaded(FUNCTIONS / f"{operation}.py")
            handler.container.wire(graph)
        self.times: dict[str, list[float]] = {}
        self.took: dict[str, list[tuple[float, int]]] = {}

    def sample(self) -> None:
        """Send one session through the funnel, and another one a step on."""
        buyer, filler = checkout(system_clock()), form(system_clock())
        self._sessions.create(buyer, {})
        self._sessions.create(filler, {})
        self._sessions.change(buyer.id, lambda _: Change({("upsells", "offers"): [_OFFER]}))
        for step in _FUNNEL:
            self._timed(step, buyer)
        for step in _FORM:
            self._timed(step, filler)

    def _timed(self, step: Step, record: Record) -> None:
        name, operation, body = step
        event: Mapping[str, Any] = event_of(operation, record)
        in_path = "sessionId" in event.get("pathParameters", {})
        body = body if in_path else {**body, "sessionId": record.id}
        event = {**event, "body": json.dumps(body)}
        self._meter.taken()
        began = perf_counter()
        answer = self._handlers[operation](event, Context())
        self.times.setdefault(name, []).append((perf_counter() - began) * 1_000)
        if answer["statusCode"] != HTTPStatus.OK:
            raise RuntimeError(f"{operation} answered {answer}")
        units, calls, _ = self._meter.taken()
        self.took.setdefault(name, []).append((units, calls))
