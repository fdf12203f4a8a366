"""How a charge is made once, whatever dies in between.

    1. The intent is written, in one transaction with the session, which becomes processing.
    2. The provider is asked, under a key that is derived from the session and what is paid.
    3. What it answers is written, in one transaction with the session, the event and whoever else must hear of it;
       the intent goes.

Who dies after 1 or 2 leaves the intent, and the reconciler goes on from there after `stores.charges.GRACE`: it
asks the provider what became of the key, or for the charge again under the same key, and does 3. The condition
of 3 is that the session still has this charge open, so that it happens once.

While the provider is down nothing is begun: 1 goes through the circuit of 2. Charges that are under way wait.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from tessera.errors import (
    ContentTooLarge,
    IllegalTransition,
    NotFound,
    NothingToDo,
    SessionNotFound,
    TokenInvalid,
    Unavailable,
)
from tessera.model.changes import Change
from tessera.model.clock import HOUR_SECONDS, SECOND, Clock, Millis
from tessera.model.flows import Happened
from tessera.model.kinds import Flow
from tessera.model.payments import Begun, Charge, Intent, Means, settled
from tessera.model.record import Record
from tessera.payments.provider import PaymentProvider
from tessera.stores.charges import GRACE, Charges, Unsettled
from tessera.stores.keys import charge_key
from tessera.stores.session_store import Decision, SessionStore
from tessera.stores.steps import happened
from tessera.stores.table import Key, Put, Write
from tessera.telemetry import CHECKOUTS_FAILED, COMPLETED, PAYMENTS_FLAGGED, Telemetry

if TYPE_CHECKING:
    from tessera.stores.breaker import Breaker
    from tessera.tokens.sealed import Seal

PURPOSE = "payment"
"""Of the seal of the means."""

LATE: Millis = GRACE // 2
"""How old an intent may be when its own process asks the provider; an older one is the reconciler's."""

AGAIN: Millis = HOUR_SECONDS * SECOND
"""How long a charge that was not made is asked for again; who still waits then is told that it failed."""

CHARGE, FIND = "payments-charge", "payments-find"
"""The circuits. Two: a provider may find charges and make none, and what it finds must not close the other."""

_UNABLE = (NotFound, IllegalTransition, ContentTooLarge)
"""What keeps a session from taking what was paid: it is gone, or elsewhere, or has no room left to note it."""

_COUNTED = {Happened.CHECKOUT_COMPLETED: COMPLETED, Happened.CHECKOUT_FAILED: CHECKOUTS_FAILED}

type Decide = Callable[[Record, Millis], Begun]
type ChangeWith = Callable[[Callable[[Record, Millis], Decision]], Record]
"""Changes the session that a caller means, with other items, as `http.access.Access.change_with` does."""

type Outboxed = Callable[[Record, Change, Millis], Sequence[Put]]
"""Return what must be written with a change of a session, so that others hear of it."""


class Outcome(StrEnum):
    """What came of a look at a charge: its end is written; it waits for a person; none was made; look again."""

    SETTLED = "settled"
    FLAGGED = "flagged"
    DROPPED = "dropped"
    POSTPONED = "postponed"


class Look(NamedTuple):
    """A look of the reconciler's at a charge, and since when that was open; None where it is not any more."""

    outcome: Outcome
    since: Millis | None = None


