"""Exactly one deal for an order: whatever fails, dies or comes twice, and whenever."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import Refused, Throttled, Unanswered, Unavailable
from tessera.integrations.delivery import GIVEN_UP_AFTER, Attempt, Gate, OrderDelivery, Outcome, is_down
from tessera.model.changes import Change
from tessera.model.clock import SECOND
from tessera.stores.breaker import Breaker, Circuits, Policy
from tessera.stores.keys import outbox_key
from tessera.stores.memory import MemoryTable
from tessera.stores.outbox import CLAIM, GRACE, Claim, Outbox
from tessera.stores.pace import Pace
from tessera.stores.sessions import Sessions
from tests.support.fakes import Crash, CrashingStore, FakeClock, FakeLetters, OvertakenStore
from tests.support.records import session

type End = str
"""How a call to the CRM ends; lost has neither effect nor answer, vanished an effect alone."""

ENDS = ("answered", "refused", "limited", "unreached", "lost", "vanished")
_ERRORS = {"limited": Throttled, "unreached": Unavailable, "lost": Unanswered, "vanished": Unanswered}


PATIENT = Policy(failures=1_000, failed=is_down)


class FakeCrm:
    """A CRM whose calls end as it is told, one after the other; answered, when it is told no more."""

    def __init__(self) -> None:
        self.deals: list[str] = []
        self.ends: Iterator[End] = iter(())
        self.calls: list[str] = []

    def make(self, claim: Claim) -> str:
        end = self._end("make")
        if end in ("answered", "vanished"):
            self.deals.append(claim.session_id)
        return self._answer(end, str(len(self.deals)))

    def find(self, session_id: str) -> str | None:
        end = self._end("find")
        found = str(self.deals.index(session_id) + 1) if session_id in self.deals else None
        return self._answer(end, found)

    def _end(self, call: str) -> End:
        self.calls.append(call)
        return next(self.ends, "answered")

    def _answer[T](self, end: End, answer: T) -> T:
        if end == "refused":
            raise Refused("ERROR_CORE")
        if end in _ERRORS:
            raise _ERRORS[end]
        return answer


class Shop:
    """A completed order, a CRM, and containers that deliver it."""

    def __init__(self, policy: Policy = PATIENT) -> None:
        self.clock, self.table, self.crm, self.letters = FakeClock(), MemoryTable(), FakeCrm(), FakeLetters()
        self.pace, self._policy = Pace(self.table, self.clock, "crm", per_second=2, burst=50), policy
        record = session(kind="checkout", amount=4_900, currency="EUR")
        sessions, outbox = Sessions(self.table, self.clock, 1), Outbox(self.table, on=True)
        sessions.create(record, {})
        done = Change({("status",): "completed"})
        sessions.change_with(record.id, lambda found: (done, outbox.completed(found, done, self.clock.now)))
        self.session_id = record.id

    def container(self, beside: Callable[[Any], Any] = lambda store: store) -> OrderDelivery:
        """Return a container's delivery. `beside` is put around all that it calls."""
        table, crm = beside(self.table), beside(self.crm)
        breaker = Breaker("crm", self._policy, Circuits(table, self.clock), lambda *_: None)
        pace = Pace(table, self.clock, "crm", per_second=2, burst=50)
        gate = Gate(pace, breaker, self.clock, self.clock.forward)
        return OrderDelivery(Outbox(table, on=True), crm, gate, beside(self.letters), self.clock)

    def deliver(self, *ends: End, delivery: OrderDelivery | None = None) -> Attempt:
        self.crm.ends = iter(ends)
        return (delivery or self.container()).deliver(self.session_id, 10 * SECOND)

    @property
    def item(self) -> dict[str, Any]:
        item = self.table.get(outbox_key(self.session_id))
        assert item is not None
        return item

    @property
    def due(self) -> bool:
        return any(Outbox(self.table, on=True).due(self.clock.now))


