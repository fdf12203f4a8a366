"""Which tiers answered the present request, and how long each took."""

from collections.abc import Generator
from contextlib import contextmanager
from time import perf_counter

L1, L2, L3 = "L1", "L2", "L3"


class Tiers:
    """The record of one request; `degraded` when L1 answered in place of a failing L2. Times in milliseconds."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self.degraded = False

    def reset(self) -> None:
        """Begin a new request."""
        self.spent.clear()
        self.degraded = False

    @contextmanager
    def timed(self, tier: str) -> Generator[None]:
        """Count the time of the block to the tier."""
        began = perf_counter()
        try:
            yield
        finally:
            self.spent[tier] = self.spent.get(tier, 0.0) + (perf_counter() - began) * 1_000

    def server_timing(self) -> str:
        """The value of the Server-Timing header, e.g. `L1;dur=0.1, L2;dur=3.2`."""
        return ", ".join(f"{tier};dur={spent:.1f}" for tier, spent in self.spent.items())
