"""Rate limits, counted over all containers in the table, and told in RateLimit headers (IETF draft 11).

To spare a write per request, a container reports its hits of a caller in batches. So the limit is soft by at
most one batch per container; creations are counted one by one.
"""

from contextlib import suppress
from dataclasses import dataclass

from tessera.errors import TooManyRequests, Unavailable
from tessera.model.clock import MINUTE_SECONDS, SECOND, Clock
from tessera.settings import Settings
from tessera.stores.counters import Counters

_WIDTH = MINUTE_SECONDS
_TRACKED = 10_000


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests a minute of each session, or of each address for those who have no session yet.

    `batch` hits are reported at once.
    """

    name: str
    per_minute: int
    batch: int
    by_address: bool = False


@dataclass(slots=True)
class _Seen:
    window: int
    unreported: int = 0
    total: int = 0


def creations(settings: Settings) -> Limit:
    """Return the limit of new sessions, by address."""
    return Limit("creations", settings.creations_per_minute, batch=1, by_address=True)


def requests(settings: Settings) -> Limit:
    """Return the limit of everything else, by session."""
    return Limit("requests", settings.requests_per_minute, batch=20)


class RateLimiter:
    """Counts the hits of one limit."""

    def __init__(self, limit: Limit, counters: Counters, clock: Clock) -> None:
        self.limit, self._counters, self._clock = limit, counters, clock
        self._seen: dict[str, _Seen] = {}

    def check(self, who: str) -> dict[str, str]:
        """Count a hit; return the headers that tell what is left.

        Raises:
            TooManyRequests: over the limit in this minute.

        """
        now = self._clock() // SECOND
        window = now - now % _WIDTH
        seen = self._seen.get(who)
        if seen is None or seen.window != window:
            if len(self._seen) >= _TRACKED:
                self._seen.clear()
            seen = self._seen[who] = _Seen(window)
        seen.unreported += 1
        if seen.unreported >= self.limit.batch:
            name = f"{self.limit.name}#{who}"
            with suppress(Unavailable):  # a limit that cannot be counted limits nobody, and asks no more for now
                seen.total = self._counters.hit(name, window=window, width=_WIDTH, amount=seen.unreported)
            seen.unreported = 0
        left = self.limit.per_minute - seen.total - seen.unreported
        reset = window + _WIDTH - now
        if left < 0:
            raise TooManyRequests(self.limit.name, limit=self.limit.per_minute, window=_WIDTH, reset=reset)
        return headers(self.limit.name, self.limit.per_minute, left, reset)


def headers(name: str, limit: int, left: int, reset: int) -> dict[str, str]:
    """Return RateLimit and RateLimit-Policy."""
    return {
        "RateLimit": f'"{name}";r={left};t={reset}',
        "RateLimit-Policy": f'"{name}";q={limit};w={_WIDTH}',
    }