class Payments:
    """Charges from their intent to their end. The provider is asked for when there is something to charge.

    So are the circuit breakers that stand before it, by the names of their circuits.
    """

    def __init__(
        self,
        sessions: SessionStore,
        charges: Charges,
        provider: Callable[[], PaymentProvider],
        seal: "Callable[[], Seal]",
        breaker: "Callable[[str], Breaker]",
        *,
        flow_of: Callable[[Record], Flow | None],
        clock: Clock,
        new_ulid: Callable[[], str],
        telemetry: Telemetry,
        outboxed: Outboxed = lambda _record, _change, _now: (),
    ) -> None:
        self._sessions, self._charges, self._provider, self._seal = sessions, charges, provider, seal
        self._breaker = cache(breaker)
        self._flow_of, self._clock, self._new_ulid = flow_of, clock, new_ulid
        self._telemetry, self._outboxed = telemetry, outboxed

    def process(self, change_with: ChangeWith, decide: Decide) -> Record:
        """Write what `decide` decides, and make the charge that it has; return the session.

        It is as it was when there was nothing to do, and still under way when nobody knows yet what became of the
        charge.

        Raises:
            CircuitOpen: there is something to charge, and the provider is down; nothing was written.
            What `change_with` and `decide` raise.

        """
        begun: Begun | None = None

        def write(record: Record, now: Millis) -> Decision:
            nonlocal begun
            begun = decide(record, now)
            return begun.change, self._opening(record, begun)

        try:
            record = change_with(write)
        except NothingToDo as done:
            return done.found
        return self._paid(record, begun.intent, begun.means) if begun and begun.intent else record

    def _opening(self, record: Record, begun: Begun) -> list[Write]:
        told = happened(record, begun.event, self._new_ulid())
        if begun.intent is None:
            return [told]
        self._provider()  # without one, nothing is to be written
        self._breaker(CHARGE).admit()  # nor while it is down
        sealed = self._seal().close([begun.means.token, begun.means.vault])
        return [self._charges.opened(begun.intent, sealed), told]

    def _paid(self, record: Record, intent: Intent, means: Means) -> Record:
        if self._clock() - intent.at > LATE:
            return record
        try:
            charge = self._charged(intent, means)
        except Unavailable:
            return record
        try:
            return self._settled(intent, charge)
        except NothingToDo as done:  # the reconciler came first
            return done.found

    def reconcile(self, key: Key) -> Look:
        """Bring a charge to its end that its own process has left, as far as that is possible now.

        Raises:
            PoisonedItem: the charge or its session cannot be read.

        """
        found = self._charges.get(key)
        if found is None:
            return Look(Outcome.SETTLED)
        intent = found.intent
        try:
            charge = self._found(intent) or self._asked_again(found)
            outcome = self._ended(intent, charge)
        except Unavailable:
            self._charges.postpone(key, found.asked, self._clock())
            outcome = Outcome.POSTPONED
        return Look(outcome, intent.at)

    def _asked_again(self, found: Unsettled) -> Charge | None:
        """Ask for a charge that was not made, under its key; None when nobody waits for it any more."""
        intent = found.intent
        try:
            record = self._sessions.get(intent.session_id)
        except NotFound:
            return None
        if record.payment.get("open", ...) != intent.offer_id:
            return None
        if self._clock() - intent.at > AGAIN:
            return Charge(paid=False, reason="too-late")
        try:
            means = Means(*self._seal().open(found.sealed))
        except TokenInvalid:  # the key ring has forgotten it
            return Charge(paid=False, reason="means-lost")
        return self._charged(intent, means)

    def _charged(self, intent: Intent, means: Means) -> Charge:
        provider = self._provider()
        return self._breaker(CHARGE).call(self._answer, intent, lambda: provider.charge(intent, means))

    def _found(self, intent: Intent) -> Charge | None:
        provider = self._provider()
        return self._breaker(FIND).call(self._answer, intent, lambda: provider.find(intent.key))

    def _answer[T](self, intent: Intent, ask: Callable[[], T]) -> T:
        """Ask the provider. Whatever its code raises, what became of the charge is not known: Unavailable."""
        try:
            return ask()
        except Unavailable:
            raise
        except Exception as error:
            reason = type(error).__name__  # not its message, which may repeat what is secret
            self._telemetry.log.warning("payment provider failed", key=intent.key, reason=reason)
            raise Unavailable from error

    def _ended(self, intent: Intent, charge: Charge | None) -> Outcome:
        if charge is None:
            self._charges.close(intent)
            return Outcome.DROPPED
        try:
            self._settled(intent, charge)
        except NothingToDo:
            if self._charges.get(charge_key(intent.session_id, intent.offer_id)) is None:
                return Outcome.SETTLED  # its own process came first, or another run
            self._lost(intent, charge, SessionNotFound.slug)  # another session has got the id
        except _UNABLE:
            pass
        else:
            return Outcome.SETTLED
        return Outcome.FLAGGED if charge.paid else Outcome.DROPPED

    def _settled(self, intent: Intent, charge: Charge) -> Record:
        """Write what became of a charge. One that was paid for a session which cannot take it is flagged."""
        name = Happened.MOVED

        def decide(record: Record) -> Decision:
            nonlocal name
            now = self._clock()
            change, event = settled(record.live(now), intent, charge, flow=self._flow_of(record), now=now)
            told, name = happened(record, event, self._new_ulid()), event.name
            return change, [self._charges.closed(intent), told, *self._outboxed(record, change, now)]

        try:
            record = self._sessions.change_with(intent.session_id, decide)
        except _UNABLE as lost:
            self._lost(intent, charge, lost.slug)
            raise
        if name in _COUNTED:
            self._telemetry.count(_COUNTED[name])
        return record

    def _lost(self, intent: Intent, charge: Charge, reason: str) -> None:
        if not charge.paid:
            self._charges.close(intent)
            return
        self._charges.flag(intent, charge, reason, self._clock())
        self._telemetry.count(PAYMENTS_FLAGGED)
        self._telemetry.log.error(
            "payment flagged",
            reason=reason,
            session=self._telemetry.pseudonym(intent.session_id),
            key=intent.key,
            transaction=charge.transaction_id,
        )
