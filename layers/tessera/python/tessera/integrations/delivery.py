"""The delivery of orders to a CRM: each becomes one deal, whatever dies or fails to answer on the way.

The CRM takes no idempotency key, so a call that went out and was not answered must not simply go out again. In the
order of time:

1. Claim the order. Of all that come to it (the event twice, the schedule, a container back from the dead) one
   has it.
2. If an earlier claimant had an intent, ask the CRM for the deal that is marked as this order's. It is there: note
   its id; that was all. It is not: nothing of an earlier call can still come, see below.
3. Write the intent, under the claim. Whoever dies from here on leaves the order with an intent, for step 2.
4. Make the deal, marked.
   Answered: note its id. Dying before the note is dying with an intent.
   Refused, limited, not reached: it is certain that there is none. Take the intent back and try later.
   Unanswered: nobody knows. Do nothing, as one who dies does.

What could make two deals is a call that takes effect after somebody has looked for it in step 2. A claim lasts ten
minutes. Who holds one begins no call in its second half; no call waits longer than some ten seconds for an answer,
and the function ends after one minute. So between the last moment at which a call may go out and the first one at
which another looks for its deal there are more than four minutes. A portal that takes a call in hand even later
makes a second deal; no means of ours keeps it from doing so.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from tessera.errors import CircuitOpen, Refused, Throttled, Unanswered, Unavailable
from tessera.integrations.events import ORDER_COMPLETED
from tessera.integrations.letters import Letters
from tessera.model.clock import DAY_SECONDS, HOUR_SECONDS, SECOND, Clock, Millis
from tessera.stores.outbox import CLAIM, Claim, Outbox
from tessera.stores.pace import Pace

if TYPE_CHECKING:  # it brings boto3: the graph makes it for who delivers, not for who imports this
    from tessera.stores.breaker import Breaker

GIVEN_UP_AFTER: Millis = 3 * DAY_SECONDS * SECOND
"""How long an order is tried; then it is a dead letter."""

_FIRST_PAUSE: Millis = 30 * SECOND
_LONGEST_PAUSE: Millis = HOUR_SECONDS * SECOND
_DOUBLINGS = 7


def is_down(error: Exception) -> bool:
    """Whether an error of a CRM says that it is down: an answer does not, be it a refusal or a limit."""
    return isinstance(error, Unavailable | Unanswered) and not isinstance(error, Throttled)


class Crm(Protocol):
    """What a delivery needs of a CRM. Both raise what `integrations.bitrix24` says."""

    def make(self, claim: Claim) -> str:
        """Make a deal of the order, marked with its session; return its id."""
        ...

    def find(self, session_id: str) -> str | None:
        """Return the id of the deal that is marked so."""
        ...


class Outcome(StrEnum):
    """What became of an attempt."""

    NOTHING = "nothing"
    """There was nothing to do, or it is in other hands."""
    DELIVERED = "delivered"
    POSTPONED = "postponed"
    """It failed, and is tried later."""
    BUSY = "busy"
    """It was not tried: the pace, or the circuit breaker; whoever comes next fares no better."""
    UNKNOWN = "unknown"
    """Nobody knows yet; the next claim finds out."""
    GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt: its outcome, how long the order waits since its completion, and why it was not delivered."""

    outcome: Outcome
    waits: Millis = 0
    reason: str = ""