def dying(at: int, *, after: bool) -> Callable[[Any], Any]:
    """Return what makes a container die at its call with this number, of table, CRM and queue alike."""
    calls = count()
    return lambda store: CrashingStore(store, at, after=after, calls=calls)


# --- one attempt ------------------------------------------------------------------------------------


def test_an_order_becomes_a_deal() -> None:
    shop = Shop()
    assert shop.deliver().outcome == Outcome.DELIVERED
    assert (shop.item["dealId"], shop.crm.calls) == ("1", ["make"])
    assert shop.deliver().outcome == Outcome.NOTHING
    assert shop.crm.calls == ["make"]


@pytest.mark.parametrize(
    ("end", "outcome", "reason"),
    [
        ("refused", Outcome.POSTPONED, "ERROR_CORE"),
        ("unreached", Outcome.POSTPONED, "Unavailable"),
        ("limited", Outcome.BUSY, "Throttled"),
    ],
)
def test_what_certainly_failed_is_tried_again_soon_without_a_search(
    end: End, outcome: Outcome, reason: str
) -> None:
    shop = Shop()
    attempt = shop.deliver(end)
    assert (attempt.outcome, attempt.reason) == (outcome, reason)
    shop.clock.forward(30)
    assert shop.due
    assert shop.deliver().outcome == Outcome.DELIVERED
    assert shop.crm.calls == ["make", "make"]


@pytest.mark.parametrize(("end", "calls"), [("vanished", ["find"]), ("lost", ["find", "make"])])
def test_what_nobody_knows_is_looked_for_when_the_call_must_have_ended(end: End, calls: list[str]) -> None:
    shop = Shop()
    assert shop.deliver(end).outcome == Outcome.UNKNOWN
    shop.clock.forward(ms=CLAIM - 1)
    assert not shop.due
    assert shop.deliver().outcome == Outcome.NOTHING
    shop.clock.forward(ms=1)
    assert shop.due
    assert shop.deliver().outcome == Outcome.DELIVERED
    assert shop.crm.calls == ["make", *calls]
    assert len(shop.crm.deals) == 1


@pytest.mark.parametrize("end", [end for end in ENDS if end != "answered"])
def test_a_search_that_fails_leaves_the_doubt(end: End) -> None:
    shop = Shop()
    shop.deliver("vanished")
    shop.clock.forward(ms=CLAIM)
    assert shop.deliver(end).outcome != Outcome.DELIVERED
    shop.clock.forward(ms=CLAIM)
    assert shop.deliver().outcome == Outcome.DELIVERED
    assert shop.crm.calls == ["make", "find", "find"]
    assert len(shop.crm.deals) == 1


def test_pauses_grow_to_an_hour() -> None:
    shop, pauses = Shop(), list[int]()
    for _ in range(12):
        began = shop.clock.now
        shop.deliver("refused")
        while not shop.due:
            shop.clock.forward(10)
        pauses.append(shop.clock.now - began)
    assert pauses[0] <= 30_000 < pauses[3]
    assert 1_800_000 <= max(pauses) <= 3_610_000


def test_an_open_circuit_spares_the_crm() -> None:
    shop = Shop(Policy(failures=2, seconds=3_600, failed=is_down))
    delivery = shop.container()
    for _ in range(2):
        assert shop.deliver("unreached", delivery=delivery).outcome == Outcome.POSTPONED
        shop.clock.forward(90)
    assert shop.deliver() == Attempt(Outcome.BUSY, 180_000, "CircuitOpen")
    assert shop.crm.calls == ["make", "make"]
    shop.clock.forward(3_600)
    assert shop.deliver().outcome == Outcome.DELIVERED


def test_who_has_no_time_for_the_pace_leaves_it() -> None:
    shop, waits = Shop(), 500
    while not shop.pace.take():
        pass
    assert shop.container().deliver(shop.session_id, waits - 1).outcome == Outcome.BUSY
    assert shop.crm.calls == []
    shop.clock.forward(30)
    while not shop.pace.take():
        pass
    assert shop.container().deliver(shop.session_id, waits).outcome == Outcome.DELIVERED


