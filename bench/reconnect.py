"""A reconnect storm, simulated: 10,000 clients fall at once and come back with full jitter.

API Gateway takes 500 new connections a second; who is refused waits again, twice as long at most. What it is
compared with are clients that come back after a fixed time, as many libraries do. The waits are those of the
browser client: between 0 and a span that doubles from one second to thirty.
"""

import heapq
import random
from collections import Counter
from collections.abc import Callable

from bench.harness import Outcome, Target

CLIENTS, ADMITTED = 10_000, 500
FIRST, LONGEST = 1.0, 30.0
FIXED = 5.0
_TARGETS = [Target("attempts_ratio", at_most=0.5), Target("seconds_ratio", at_most=0.5)]

type Wait = Callable[[int], float]


def run() -> Outcome:
    """Let both kinds of clients come back."""
    chance = random.Random(20261120)  # noqa: S311 - the same storm each time
    figures: dict[str, float] = {"clients": CLIENTS}
    storms: dict[str, Wait] = {
        "jitter": lambda attempt: chance.uniform(0, min(LONGEST, FIRST * 2**attempt)),
        "fixed": lambda _: FIXED,
    }
    for name, wait in storms.items():
        attempts, last = _storm(wait)
        figures[f"{name}_peak_per_second"] = max(attempts.values())
        figures[f"{name}_attempts"] = sum(attempts.values())
        figures[f"{name}_all_back_seconds"] = round(last, 1)
    for what in ("attempts", "seconds"):
        of = "all_back_seconds" if what == "seconds" else what
        figures[f"{what}_ratio"] = round(figures[f"jitter_{of}"] / figures[f"fixed_{of}"], 3)
    return Outcome("reconnect", figures, _TARGETS)


def _storm(wait: Wait) -> tuple[Counter[int], float]:
    """Return how many tried in each second, and when the last one was back."""
    waiting = [(wait(0), client, 0) for client in range(CLIENTS)]
    heapq.heapify(waiting)
    attempts: Counter[int] = Counter()
    admitted: Counter[int] = Counter()
    last = 0.0
    while waiting:
        at, client, attempt = heapq.heappop(waiting)
        second = int(at)
        attempts[second] += 1
        if admitted[second] < ADMITTED:
            admitted[second] += 1
            last = at
        else:
            heapq.heappush(waiting, (at + wait(attempt + 1), client, attempt + 1))
    return attempts, last
