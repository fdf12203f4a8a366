"""DynamoDB and memory, driven with the same operations, show the same to whoever looks.

The memory table is what the unit tests stand on; this is why they may.
"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tessera.errors import TesseraError
from tessera.model.bodies import SessionPatch
from tessera.model.changes import Change
from tessera.model.credentials import Presented, logged_in, revoked, rotated
from tessera.model.edit import edited
from tessera.model.ids import new_session_id
from tessera.model.life import extended
from tessera.model.record import Record, Refresh
from tessera.stores.dynamodb import DynamoTable
from tessera.stores.expiry import HOUR, Expiry
from tessera.stores.keys import partition
from tessera.stores.memory import MemoryTable
from tessera.stores.sessions import Sessions
from tessera.stores.table import Table
from tessera.stores.tiers import Tiers
from tests.support.fakes import START, FakeClock
from tests.support.records import KINDS, session
from tests.support.strategies import documents, patches
from tests.support.tables import new_table

SHARDS = 2
CUSTOMERS = st.sampled_from(["c-1", "c-2"])
type Observed = tuple[str, Any]


class Side:
    """One of the two: the stores over a table, and what can be seen of them."""

    def __init__(self, table: Table, clock: FakeClock) -> None:
        self.table, self.clock = table, clock
        self.sessions, self.expiry = Sessions(table, clock, SHARDS), Expiry(table, SHARDS)

    def try_to(self, operation: Callable[["Side"], Any]) -> Observed:
        """Return what it answers, or what it raises and with which evidence."""
        try:
            return "answered", operation(self)
        except TesseraError as error:
            return type(error).__name__, getattr(error, "members", None)

    def change(self, session_id: str, decide: Callable[[Record], Change]) -> Record:
        """Change a live session, as handlers do."""
        return self.sessions.change(session_id, lambda record: decide(record.live(self.clock())))

    def listed(self, customer_id: str, limit: int) -> list[Record]:
        found, start = list[Record](), None
        while True:
            records, start = self.sessions.of_customer(customer_id, limit, start)
            found += records
            if start is None:
                return sorted(found, key=lambda record: (record.session.created_at, record.id))

    def cleaned(self, limit: int) -> Any:
        """Do what a clean-up does; return what it counts, and what it found due in which hour."""
        now, counts = self.clock(), list[Any]()
        for hour in range(START // HOUR, now // HOUR + 1):
            for shard in range(SHARDS):
                start = None
                while True:
                    page = self.expiry.due(hour, shard, now, limit=limit, start=start)
                    if page.items:
                        settled = self.expiry.settle(page.items, now)
                        counts.append((hour, shard, settled.expired, settled.moved, settled.deleted))
                    if page.last is None:
                        break
                    start = page.last
        return sorted(counts) if limit > 1 else sum(expired for _, _, expired, _, _ in counts)

    def stored(self, session_id: str) -> list[Any]:
        return list(self.table.query(partition(session_id)))


class SameAsMemory(RuleBasedStateMachine):
    """Each rule does the same on both sides and compares what comes of it."""

    engine: DynamoTable
    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.memory, self.dynamo = Side(MemoryTable(), self.clock), Side(self.engine, self.clock)
        self.known: list[str] = []
        self.customers = {name: f"{name}-{new_session_id()}" for name in ("c-1", "c-2")}

    def both(self, operation: Callable[[Side], Any]) -> Observed:
        expected, found = self.memory.try_to(operation), self.dynamo.try_to(operation)
        assert found == expected
        return found

    @rule(seconds=st.sampled_from([1, 30, 1_800]), ms=st.sampled_from([0, 1, 999]))
    def time_passes(self, seconds: int, ms: int) -> None:
        self.clock.forward(seconds, ms=ms)

    @rule(session_id=ids, offset=st.sampled_from([-1, 0, 1]))
    def time_passes_until_an_expiry(self, session_id: str, offset: int) -> None:
        """To the millisecond: that is where mistakes are."""
        kind, record = self.memory.try_to(lambda side: side.sessions.find(session_id))
        if kind == "answered":
            self.clock.now = max(self.clock.now, record.session.expires_at + offset)

    @initialize(target=ids)
    def begin(self) -> Any:
        """With one session of a customer and one of nobody, so that every rule has something to do."""
        records = [session(ttlSeconds=60, customer={"customerId": self.customers["c-1"]}), session(kind="form")]
        for record in records:
            self.both(lambda side, record=record: side.sessions.create(record, {"cart": {"n": 1}}))
            self.known.append(record.id)
        return multiple(*(record.id for record in records))

    @rule(
        target=ids,
        kind=st.sampled_from(["auth", "form", "chat"]),
        ttl=st.sampled_from([1, 60, 1_800, 43_200]),
        customer=st.none() | CUSTOMERS,
        metadata=st.none() | st.dictionaries(st.sampled_from("abcd"), documents),
        data=st.dictionaries(st.sampled_from(["cart", "draft"]), patches),
        aliased=st.booleans(),
    )
    def create(  # noqa: PLR0917 - what a creation has
        self, kind: str, ttl: int, customer: str | None, metadata: Any, data: Any, aliased: bool
    ) -> Any:
        body: dict[str, Any] = {"kind": kind, "ttlSeconds": ttl, "metadata": metadata, "data": data}
        if customer:
            body["customer"] = {"customerId": self.customers[customer]}
        record = session(now=self.clock(), **body)
        aliases = [f"old-{record.id}"] if aliased else []
        self.both(lambda side: side.sessions.create(record, data, aliases))
        self.known.append(record.id)
        return multiple(record.id, *aliases)

    @rule(session_id=ids)
    def create_again(self, session_id: str) -> None:
        record = session(now=self.clock(), session_id=session_id)
        if session_id in self.known:
            self.both(lambda side: side.sessions.create(record, {}))

    @rule(
        session_id=ids,
        patch=st.fixed_dictionaries(
            {},
            optional={
                "metadata": st.none() | patches,
                "customer": st.none() | patches,
                "completedSteps": st.none() | st.lists(st.integers(1, 4), max_size=3),
                "currentStep": st.integers(1, 4),
                "status": st.sampled_from(["pending", "processing", "completed", "failed", "expired"]),
                "upsells": st.none() | st.just({"offers": [{"id": 1}]}) | st.just({"offers": None}),
                "amount": st.none() | st.integers(0, 10**14),
            },
        ),
    )
    def patch(self, session_id: str, patch: Any) -> None:
        wanted = SessionPatch.model_validate(patch)

        def decide(record: Record) -> Change:
            flow = KINDS[record.session.kind].flow
            return edited(record, wanted, flow=flow, by_service=True, data=dict, now=self.clock())

        self.both(lambda side: side.change(session_id, decide))

    @rule(session_id=ids, count=st.sampled_from([60, 150]))
    def patch_much(self, session_id: str, count: int) -> None:
        wanted = SessionPatch.model_validate({"metadata": {f"k{n}": n for n in range(count)}})
        self.both(
            lambda side: side.change(
                session_id,
                lambda record: edited(record, wanted, flow=None, by_service=True, data=dict, now=self.clock()),
            )
        )

    @rule(session_id=ids, seconds=st.none() | st.sampled_from([1, 60, 3_600, 10**6]))
    def extend(self, session_id: str, seconds: int | None) -> None:
        self.both(lambda side: side.change(session_id, lambda record: extended(record, seconds, self.clock())))

    @rule(session_id=ids, customer=CUSTOMERS, claims=st.dictionaries(st.sampled_from("ab"), st.integers()))
    def login(self, session_id: str, customer: str, claims: Any) -> None:
        refresh = Refresh(f"hash-{self.clock()}", "family-2")
        named = self.customers[customer]
        self.both(
            lambda side: side.change(
                session_id, lambda record: logged_in(record, named, claims, refresh, self.clock())
            )
        )

    @rule(session_id=ids, generation=st.integers(0, 3), genuine=st.booleans())
    def refresh(self, session_id: str, generation: int, genuine: bool) -> None:
        token = Presented(generation, f"hash-{generation}", genuine)
        self.both(
            lambda side: side.change(
                session_id,
                lambda record: rotated(record, token, f"hash-{generation + 1}", self.clock()),
            )
        )

    @rule(session_id=ids)
    def revoke(self, session_id: str) -> None:
        self.both(lambda side: side.sessions.change(session_id, lambda record: revoked(record, self.clock())))

    @rule(session_id=consumes(ids))
    def delete(self, session_id: str) -> None:
        kind, named = self.both(lambda side: side.sessions.resolve(session_id))
        if kind == "answered":
            self.both(lambda side: side.sessions.delete(named))

    @rule(limit=st.sampled_from([1, 100]))
    def clean_up(self, limit: int) -> None:
        self.both(lambda side: side.cleaned(limit))

    @rule(session_id=ids)
    def look(self, session_id: str) -> None:
        self.both(lambda side: side.sessions.get(session_id))
        self.both(lambda side: side.sessions.find(session_id))
        self.both(lambda side: side.sessions.data(side.sessions.resolve(session_id)))

    @rule(customer=CUSTOMERS, limit=st.sampled_from([1, 2, 50]))
    def list_sessions(self, customer: str, limit: int) -> None:
        self.both(lambda side: side.listed(self.customers[customer], limit))

    @invariant()
    def the_same_is_stored(self) -> None:
        if self.known:
            self.both(lambda side: side.stored(self.known[-1]))

    def teardown(self) -> None:
        """At the end everything is compared, then cleaned away: the table is shared by all runs."""
        for session_id in self.known:
            self.both(lambda side, named=session_id: side.stored(named))
        self.clock.forward(400 * 86_400)
        for session_id in self.known:
            self.both(lambda side, named=session_id: side.sessions.delete(named))
            assert self.both(lambda side, named=session_id: side.stored(named)) == ("answered", [])


@pytest.mark.parametrize("engine", ["dynoxide"])
def test_dynamodb_and_memory_show_the_same(request: pytest.FixtureRequest, engine: str) -> None:
    client = request.getfixturevalue(f"{engine}_client")
    with new_table(client) as name:

        class OnEngine(SameAsMemory):
            engine = DynamoTable(client, name, Tiers(), sleep=lambda _: None)

        run_state_machine_as_test(
            OnEngine, settings=settings(max_examples=50, stateful_step_count=30, deadline=None)
        )
