"""How fast a connection may send: so many frames a minute, counted in this container alone.

A connection's frames mostly come to the same few containers. A count in the table would cost more than the frames.
"""

from tessera.errors import TooManyRequests
from tessera.model.clock import MINUTE_SECONDS, SECOND, Clock

_TRACKED = 10_000


class Pace:
    """The frames of each connection in this minute."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._window = 0
        self._counts: dict[str, int] = {}

    def check(self, connection_id: str) -> None:
        """Count a frame; raise TooManyRequests over the limit."""
        now = self._clock() // SECOND
        window = now - now % MINUTE_SECONDS
        if window != self._window or len(self._counts) >= _TRACKED:
            self._window, self._counts = window, {}
        count = self._counts.get(connection_id, 0) + 1
        self._counts[connection_id] = count
        if count > self._per_minute:
            reset = window + MINUTE_SECONDS - now
            raise TooManyRequests("frames", limit=self._per_minute, window=MINUTE_SECONDS, reset=reset)
