"""When a request is sent again, and after how long."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tessera_client.errors import Problem, TesseraError, Unreachable

GATEWAY = (429, 502, 503, 504)
"""The statuses that say: not now. Tessera's own 503 was never half done; a gateway's may have been."""

IN_PROGRESS = "idempotency-in-progress"


@dataclass(frozen=True)
class Retry:
    """How often and how patiently: exponential waits with full jitter, never before Retry-After.

    Full jitter: each wait is drawn from 0 to `first_wait`, doubled with each try up to `longest_wait` (seconds),
    so that those who failed together do not come back together. `patience` is how long all waits of one request
    may take: who is told to wait longer raises at once.
    """

    tries: int = 6
    first_wait: float = 0.2
    longest_wait: float = 10.0
    patience: float = 60.0
    random: Callable[[], float] = field(default=random.random, repr=False)

    def waits(self) -> "Waits":
        """Return the waits of one request."""
        return Waits(self)


class Waits:
    """The waits of one request, as it fails again and again."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._failures = 0
        self._waited = 0.0

    def after(self, failure: TesseraError) -> float:
        """Return how many seconds to wait before the next try; raises the failure if there is to be none."""
        retry = self._retry
        self._failures += 1
        if self._failures >= retry.tries or not passes(failure):
            raise failure
        asked = (failure.retry_after or 0.0) if isinstance(failure, Problem) else 0.0
        span = min(retry.longest_wait, retry.first_wait * 2.0 ** (self._failures - 1))
        wait = asked + retry.random() * span
        self._waited += wait
        if self._waited > retry.patience:
            raise failure
        return wait


def passes(failure: TesseraError) -> bool:
    """Whether the same request may work later."""
    if isinstance(failure, Problem):
        return failure.status in GATEWAY or failure.slug == IN_PROGRESS
    return isinstance(failure, Unreachable)