# --- giving up --------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["refused", "unreached", "limited", "lost"])
def test_after_days_it_is_a_dead_letter_and_can_be_sent_again(end: End) -> None:
    shop = Shop()
    shop.deliver(end)
    shop.clock.forward(ms=GIVEN_UP_AFTER + 1)
    assert shop.deliver(*["lost"] * 2 if end == "lost" else [end]).outcome == Outcome.GIVEN_UP
    assert shop.letters.letters == [{"detail-type": "OrderCompleted", "detail": {"session": shop.session_id}}]
    shop.clock.forward(ms=CLAIM)
    assert not shop.due
    assert shop.deliver().outcome == Outcome.DELIVERED
    assert len(shop.crm.deals) == 1


@pytest.mark.parametrize("at", range(8))
def test_a_death_while_giving_up_loses_nothing(at: int) -> None:
    shop = Shop()
    shop.clock.forward(ms=GIVEN_UP_AFTER + 1)
    with pytest.raises(Crash):
        shop.deliver("refused", delivery=shop.container(dying(at, after=False)))
    shop.clock.forward(ms=CLAIM)
    assert shop.due
    assert shop.deliver("refused").outcome == Outcome.GIVEN_UP
    assert shop.letters.letters


# --- deaths, and containers at the same time --------------------------------------------------------


def test_a_death_between_any_two_calls_makes_no_second_deal_and_loses_none() -> None:
    """Every death of every attempt of a plain delivery, one by one; then of the one that follows it, too."""
    for after in (False, True):
        for first in range(12):
            for second in range(12):
                shop = Shop()
                for at in (first, second):
                    with suppress(Crash):
                        shop.deliver(delivery=shop.container(dying(at, after=after)))
                    shop.clock.forward(ms=CLAIM)
                finish(shop)


runs = st.tuples(
    st.lists(st.sampled_from(ENDS), max_size=3),
    st.none() | st.tuples(st.integers(0, 14), st.booleans()),
    st.integers(0, 3 * CLAIM // SECOND),
)


@given(st.lists(runs, max_size=6))
def test_whatever_happens_there_is_one_deal_in_the_end(
    story: list[tuple[list[End], tuple[int, bool] | None, int]],
) -> None:
    """Attempts at any time, with calls that end in any way, each of whose containers may die anywhere."""
    shop = Shop()
    for ends, death, pause in story:
        delivery = shop.container(dying(death[0], after=death[1])) if death else None
        with suppress(Crash):
            shop.deliver(*ends, delivery=delivery)
        assert len(shop.crm.deals) <= 1
        shop.clock.forward(pause)
    finish(shop)


@given(
    at=st.integers(0, 14),
    stall=st.integers(0, 60),
    ends=st.lists(st.sampled_from(ENDS), max_size=3),
    before=st.sampled_from([(), ("vanished",), ("lost",), ("refused",)]),
)
def test_of_two_at_the_same_time_one_makes_the_deal(
    at: int, stall: int, ends: list[End], before: tuple[End, ...]
) -> None:
    """One container stalls between any two of its calls, for as long as a function may run; another comes."""
    shop = Shop()
    if before:
        shop.deliver(*before)
        shop.clock.forward(ms=CLAIM)
    calls = count()

    def meanwhile() -> None:
        shop.clock.forward(stall)
        shop.container().deliver(shop.session_id, 10 * SECOND)

    def overtaken(store: Any) -> Any:
        return OvertakenStore(store, at, meanwhile, calls)

    shop.deliver(*ends, delivery=shop.container(overtaken))
    finish(shop)


def finish(shop: Shop) -> None:
    """Let the schedule come until the order is told; there must be one deal, and its id must be known."""
    for _ in range(4):
        if "dealId" in shop.item:
            break
        shop.clock.forward(ms=CLAIM + GRACE)
        assert shop.due, "an order that is not told is found by the schedule"
        shop.deliver()
    assert shop.crm.deals == [shop.session_id]
    assert shop.item["dealId"] == "1"
    assert not shop.due
