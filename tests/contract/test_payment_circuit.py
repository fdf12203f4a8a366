"""A payment provider that is down: nothing new is begun, and it is left alone but for one try at a time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from tessera.errors import CircuitOpen, IllegalMove, OtherCheckout, Unanswered
from tessera.model.changes import Change
from tessera.model.payments import Charge
from tessera.model.session import Session
from tessera.model.status import Status
from tessera.payments.payments import CHARGE, FIND, Outcome
from tessera.stores.breaker import FRESH_SECONDS, Policy
from tessera.stores.charges import GRACE
from tessera.stores.keys import circuit_key
from tessera.stores.memory import MemoryTable
from tests.support.fakes import Crash, CrashingStore, FakeClock, InterruptedStore
from tests.support.shop import Till

FAILURES, SECONDS = Policy().failures, Policy().seconds


def goes_down(till: Till) -> None:
    """Let as many customers pay in vain as it takes."""
    till.bank.down = True
    for _ in range(FAILURES):
        assert till.checkout(till.begin()).status == Status.PROCESSING


def refused(till: Till, session_id: str, act: Callable[[], Session] | None = None) -> bool:
    """Whether a payment is refused, nothing has changed by it, and nobody was called."""

    def stored() -> Any:
        return [*till.table.query(f"SESSION#{session_id}")], till.open_charges(session_id), till.bank.calls

    before = stored()
    try:
        (act or (lambda: till.checkout(session_id)))()
    except CircuitOpen:
        return stored() == before
    return False


def test_after_failures_in_a_row_no_checkout_is_begun(till: Till) -> None:
    goes_down(till)
    session_id = till.begin()
    assert refused(till, session_id)
    till.clock.forward(SECONDS - 1)
    assert refused(till, session_id)
    assert till.session(session_id).status == Status.PENDING


def test_what_one_container_found_out_spares_twenty(till: Till) -> None:
    goes_down(till)
    assert all(refused(till.beside(), till.begin()) for _ in range(20))


def test_a_container_that_saw_it_up_hears_of_it_in_seconds(till: Till) -> None:
    other = till.beside()
    other.checkout(till.begin())
    goes_down(till)
    till.clock.forward(FRESH_SECONDS)
    assert refused(other, till.begin())


def test_an_accepted_offer_is_refused_too_and_a_declined_one_is_not(quick: Till) -> None:
    session_id = quick.begin()
    quick.checkout(session_id)
    goes_down(quick)
    assert refused(quick, session_id, lambda: quick.decide(session_id, "warranty"))
    assert quick.decide(session_id, "warranty", "declined").current_step == "upsell-2"


def test_who_has_nothing_to_charge_is_answered_as_ever(quick: Till) -> None:
    """A second tap on what is paid or under way, another order, a move that the flow does not have."""
    paid = quick.checkout(quick.begin())
    waiting = quick.beside().checkout(quick.begin(), "tok_timeout")
    goes_down(quick)
    assert [quick.checkout(each.id) for each in (paid, waiting)] == [paid, waiting]
    with pytest.raises(OtherCheckout):
        quick.checkout(paid.id, amount=1)
    with pytest.raises(IllegalMove):
        quick.decide(quick.begin(), "warranty")


def test_who_comes_first_when_it_is_up_again_closes_the_circuit(till: Till) -> None:
    goes_down(till)
    till.bank.down = False
    till.clock.forward(SECONDS)
    assert till.beside().checkout(till.begin()).status == Status.COMPLETED
    till.clock.forward(FRESH_SECONDS)
    assert till.checkout(till.begin()).status == Status.COMPLETED


def test_a_decline_closes_it_as_well(quick: Till) -> None:
    goes_down(quick)
    quick.bank.down = False
    quick.clock.forward(SECONDS)
    assert quick.checkout(quick.begin(), "tok_declined").status == Status.FAILED
    assert quick.checkout(quick.begin()).status == Status.COMPLETED


@pytest.mark.parametrize("up", [True, False])
def test_of_many_who_come_then_one_tries_and_no_other_is_begun(till: Till, *, up: bool) -> None:
    """Nobody waits in the middle of a checkout for what is known to be down."""
    goes_down(till)
    till.bank.down = not up
    till.clock.forward(SECONDS)
    began, calls = [till.begin() for _ in range(8)], till.bank.calls
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda session_id: _tries(till.beside(), session_id), began))
    through = [answer for answer in answers if answer]
    assert {*through} == {Status.COMPLETED if up else Status.PROCESSING}
    assert len(through) == till.bank.calls - calls
    assert up or len(through) == 1  # when it is up, those who come last find the circuit closed
    assert [till.session(each).status for each in began].count(Status.PENDING) == 8 - len(through)


def _tries(till: Till, session_id: str) -> Status | None:
    try:
        return till.checkout(session_id).status
    except CircuitOpen:
        return None


def test_a_try_that_fails_keeps_it_open_for_as_long_again(quick: Till) -> None:
    goes_down(quick)
    quick.clock.forward(SECONDS)
    assert quick.checkout(quick.begin()).status == Status.PROCESSING
    assert refused(quick, quick.begin())
    quick.clock.forward(SECONDS - 1)
    assert refused(quick, quick.begin())


def test_whoever_has_the_try_and_dies_is_followed() -> None:
    """Wherever between the look at the circuit and the provider's answer that is; half a minute later."""
    for call in count():
        till = Till(MemoryTable(), FakeClock())
        goes_down(till)
        till.bank.down = False
        till.clock.forward(SECONDS)
        table = CrashingStore(till.table, call, after=True)
        with ThreadPoolExecutor(1) as elsewhere:
            died = elsewhere.submit(_dies, till.beside(table), till.begin()).result()
        till.clock.forward(SECONDS)
        assert till.beside().checkout(till.begin()).status == Status.COMPLETED
        till.reconciled(1)
        assert till.due() == []
        if not died:
            assert call > 5
            return


