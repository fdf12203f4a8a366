"""A pace: so many calls a second with so many at once, for all containers together.

The generic cell rate algorithm (ITU-T I.371), the token bucket without tokens to count: one number, the moment
at which the next call would be due if all came evenly. Each call moves it on by one interval; who finds it
further ahead than a burst may be has to wait.
"""

from tessera.errors import Stale
from tessera.model.changes import Change, Clause
from tessera.model.clock import SECOND, Clock, Millis
from tessera.stores.keys import pace_key
from tessera.stores.table import ABSENT, Table

_DUE = ("dueAt",)
_TRIES = 8


class Pace:
    """The pace of calls to what has this name."""

    def __init__(self, table: Table, clock: Clock, name: str, *, per_second: int, burst: int) -> None:
        self._table, self._clock, self._key = table, clock, pace_key(name)
        self._interval: Millis = SECOND // per_second
        self._ahead: Millis = (burst - 1) * self._interval

    def take(self) -> Millis:
        """Return 0 when a call may go out now, and count it; else how long to wait before asking again.

        Two ask at once while calls are due ahead: each adds an interval, and the second one's condition sees
        what the first one has added. Two ask after a pause: both would begin anew from now; one of them finds
        that the other has moved the moment that it saw, and asks again.
        """
        for _ in range(_TRIES):
            now = self._clock()
            running = (Clause(_DUE, "after", now), Clause(_DUE, "at most", now + self._ahead))
            try:
                self._table.update(self._key, Change(add={_DUE: self._interval}, clauses=running))
            except Stale as stale:
                due: Millis | None = stale.found["dueAt"] if stale.found else None
                if due is not None and due > now + self._ahead:
                    return due - self._ahead - now
                if self._begun(now, due):
                    return 0
            else:
                return 0
        return self._interval  # others came first each time: there is a crowd, and it has its calls

    def _begun(self, now: Millis, due: Millis | None) -> bool:
        unmoved = ABSENT if due is None else Clause(_DUE, "is", due)
        try:
            self._table.update(self._key, Change({_DUE: now + self._interval}, clauses=(unmoved,)))
        except Stale:
            return False
        return True
