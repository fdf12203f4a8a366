"""Rate limits, counted over all containers in the table.

To spare a write per hit, a container reports its hits of a caller in batches. So a limit is soft by at most one
batch per container.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from tessera.errors import TooManyRequests, Unavailable
from tessera.model.clock import MINUTE_SECONDS, SECOND, Clock
from tessera.stores.counters import Counters

WIDTH = MINUTE_SECONDS
"""Seconds of a window."""

_TRACKED = 10_000
_PARTS, _MOST = 30, 20


@dataclass(frozen=True, slots=True)
class Limit:
    """So many hits a minute of each caller: a session, a socket, or an address if it has none yet.

    `batch` hits are reported at once.
    """

    name: str
    per_minute: int
    batch: int
    by_address: bool = False


def batched(name: str, per_minute: int) -> Limit:
    """Return a limit that is soft by a thirtieth of it per container, and by no more than twenty."""
    return Limit(name, per_minute, batch=min(max(1, per_minute // _PARTS), _MOST))


class Room(NamedTuple):
    """How many hits are left in this window, and the seconds until the next one."""

    left: int
    reset: int


@dataclass(slots=True)
class _Seen:
    window: int
    unreported: int = 0
    total: int = 0


class RateLimiter:
    """Counts the hits of one limit."""

    def __init__(self, limit: Limit, counters: Counters, clock: Clock) -> None:
        self.limit, self._counters, self._clock = limit, counters, clock
        self._seen: dict[str, _Seen] = {}

    def check(self, who: str) -> Room:
        """Count a hit; return what is left.

        Raises:
            TooManyRequests: over the limit in this minute.

        """
        now = self._clock() // SECOND
        window = now - now % WIDTH
        seen = self._seen.get(who)
        if seen is None or seen.window != window:
            if len(self._seen) >= _TRACKED:
                self._seen.clear()
            seen = self._seen[who] = _Seen(window)
        seen.unreported += 1
        if seen.unreported >= self.limit.batch:
            name = f"{self.limit.name}#{who}"
            with suppress(Unavailable):  # a limit that cannot be counted limits nobody, and asks no more for now
                seen.total = self._counters.hit(name, window=window, width=WIDTH, amount=seen.unreported)
            seen.unreported = 0
        room = Room(self.limit.per_minute - seen.total - seen.unreported, window + WIDTH - now)
        if room.left < 0:
            raise TooManyRequests(self.limit.name, limit=self.limit.per_minute, window=WIDTH, reset=room.reset)
        return room
