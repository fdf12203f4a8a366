"""Requests without input and output: what is asked, waited for and asked again, as generators.

A flow yields requests to send and seconds to wait, gets the outcomes, and returns its result. So the waiting and
the asynchronous client are one program with two drivers.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

import httpx

from tessera_client.account import Account, Tokens
from tessera_client.errors import Problem, Unreachable

T = TypeVar("T")

EXPIRED = "token-expired"


@dataclass(frozen=True)
class Ask:
    """A request: `body` is JSON. `token` goes with it if there is one."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    token: str | None = None

    def request(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """Return it as a client sends it."""
        headers = dict(self.headers)
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        content = None
        if self.body is not None:
            headers["Content-Type"] = "application/json"
            content = encoded(self.body)
        params = {name: value for name, value in self.params.items() if value is not None}
        return http.build_request(self.method, self.path, params=params, content=content, headers=headers)


Step: TypeAlias = Ask | float
Outcome: TypeAlias = httpx.Response | httpx.TransportError | None
Flow: TypeAlias = Generator[Step, Outcome, T]


def encoded(body: Any) -> bytes:
    """Return compact JSON; raises ValueError for what is not JSON (RFC 8259): NaN, a lone surrogate."""
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def call(account: Account, ask: Ask) -> Flow[Any]:
    """Send a request until it is answered; return the answer's JSON, None without a body.

    What is sent must be harmless to repeat. An access token that has expired is renewed, once.
    """
    waits, refreshed = account.retry.waits(), False
    while True:
        tokens = account.tokens
        outcome = yield replace(ask, token=tokens.access)
        if isinstance(outcome, httpx.Response) and outcome.is_success:
            return outcome.json() if outcome.content else None
        failure = failed(outcome)
        if isinstance(failure, Problem) and failure.slug == EXPIRED and tokens.refresh and not refreshed:
            refreshed = True
            yield from refresh(account, tokens)
        else:
            yield waits.after(failure)


def refresh(account: Account, used: Tokens) -> Flow[None]:
    """Renew the tokens, unless another thread or task has done so.

    A refresh token is for one use, but for 30 seconds it gets the same successor: so a repetition, or two at once,
    are no thieves. Before each try it is looked at again.
    """
    waits = account.retry.waits()
    while account.tokens == used:
        outcome = yield Ask("POST", "/tokens/refresh", body={"refreshToken": used.refresh})
        if isinstance(outcome, httpx.Response) and outcome.is_success:
            answer = outcome.json()
            account.renew(used, Tokens(answer["accessToken"], answer["refreshToken"]))
        else:
            yield waits.after(failed(outcome))


def failed(outcome: Outcome) -> Problem | Unreachable:
    """Return what went wrong."""
    if isinstance(outcome, httpx.Response):
        return Problem.of(outcome)
    failure = Unreachable(f"{type(outcome).__name__}: {outcome}")
    failure.__cause__ = outcome
    return failure


def drive(flow: Flow[T], http: httpx.Client, sleep: Callable[[float], object] = time.sleep) -> T:
    """Run a flow in this thread."""
    outcome: Outcome = None
    while True:
        try:
            step = flow.send(outcome)
        except StopIteration as done:
            return done.value
        outcome = None
        if isinstance(step, Ask):
            try:
                outcome = http.send(step.request(http))
            except httpx.TransportError as error:
                outcome = error
        else:
            sleep(step)


async def adrive(
    flow: Flow[T], http: httpx.AsyncClient, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
) -> T:
    """Run a flow in this task."""
    outcome: Outcome = None
    while True:
        try:
            step = flow.send(outcome)
        except StopIteration as done:
            return done.value
        outcome = None
        if isinstance(step, Ask):
            try:
                outcome = await http.send(step.request(http))
            except httpx.TransportError as error:
                outcome = error
        else:
            await sleep(step)
