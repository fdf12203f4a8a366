"""A shop's till: payments over one table, as one container sees them, and what a provider was asked to do."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tessera.errors import Unavailable
from tessera.model.changes import Change
from tessera.model.clock import Millis
from tessera.model.flows import Happened
from tessera.model.kinds import Kind
from tessera.model.payments import (
    Begun,
    Charge,
    Decision,
    Intent,
    Means,
    ProcessCheckout,
    ProcessUpsell,
    checkout_begun,
    upsell_decided,
)
from tessera.model.record import Record
from tessera.model.session import Session
from tessera.model.ulids import Ulids
from tessera.payments.payments import Look, Outcome, Payments
from tessera.payments.sandbox import Sandbox
from tessera.stores.breaker import Breaker, Circuits, Policy
from tessera.stores.charges import FLAGGED, Charges
from tessera.stores.counters import Counters
from tessera.stores.keys import STEPS, partition
from tessera.stores.outbox import Outbox
from tessera.stores.session_store import Decision as Written
from tessera.stores.sessions import Sessions
from tessera.stores.table import BY_EXPIRY, Item, Key, Table
from tessera.telemetry import Telemetry
from tessera.tokens.sealed import Seal
from tests.support.fakes import FakeClock, FakeSecret
from tests.support.records import KINDS, session

SHARDS = 2
ORDER: Mapping[str, Any] = {
    "sessionId": "me",
    "products": [{"productId": "p-7", "quantity": 2}],
    "amount": 3998,
    "currency": "EUR",
}
OFFERS = [
    {"offerId": "warranty", "amount": 990, "title": "Three more years"},
    {"id": "gift-wrap", "amount": 250, "currency": "USD"},
]
ADA = {"email": "ada@example.org", "customer": {"firstName": "Ada", "customerId": "c-1"}}


class Bank:
    """Implements `PaymentProvider`: the sandbox, and a ledger of what it was asked and what it has charged."""

    def __init__(self, table: Table, clock: FakeClock) -> None:
        self._sandbox = Sandbox(table, clock)
        self.asked: list[str] = []
        self.charged: dict[str, int] = {}
        self.calls = 0
        self.down = self.charging_down = False

    def charge(self, intent: Intent, means: Means) -> Charge:
        self.calls += 1
        if self.down or self.charging_down:
            raise Unavailable
        self.asked.append(intent.key)
        try:
            charge = self._sandbox.charge(intent, means)
        finally:
            found = self._sandbox.find(intent.key)
            if found is not None and found.paid:
                self.charged[intent.key] = intent.amount  # a dictionary: one key is one charge at every provider
        return charge

    def find(self, key: str) -> Charge | None:
        self.calls += 1
        if self.down:
            raise Unavailable
        return self._sandbox.find(key)


class Till:
    """One container's view; another one is another `Till` on the same table, clock, keys and bank."""

    def __init__(
        self,
        table: Any,
        clock: FakeClock,
        *,
        bank: Any = None,
        secret: FakeSecret | None = None,
        kinds: Mapping[str, Kind] = KINDS,
    ) -> None:
        self.table: Table = table
        self.clock, self.kinds = clock, kinds
        self.secret = secret or FakeSecret()
        self.bank = bank or Bank(table, clock)
        self.sessions = Sessions(table, clock, SHARDS)
        self.charges = Charges(table, SHARDS)
        telemetry = Telemetry(Counters(table), clock, salt="salt", flush_seconds=10**6)
        circuits = Circuits(table, clock)
        self.payments = Payments(
            self.sessions,
            self.charges,
            lambda: self.bank,
            lambda: Seal(self.secret.keys(clock), "payment", clock),
            lambda name: Breaker(name, Policy(), circuits, telemetry.circuit_changed),
            flow_of=self.flow_of,
            clock=clock,
            new_ulid=Ulids(clock),
            telemetry=telemetry,
            outboxed=Outbox(table, on=True).completed,
        )

    def beside(self, table: Any = None, bank: Any = None) -> "Till":
        """Return another container, which sees the same through other stores."""
        return Till(table or self.table, self.clock, bank=bank or self.bank, secret=self.secret, kinds=self.kinds)

    def flow_of(self, record: Record) -> Any:
        return self.kinds[record.session.kind].flow

    def begin(self, **body: Any) -> str:
        """Make a session of Ada's with offers; return its id."""
        made = session(**{"kind": "checkout", "now": self.clock(), **ADA, **body})
        self.sessions.create(made, {})
        self.offer(made.id, *OFFERS)
        return made.id

    def offer(self, session_id: str, *offers: Mapping[str, Any]) -> None:
        self.sessions.change(session_id, lambda _: Change({("upsells", "offers"): [dict(o) for o in offers]}))

    def checkout(self, session_id: str, by: str | None = "tok_success", **otherwise: Any) -> Session:
        """Check out, as the handler does for a service."""
        paid = {"paymentToken": by} if by else {}
        wanted = ProcessCheckout.model_validate({**ORDER, **paid, **otherwise})

        def decide(record: Record, now: Millis) -> Begun:
            flow = self.flow_of(record)
            return checkout_begun(record, wanted, flow=flow, by_service=True, data=dict, now=now)

        return self._process(session_id, decide)

    def decide(self, session_id: str, offer_id: str, decision: str = "accepted") -> Session:
        """Decide on an offer, as the handler does."""
        sent = {"sessionId": "me", "offerId": offer_id, "decision": Decision(decision)}
        wanted = ProcessUpsell.model_validate(sent)

        def decide(record: Record, now: Millis) -> Begun:
            return upsell_decided(record, wanted, flow=self.flow_of(record), now=now)

        return self._process(session_id, decide)

    def _process(self, session_id: str, decide: Callable[[Record, Millis], Begun]) -> Session:
        def change_with(write: Callable[[Record, Millis], Written]) -> Record:
            def live(record: Record) -> Written:
                return write(record.live(self.clock()), self.clock())

            return self.sessions.change_with(session_id, live)

        return self.payments.process(change_with, decide).session

    # --- what runs by itself ---

    def due(self) -> list[Key]:
        """Return the charges that a run of the reconciler looks at now."""
        due = (self.charges.due(shard, self.clock()) for shard in range(SHARDS))
        return [Key(item["pk"], item["sk"]) for items in due for item in items]

    def reconcile(self) -> list[Outcome]:
        """Do what a run of the schedule does; return what came of it."""
        return [self.look(key).outcome for key in self.due()]

    def look(self, key: Key) -> Look:
        return self.payments.reconcile(key)

    def reconciled(self, hours: int = 3) -> list[Outcome]:
        """Run every minute for so long; return what came of it in the end."""
        seen: list[Outcome] = []
        for _ in range(hours * 60):
            self.clock.forward(60)
            seen += self.reconcile()
        return seen

    # --- what is stored ---

    def session(self, session_id: str) -> Session:
        return self.sessions.find(session_id).session

    def open_charges(self, session_id: str) -> list[Item]:
        return list(self.table.query(f"CHARGE#{session_id}"))

    def flagged(self) -> list[Item]:
        """Return the charges that wait for a person."""
        page = self.table.query_index(BY_EXPIRY, FLAGGED, limit=100)
        return [self.table.get(Key(item["pk"], item["sk"])) or {} for item in page.items]

    def events(self, session_id: str) -> Sequence[Happened]:
        return [Happened(item["name"]) for item in self.table.query(partition(session_id), STEPS)]

    def orders(self, session_id: str) -> list[Item]:
        """Return what the outbox has of a session."""
        return list(self.table.query(f"OUTBOX#{session_id}"))
