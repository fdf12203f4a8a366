"""The sweep: what is due about connections, by the minute and without a scan.

A session that has ended takes its connections along; one that lives on is looked at again at its new end. Who has
been silent for too long, with presence, is missed: it may be dead, or only listen, so its socket stays. Who nears
the limit of two hours is asked to move.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tessera.errors import NotFound, SessionEnded, TokenRevoked
from tessera.model import frames
from tessera.model.clock import Clock, Millis
from tessera.model.frames import compact
from tessera.model.live import ROTATE_BEFORE, Connection
from tessera.realtime.delivery import Delivery
from tessera.stores.connections import Connections
from tessera.stores.session_store import SessionStore


@dataclass
class Swept:
    """What became of a page of connections."""

    ended: int = 0
    gone: int = 0
    silent: int = 0
    rotated: int = 0
    kept: int = 0

    def add(self, other: "Swept") -> None:
        """Count another page."""
        self.ended += other.ended
        self.gone += other.gone
        self.silent += other.silent
        self.rotated += other.rotated
        self.kept += other.kept


class Sweep:
    """Does what is due."""

    def __init__(self, connections: Connections, delivery: Delivery, sessions: SessionStore, clock: Clock) -> None:
        self._connections, self._delivery = connections, delivery
        self._sessions, self._clock = sessions, clock

    def settle(self, connection_ids: Sequence[str]) -> Swept:
        """Do what is due about these connections; the index may lag, so each is judged by what it is now."""
        now, found = self._clock(), self._connections.get_many(connection_ids)
        due = [connection for connection in found if connection.due() <= now]
        gone = [connection for connection in due if now >= connection.limit]
        living = [connection for connection in due if now < connection.limit]
        seen = {connection.id: self._ends_at(connection) for connection in living}
        over = [connection.id for connection in living if seen[connection.id] <= now]
        staying = [connection for connection in living if seen[connection.id] > now]
        self._delivery.end(over, SessionEnded())
        self._delivery.drop([connection.id for connection in gone])
        moving = [connection for connection in staying if self._must_move(connection, now)]
        self._delivery.send({each.id: [compact(frames.rotate(each.limit)).encode()] for each in moving})
        for connection in staying:
            after = replace(
                connection, ends_at=seen[connection.id], rotated=connection.rotated or connection in moving
            )
            self._connections.note(connection, after)
            if after.silent(now):
                self._connections.mark_away(after, replace(after, away=True))
        silent = sum(connection.silent(now) for connection in staying)
        return Swept(ended=len(over), gone=len(gone), silent=silent, rotated=len(moving), kept=len(staying))

    def _ends_at(self, connection: Connection) -> Millis:
        """Return when its session ends, as it is now; 0 when that is over, or the token is dead."""
        if not connection.caller.session_id:
            return connection.limit
        try:
            record = self._sessions.find(connection.caller.session_id)
            return connection.caller.admit(record).live(self._clock()).session.expires_at
        except (NotFound, TokenRevoked):
            return 0

    @staticmethod
    def _must_move(connection: Connection, now: Millis) -> bool:
        return not connection.rotated and now >= connection.limit - ROTATE_BEFORE
