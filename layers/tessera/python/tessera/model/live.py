"""A live connection: who holds it, and when something is to be done about it."""

from dataclasses import dataclass

from tessera.model.caller import Caller
from tessera.model.clock import HOUR_SECONDS, MINUTE_SECONDS, SECOND, Millis

LONGEST: Millis = 2 * HOUR_SECONDS * SECOND
"""API Gateway ends a connection after two hours."""

ROTATE_BEFORE: Millis = 5 * MINUTE_SECONDS * SECOND
SILENCE: Millis = 50 * SECOND
"""After so long without a frame a connection with presence is missed. A sweep comes each minute: 120 s in all."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One socket. `caller` is a session or a service; times are in milliseconds.

    `member` is what others know it by; `ends_at` is the end of its session as it was last seen. `present` says
    whether others hear of its coming and going, `rotated` that it was asked to move, `away` that it was silent for
    too long: others were told that it left, and will be told that it is back with its next frame.
    """

    id: str
    member: str
    caller: Caller
    connected_at: Millis
    seen_at: Millis
    ends_at: Millis
    present: bool = False
    rotated: bool = False
    away: bool = False

    @property
    def limit(self) -> Millis:
        """When API Gateway ends it."""
        return self.connected_at + LONGEST

    def due(self) -> Millis:
        """Return the next moment at which somebody must look at it: session's end, silence, rotation."""
        rotation = self.limit if self.rotated else self.limit - ROTATE_BEFORE
        silence = self.seen_at + SILENCE if self.present and not self.away else self.limit
        return min(self.ends_at, rotation, silence, self.limit)

    def silent(self, now: Millis) -> bool:
        """Whether others must be told that it left. It may be dead, or have nothing to say."""
        return self.present and not self.away and now >= self.seen_at + SILENCE