class Gate:
    """What all calls to a CRM go through: its pace, and a circuit breaker."""

    def __init__(self, pace: Pace, breaker: "Breaker", clock: Clock, sleep: Callable[[float], None]) -> None:
        self._pace, self._breaker, self._clock, self._sleep = pace, breaker, clock, sleep

    def wait(self, last: Millis) -> None:
        """Wait until a call may go out. Raises Throttled when that is not by the last moment."""
        while wait := self._pace.take():
            if self._clock() + wait > last:
                raise Throttled
            self._sleep(wait / SECOND)
        if self._clock() > last:
            raise Throttled

    def call[**P, T](self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function. Raises CircuitOpen when it was not called, and what the function raises."""
        return self._breaker.call(function, *args, **kwargs)


class OrderDelivery:
    """Delivers orders out of the outbox."""

    def __init__(self, outbox: Outbox, crm: Crm, gate: Gate, letters: Letters, clock: Clock) -> None:
        self._outbox, self._crm, self._gate, self._letters, self._clock = outbox, crm, gate, letters, clock

    def deliver(self, session_id: str, patience: Millis) -> Attempt:
        """Deliver the order of a session, if it is to be delivered; wait for the pace for so long at most.

        Raises what the table does: who dies here has left the order in a state from which it goes on.
        """
        claim = self._outbox.claim(session_id, self._clock())
        if claim is None:
            return Attempt(Outcome.NOTHING)
        try:
            if claim.intended and (deal := self._looked_up(claim, patience)) is not None:
                return self._noted(claim, deal)
            deal = self._made(claim, patience)
        except _NotDone as not_done:
            return self._ended(claim, not_done.error, none_made=not_done.none_made)
        except Unanswered as error:
            return self._ended(claim, error, none_made=False)
        return Attempt(Outcome.NOTHING) if deal is None else self._noted(claim, deal)

    def _looked_up(self, claim: Claim, patience: Millis) -> str | None:
        try:
            self._gate.wait(self._last(claim, patience))
            return self._gate.call(self._crm.find, claim.session_id)
        except (Refused, Unavailable, Unanswered) as error:
            raise _NotDone(error, none_made=False) from error

    def _made(self, claim: Claim, patience: Millis) -> str | None:
        """Make the deal; None when the claim has passed to another. Raises Unanswered, or _NotDone."""
        try:
            self._gate.wait(self._last(claim, patience))
        except Throttled as error:
            raise _NotDone(error, none_made=True) from error
        if not self._outbox.intend(claim):
            return None
        try:
            return self._gate.call(self._crm.make, claim)
        except (Refused, Unavailable) as error:
            raise _NotDone(error, none_made=True) from error

    def _last(self, claim: Claim, patience: Millis) -> Millis:
        """Return the last moment at which a call may begin under a claim."""
        return min(self._clock() + patience, claim.until - CLAIM // 2)

    def _noted(self, claim: Claim, deal: str) -> Attempt:
        now = self._clock()
        self._outbox.delivered(claim, deal, now)
        return Attempt(Outcome.DELIVERED, now - claim.completed_at)

    def _ended(self, claim: Claim, error: Exception, *, none_made: bool) -> Attempt:
        """End an attempt without a deal that is known."""
        now = self._clock()
        attempt = partial(Attempt, waits=now - claim.completed_at, reason=_reason(error))
        if now - claim.completed_at > GIVEN_UP_AFTER:
            self._letters.put(letter_of(claim.session_id))
            self._outbox.give_up(claim)  # a death in between lays the letter down again, at the next claim
            return attempt(Outcome.GIVEN_UP)
        if isinstance(error, Unanswered):
            return attempt(Outcome.UNKNOWN)
        busy = isinstance(error, Throttled | CircuitOpen)
        pause = _FIRST_PAUSE if busy else _pause(claim.number)
        self._outbox.postpone(claim, now + pause, refused=none_made)
        return attempt(Outcome.BUSY if busy else Outcome.POSTPONED)


def letter_of(session_id: str) -> dict[str, Any]:
    """Return an order as a dead letter: the part of the event that the function needs to try it again."""
    return {"detail-type": ORDER_COMPLETED, "detail": {"session": session_id}}


def _reason(error: Exception) -> str:
    return error.code if isinstance(error, Refused) else type(error).__name__


def _pause(attempts: int) -> Millis:
    """Return how long to wait after so many attempts: doubled each time, with jitter, an hour at most."""
    longest = min(_FIRST_PAUSE * 2 ** min(attempts - 1, _DOUBLINGS), _LONGEST_PAUSE)
    return longest // 2 + random.randint(0, longest // 2)  # noqa: S311 - jitter, no secret


class _NotDone(Exception):
    """The order was not delivered. `none_made`: it is certain that no deal of it is there or will be."""

    def __init__(self, error: Exception, *, none_made: bool) -> None:
        super().__init__(str(error))
        self.error, self.none_made = error, none_made