def _dies(till: Till, session_id: str) -> bool:
    try:
        till.checkout(session_id)
    except Crash:
        return True
    return False


def test_the_reconciler_alone_finds_out_that_it_is_up_again(quick: Till) -> None:
    """When nobody pays meanwhile; each charge that was under way comes to its end."""
    goes_down(quick)
    quick.reconciled(1)
    quick.bank.down = False
    assert quick.reconciled(1).count(Outcome.SETTLED) == FAILURES
    assert quick.checkout(quick.begin()).status == Status.COMPLETED


def test_the_reconciler_does_not_hammer_what_is_down(quick: Till) -> None:
    """However many charges are open, one try in half a minute is all that it gets."""
    quick.bank.down = True
    for _ in range(4 * FAILURES):
        quick.beside().checkout(quick.begin())
    quick.clock.forward(ms=GRACE)
    assert quick.reconcile() == [Outcome.POSTPONED] * 4 * FAILURES
    calls, minutes = quick.bank.calls, 30
    for _ in range(minutes):
        quick.clock.forward(60)
        quick.reconcile()
    assert 0 < quick.bank.calls - calls <= minutes


def test_what_was_charged_is_found_while_nothing_can_be_charged(quick: Till) -> None:
    """And that it is found does not mean that the next customer can pay."""
    waiting = [quick.beside().checkout(quick.begin(), "tok_timeout").id for _ in range(2)]
    quick.bank.charging_down = True
    for _ in range(FAILURES):
        quick.checkout(quick.begin())
    quick.clock.forward(ms=GRACE)
    quick.reconcile()
    assert {quick.session(each).status for each in waiting} == {Status.COMPLETED}
    assert refused(quick, quick.begin())


class Unhelpful:
    """Answers with errors of all kinds."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def charge(self, *_: Any) -> Charge:
        raise self.error

    def find(self, _key: str) -> Charge | None:
        raise self.error


@pytest.mark.parametrize("error", [ZeroDivisionError(), TimeoutError(), Unanswered()], ids=repr)
def test_whatever_its_code_raises_it_has_not_answered(quick: Till, error: Exception) -> None:
    """Nobody gets an error for that, the reconciler goes on, and the circuit opens."""
    broken = quick.beside(bank=Unhelpful(error))
    began = [broken.begin() for _ in range(FAILURES)]
    assert {broken.checkout(each).status for each in began} == {Status.PROCESSING}
    with pytest.raises(CircuitOpen):
        broken.checkout(broken.begin())
    quick.clock.forward(ms=GRACE)
    assert broken.reconcile() == [Outcome.POSTPONED] * FAILURES
    assert quick.reconciled().count(Outcome.SETTLED) == FAILURES


def test_its_circuits_are_kept_apart_from_those_of_others(quick: Till) -> None:
    goes_down(quick)
    quick.clock.forward(ms=GRACE)
    quick.reconcile()
    found = [quick.table.get(circuit_key(name)) for name in (CHARGE, FIND, "payments")]
    assert [item and item["state"] for item in found] == ["OPEN", "OPEN", None]


def test_a_lost_race_does_not_lose_the_try(quick: Till) -> None:
    """Somebody else changes the session between the decision and its write: the same one decides anew."""
    goes_down(quick)
    quick.bank.down = False
    quick.clock.forward(SECONDS)
    session_id = quick.begin()

    def other_tab() -> None:
        quick.sessions.change(session_id, lambda _: Change({("cartId",): "c"}))

    raced = quick.beside(InterruptedStore(quick.table, "transact", other_tab))
    assert raced.checkout(session_id).status == Status.COMPLETED
    assert quick.session(session_id).cart_id == "c"
