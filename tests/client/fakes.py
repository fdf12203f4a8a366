"""What stands between the client and the service: faults that come as one says, and a caller without a network."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tessera_client import Retry

type Handler = Callable[[httpx.Request], httpx.Response]
type Fault = httpx.Response | type[httpx.TransportError] | None
"""What happens to a request: it is answered like this, is not sent at all, or (None) reaches the service."""

BASE = "https://tessera.example/prod"
HALF = Retry(random=lambda: 0.5)
"""Waits for half of what it might at most."""


class LostAnswer(httpx.ReadTimeout):
    """The service did as it was asked, and nobody heard of it."""

    def __init__(self, *_: object) -> None:
        super().__init__("lost")


@dataclass
class Faulty:
    """A way to the service on which the next requests meet these faults, one each."""

    service: Handler
    faults: Sequence[Fault] = ()
    requests: list[httpx.Request] = field(default_factory=list[httpx.Request])

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        fault, self.faults = (self.faults[0], self.faults[1:]) if self.faults else (None, ())
        if isinstance(fault, httpx.Response):
            return fault
        if fault is LostAnswer:
            self.service(request)
        if fault is not None:
            raise fault("gone")
        return self.service(request)

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests if request.content]


def problem(status: int, slug: str, *, retry_after: str | None = None, **members: Any) -> httpx.Response:
    body = {"type": f"/problems/{slug}", "title": slug.capitalize(), "status": status, **members}
    headers = {"content-type": "application/problem+json"}
    return httpx.Response(
        status, json=body, headers=headers | ({"retry-after": retry_after} if retry_after else {})
    )


def answers(*given: Any) -> Handler:
    """A service that gives these answers, whatever it is asked: JSON for 200, or whole responses."""
    left: Iterator[Any] = iter(given)

    def answer(_: httpx.Request) -> httpx.Response:
        response = next(left)
        return response if isinstance(response, httpx.Response) else httpx.Response(200, json=response)

    return answer
