"""Payments: an order is charged once, paid and lost never, completed once; whoever dies at it or comes second."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import (
    ContentTooLarge,
    DemandsUnmet,
    IllegalMove,
    IllegalTransition,
    Invalid,
    NotFound,
    OfferDecided,
    OtherCheckout,
    PaymentInProgress,
    PoisonedItem,
)
from tessera.model.changes import Change
from tessera.model.flows import Happened
from tessera.model.payments import Charge
from tessera.model.status import Status
from tessera.payments.payments import AGAIN, LATE, Look, Outcome
from tessera.stores.charges import GRACE
from tessera.stores.keys import charge_key, core_key
from tessera.stores.memory import MemoryTable
from tessera.stores.table import MAX_ITEM_BYTES
from tests.support.fakes import Crash, CrashingStore, FakeClock, InterruptedStore
from tests.support.shop import SHARDS, Till

PAID = (Status.COMPLETED, "upsell-1")


def stands(till: Till, session_id: str) -> tuple[Status, Any]:
    found = till.session(session_id)
    return found.status, found.current_step


# --- the checkout ------------------------------------------------------------------------------------


def test_an_order_is_charged_and_completed(till: Till) -> None:
    session_id = till.begin()
    paid = till.checkout(session_id, customer={"lastName": "Lovelace"})
    assert paid == till.session(session_id)
    assert (paid.status, paid.current_step, paid.completed_steps) == (*PAID, ["checkout", "processing"])
    assert (paid.amount, paid.currency, paid.products) == (3998, "EUR", [{"productId": "p-7", "quantity": 2}])
    assert paid.customer
    assert (paid.customer.first_name, paid.customer.last_name) == ("Ada", "Lovelace")
    assert paid.transaction_id
    assert paid.transaction_id.startswith("txn_")
    assert paid.vault_id
    assert till.events(session_id) == [Happened.CHECKOUT_BEGUN, Happened.CHECKOUT_COMPLETED]
    assert till.open_charges(session_id) == []
    (order,) = till.orders(session_id)
    assert order["order"]["transactionId"] == paid.transaction_id


def test_a_declined_order_has_failed(till: Till) -> None:
    session_id = till.begin()
    failed = till.checkout(session_id, "tok_declined")
    assert (failed.status, failed.current_step, failed.vault_id) == (Status.FAILED, "processing", None)
    assert failed.transaction_id
    assert till.bank.charged == {}
    assert till.events(session_id) == [Happened.CHECKOUT_BEGUN, Happened.CHECKOUT_FAILED]
    assert (till.open_charges(session_id), till.orders(session_id)) == ([], [])


@pytest.mark.parametrize(("token", "ends"), [("tok_success", Status.COMPLETED), ("tok_declined", Status.FAILED)])
def test_the_same_again_is_answered_with_what_came_of_it(quick: Till, token: str, ends: Status) -> None:
    """Also with another token, as a page makes one for each tap."""
    session_id = quick.begin()
    first = quick.checkout(session_id, token)
    assert [quick.checkout(session_id, again) for again in (token, "tok_other")] == [first, first]
    assert (first.status, len(quick.bank.asked)) == (ends, 1)


@pytest.mark.parametrize("otherwise", [{"amount": 1}, {"currency": "USD"}, {"products": [{"productId": "p-8"}]}])
def test_another_order_needs_another_session(quick: Till, otherwise: dict[str, Any]) -> None:
    session_id = quick.begin()
    before = quick.checkout(session_id)
    with pytest.raises(OtherCheckout):
        quick.checkout(session_id, **otherwise)
    assert quick.session(session_id) == before


def test_twenty_taps_at_once_are_one_charge(till: Till) -> None:
    session_id = till.begin()
    tills = [till.beside() for _ in range(20)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda each: each.checkout(session_id), tills))
    assert {answer.status for answer in answers} <= {Status.PROCESSING, Status.COMPLETED}
    assert stands(till, session_id) == PAID
    assert len(till.bank.asked) == len(till.bank.charged) == len(till.orders(session_id)) == 1
    assert len(till.events(session_id)) == 2


@pytest.mark.parametrize("status", [Status.PROCESSING, Status.COMPLETED, Status.FAILED])
def test_a_service_that_moves_the_status_itself_does_without(quick: Till, status: Status) -> None:
    session_id = quick.begin()
    quick.sessions.change(session_id, lambda _: Change({("status",): status.value}))
    with pytest.raises(IllegalTransition):
        quick.checkout(session_id)
    assert quick.bank.asked == []


def test_the_vault_of_the_session_is_charged_without_a_token(quick: Till) -> None:
    session_id = quick.begin()
    with pytest.raises(DemandsUnmet) as refused:
        quick.checkout(session_id, None)
    assert refused.value.members["missing"] == ["/vaultId"]
    quick.sessions.change(session_id, lambda _: Change({("vaultId",): "vault_7"}))
    assert quick.checkout(session_id, None).vault_id == "vault_7"


def test_what_is_paid_with_is_sealed_and_gone_in_the_end(till: Till) -> None:
    session_id = till.begin()
    till.checkout(session_id, "secret_timeout")
    (item,) = till.open_charges(session_id)
    assert item["sealed"]
    assert "ttl" not in item
    everything = [*till.table.query(f"SESSION#{session_id}"), item]
    assert "secret_timeout" not in repr(everything)
    till.clock.forward(60)
    assert till.reconcile() == [Outcome.SETTLED]
    assert till.open_charges(session_id) == []


# --- offers ------------------------------------------------------------------------------------------


def test_offers_lead_through_the_funnel(till: Till) -> None:
    session_id = till.begin()
    till.checkout(session_id)
    accepted = till.decide(session_id, "warranty")
    assert (accepted.current_step, accepted.upsells.accepted) == ("upsell-2", ["warranty"])
    declined = till.decide(session_id, "gift-wrap", "declined")
    assert (declined.current_step, declined.upsells.declined) == ("success", ["gift-wrap"])
    assert declined.completed_steps == ["checkout", "processing", "upsell-1", "upsell-2"]
    assert declined == till.session(session_id)
    assert sorted(till.bank.charged.values()) == [990, 3998]
    assert till.events(session_id)[2:] == [
        Happened.UPSELL_BEGUN,
        Happened.UPSELL_ACCEPTED,
        Happened.UPSELL_DECLINED,
    ]


def test_an_offer_whose_charge_is_declined_counts_as_declined(quick: Till) -> None:
    session_id = quick.begin()
    assert quick.checkout(session_id, "tok_then_declined").vault_id == "vault_declined"
    first = quick.decide(session_id, "warranty")
    assert (first.status, first.current_step) == (Status.COMPLETED, "upsell-1")
    assert (first.upsells.accepted, first.upsells.declined) == ([], ["warranty"])
    assert quick.decide(session_id, "warranty") == first
    assert quick.events(session_id)[-1] == Happened.UPSELL_FAILED


def test_an_offer_is_decided_once(quick: Till) -> None:
    session_id = quick.begin()
    quick.checkout(session_id)
    first = quick.decide(session_id, "warranty")
    assert quick.decide(session_id, "warranty") == first
    with pytest.raises(OfferDecided) as refused:
        quick.decide(session_id, "warranty", "declined")
    assert refused.value.members == {"decision": "accepted"}
    second = quick.decide(session_id, "gift-wrap", "declined")
    assert quick.decide(session_id, "gift-wrap", "declined") == second
    with pytest.raises(OfferDecided):
        quick.decide(session_id, "gift-wrap")
    assert len(quick.bank.asked) == 2


def test_twenty_taps_on_an_offer_are_one_charge(till: Till) -> None:
    session_id = till.begin()
    till.checkout(session_id)
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda each: each.decide(session_id, "warranty"), [till.beside() for _ in range(20)]))
    found = till.session(session_id)
    assert (found.current_step, found.upsells.accepted, len(till.bank.asked)) == ("upsell-2", ["warranty"], 2)


def test_while_an_offer_is_charged_no_other_is(quick: Till) -> None:
    """Two offers on a page, tapped at once, would each move the session a step."""
    session_id = quick.begin()
    quick.checkout(session_id)
    quick.sessions.change(session_id, lambda _: Change({("vaultId",): "vault_timeout"}))
    waiting = quick.decide(session_id, "warranty")
    assert (waiting.current_step, waiting.upsells.accepted) == ("upsell-1", [])
    for offer, decision in (("gift-wrap", "accepted"), ("gift-wrap", "declined"), ("warranty", "declined")):
        with pytest.raises(PaymentInProgress):
            quick.decide(session_id, offer, decision)
    assert quick.decide(session_id, "warranty") == waiting
    quick.clock.forward(60)
    assert quick.reconcile() == [Outcome.SETTLED]
    assert stands(quick, session_id) == (Status.COMPLETED, "upsell-2")


def test_offers_follow_a_completed_checkout(quick: Till) -> None:
    session_id = quick.begin()
    with pytest.raises(IllegalMove) as refused:
        quick.decide(session_id, "warranty")
    assert refused.value.members["allowed"] == ["processing"]
    quick.checkout(session_id)
    for offer in ("a", "b"):
        quick.decide(session_id, offer, "declined")
    with pytest.raises(IllegalMove):
        quick.decide(session_id, "warranty")


@pytest.mark.parametrize(
    "offer",
    [
        {"offerId": "other", "amount": 1},
        {"offerId": "warranty"},
        {"offerId": "warranty", "amount": 0},
        {"offerId": "warranty", "amount": "990"},
        {"offerId": "warranty", "amount": 9.9},
        {"offerId": "warranty", "amount": 990, "currency": "euro"},
    ],
    ids=str,
)
def test_an_offer_without_a_price_of_a_service_is_not_charged(quick: Till, offer: dict[str, Any]) -> None:
    session_id = quick.begin()
    before = quick.checkout(session_id)
    quick.offer(session_id, offer)
    with pytest.raises(Invalid):
        quick.decide(session_id, "warranty")
    assert (quick.session(session_id).current_step, len(quick.bank.asked)) == (before.current_step, 1)


def test_without_a_vault_no_offer_is_charged(quick: Till) -> None:
    session_id = quick.begin()
    quick.checkout(session_id)
    quick.sessions.change(session_id, lambda _: Change(remove=frozenset({("vaultId",)})))
    with pytest.raises(DemandsUnmet):
        quick.decide(session_id, "warranty")


# --- a session of another kind -----------------------------------------------------------------------


def test_a_form_is_checked_out_and_stays_at_its_step(quick: Till) -> None:
    session_id = quick.begin(kind="form", currentStep=2, completedSteps=[1])
    paid = quick.checkout(session_id)
    assert (paid.status, paid.current_step, paid.completed_steps) == (Status.COMPLETED, 2, [1])
    accepted = quick.decide(session_id, "warranty")
    assert (accepted.current_step, accepted.upsells.accepted) == (2, ["warranty"])


# --- when the provider does not answer ---------------------------------------------------------------


@pytest.mark.parametrize("token", ["tok_timeout", "tok_error"])
def test_without_an_answer_it_stays_processing_until_the_reconciler_comes(till: Till, token: str) -> None:
    session_id = till.begin()
    waiting = till.checkout(session_id, token)
    assert (waiting.status, waiting.current_step, waiting.transaction_id) == (
        Status.PROCESSING,
        "processing",
        None,
    )
    assert till.checkout(session_id, token) == waiting
    till.clock.forward(ms=GRACE - 1)
    assert till.due() == []
    till.clock.forward(ms=1)
    assert till.reconcile() == [Outcome.SETTLED]
    assert stands(till, session_id) == PAID
    assert len(till.bank.charged) == len(till.orders(session_id)) == 1
    assert till.due() == []


def test_a_provider_that_is_down_is_asked_again_later_and_later(quick: Till) -> None:
    session_id = quick.begin()
    quick.bank.down = True
    quick.checkout(session_id)
    began = quick.clock()
    waits = list[int]()
    for _ in range(6):
        quick.clock.forward(60)
        while not quick.due():
            quick.clock.forward(60)
        waits.append((quick.clock() - began) // 60_000)
        (key,) = quick.due()
        assert quick.look(key) == Look(Outcome.POSTPONED, since=began)
    assert waits == [1, 2, 4, 8, 12, 16]
    quick.bank.down = False
    assert quick.reconciled() == [Outcome.SETTLED]
    assert stands(quick, session_id) == PAID


def test_who_would_be_charged_an_hour_later_is_told_that_it_failed(quick: Till) -> None:
    session_id = quick.begin()
    quick.bank.down = True
    quick.checkout(session_id)
    quick.clock.forward(ms=AGAIN)
    quick.reconcile()
    quick.bank.down = False
    assert quick.reconciled() == [Outcome.SETTLED]
    assert quick.session(session_id).status == Status.FAILED
    assert quick.bank.charged == {}


def test_what_was_charged_is_completed_however_late(quick: Till) -> None:
    session_id = quick.begin()
    quick.checkout(session_id, "tok_timeout")
    quick.bank.down = True
    quick.clock.forward(ms=5 * AGAIN)
    assert quick.reconcile() == [Outcome.POSTPONED]
    quick.bank.down = False
    assert quick.reconciled() == [Outcome.SETTLED]
    assert stands(quick, session_id) == PAID


def test_a_process_that_slept_leaves_the_charge_to_the_reconciler(quick: Till) -> None:
    """It would ask the provider when the reconciler has decided already."""
    session_id = quick.begin()
    late = InterruptedStore(quick.bank, "charge", lambda: None)
    table = InterruptedStore(quick.table, "transact", lambda: None)
    sleeper = quick.beside(_sleeping(table, quick.clock), late)
    assert sleeper.checkout(session_id).status == Status.PROCESSING
    assert quick.bank.asked == []
    quick.clock.forward(60)
    assert quick.reconcile() == [Outcome.SETTLED]
    assert stands(quick, session_id) == PAID


def _sleeping(table: Any, clock: FakeClock) -> Any:
    """Return a table after whose first transaction the process sleeps."""

    class Sleeping:
        def __getattr__(self, verb: str) -> Any:
            if verb != "transact":
                return getattr(table, verb)

            def transact(writes: Any) -> None:
                table.transact(writes)
                clock.forward(ms=LATE + 1)

            return transact

    return Sleeping()


def test_a_provider_whose_code_breaks_has_not_answered(quick: Till) -> None:
    class Broken:
        def charge(self, *_: Any) -> Charge:
            raise ZeroDivisionError

        def find(self, _key: str) -> Charge | None:
            raise KeyError

    session_id = quick.begin()
    broken = quick.beside(bank=Broken())
    assert broken.checkout(session_id).status == Status.PROCESSING
    quick.clock.forward(60)
    assert broken.reconcile() == [Outcome.POSTPONED]
    assert quick.reconciled() == [Outcome.SETTLED]


def test_means_that_the_key_ring_has_forgotten_charge_nobody(quick: Till) -> None:
    session_id = quick.begin()
    quick.checkout(session_id, "tok_error")
    quick.clock.forward(60)
    stranger = Till(quick.table, quick.clock, bank=quick.bank)
    assert stranger.reconcile() == [Outcome.SETTLED]
    assert quick.session(session_id).status == Status.FAILED
    assert quick.bank.charged == {}


# --- paid, and the session is gone -------------------------------------------------------------------


def delete(till: Till, session_id: str) -> None:
    till.sessions.delete(session_id)


def expire(till: Till, session_id: str) -> None:
    till.clock.now = till.session(session_id).expires_at


def fail(till: Till, session_id: str) -> None:
    till.sessions.change(session_id, lambda _: Change({("status",): "failed"}))


def make_anew(till: Till, session_id: str) -> None:
    till.sessions.delete(session_id)
    till.begin(session_id=session_id)


GONE = pytest.mark.parametrize(
    ("end", "reason"),
    [
        (delete, "session-not-found"),
        (expire, "session-expired"),
        (fail, "illegal-transition"),
        (make_anew, "session-not-found"),
    ],
)


@GONE
def test_what_was_paid_for_a_session_that_cannot_take_it_waits_for_a_person(
    till: Till, end: Callable[[Till, str], None], reason: str
) -> None:
    session_id = till.begin()
    till.checkout(session_id, "tok_timeout")
    end(till, session_id)
    till.clock.forward(60)
    assert till.reconcile() == [Outcome.FLAGGED]
    (flagged,) = till.flagged()
    assert (flagged["flagged"], flagged["amount"], flagged["currency"]) == (reason, 3998, "EUR")
    assert flagged["transactionId"]
    assert "sealed" not in flagged
    assert till.due() == till.reconciled(1) == []
    assert till.orders(session_id) == []


@GONE
def test_what_was_not_paid_for_it_is_not_charged_any_more(
    quick: Till, end: Callable[[Till, str], None], reason: str
) -> None:
    session_id = quick.begin()
    quick.checkout(session_id, "tok_error")
    end(quick, session_id)
    quick.clock.forward(60)
    # A session that a service has ended still has the charge open, so it is asked for: once more, then flagged.
    assert quick.reconcile() == [Outcome.FLAGGED if end is fail else Outcome.DROPPED]
    assert reason
    assert len(quick.bank.charged) == (end is fail)
    assert quick.due() == []


@pytest.mark.parametrize("end", [delete, expire, fail])
def test_its_own_process_finds_it_gone_too(quick: Till, end: Callable[[Till, str], None]) -> None:
    session_id = quick.begin()
    mortal = quick.beside(bank=InterruptedStore(quick.bank, "charge", lambda: end(quick, session_id)))
    with pytest.raises((NotFound, IllegalTransition)):
        mortal.checkout(session_id)
    assert len(quick.flagged()) == 1
    assert quick.due() == []


def test_a_declined_charge_of_a_session_that_is_gone_is_nobodys_concern(quick: Till) -> None:
    session_id = quick.begin()
    mortal = quick.beside(bank=InterruptedStore(quick.bank, "charge", lambda: delete(quick, session_id)))
    with pytest.raises(NotFound):
        mortal.checkout(session_id, "tok_declined")
    assert (quick.flagged(), quick.open_charges(session_id)) == ([], [])


def test_a_session_without_room_for_what_was_paid_holds_up_no_other(quick: Till) -> None:
    """Some bytes below the limit a checkout can be begun, and its end cannot be noted: a person has to."""
    session_id, left = quick.begin(), MAX_ITEM_BYTES
    while (left := left - 10) and quick.session(session_id).status == Status.PENDING:
        with suppress(ContentTooLarge):
            quick.sessions.change(session_id, lambda _: Change({("metadata",): {"x": "x" * left}}))
            quick.checkout(session_id, "tok_timeout")
    others = [quick.beside().checkout(quick.begin(), "tok_timeout").id for _ in range(2 * SHARDS)]
    quick.clock.forward(60)
    outcomes = quick.reconcile()
    assert sorted(outcomes) == [Outcome.FLAGGED, *[Outcome.SETTLED] * len(others)]
    assert {quick.session(other).status for other in others} == {Status.COMPLETED}
    assert [item["flagged"] for item in quick.flagged()] == ["content-too-large"]


@pytest.mark.parametrize(
    "wrong", [{"transaction_id": 7}, {"vault_id": "v" * 201}, {"reason": ["lost"]}, {"paid": "no"}]
)
def test_what_a_provider_answers_that_is_no_charge_is_no_answer(quick: Till, wrong: dict[str, Any]) -> None:
    """In a session it would be one that nobody can read any more."""

    class Careless:
        def charge(self, *_: Any) -> Charge:
            return Charge(**{"paid": True, **wrong})

        def find(self, _key: str) -> Charge | None:
            return Charge(**{"paid": True, **wrong})

    session_id = quick.begin()
    careless = quick.beside(bank=Careless())
    assert careless.checkout(session_id).status == Status.PROCESSING
    quick.clock.forward(60)
    assert careless.reconcile() == [Outcome.POSTPONED]
    assert quick.reconciled() == [Outcome.SETTLED]


def test_what_one_run_charges_while_another_one_drops_it_is_flagged(quick: Till) -> None:
    session_id = quick.begin()
    quick.checkout(session_id, "tok_error")  # nothing was charged, and nobody knows
    quick.clock.forward(60)
    (key,) = quick.due()

    def meanwhile() -> None:
        quick.sessions.delete(session_id)
        assert quick.look(key).outcome == Outcome.DROPPED

    late = quick.beside(bank=InterruptedStore(quick.bank, "charge", meanwhile))
    assert late.look(key).outcome == Outcome.FLAGGED
    assert [found["amount"] for found in quick.flagged()] == [*quick.bank.charged.values()] != []


def test_a_charge_that_cannot_be_read_is_set_aside(quick: Till) -> None:
    session_id = quick.begin()
    quick.checkout(session_id, "tok_timeout")
    key = charge_key(session_id, None)
    quick.table.update(key, Change(remove=frozenset({("amount",)})))
    quick.clock.forward(60)
    with pytest.raises(PoisonedItem):
        quick.look(key)
    quick.charges.set_aside(key, quick.clock())
    assert quick.due() == []
    quick.clock.forward(3_600)
    assert quick.due() == [key]


# --- crashes -----------------------------------------------------------------------------------------

TOKENS = st.sampled_from(["tok_success", "tok_declined", "tok_timeout", "tok_error"])


class Shopping:
    """A customer, and containers that die: at every call of the table or the bank, before or after it."""

    def __init__(self) -> None:
        self.till = Till(MemoryTable(), FakeClock())
        self.session_id = self.till.begin()

    def dies(self, act: Callable[[Till], object], at: int, *, after: bool) -> bool:
        """Act in a container that dies at that call; return whether it did."""
        table = CrashingStore(self.till.table, at, after=after)
        try:
            act(self.till.beside(table, table.beside(self.till.bank)))
        except Crash:
            return True
        return False

    def check(self, *, token: str, offered: bool = False) -> None:
        """Assert that all is paid once, lost never, and as the customer wanted it."""
        found, bank = self.till.session(self.session_id), self.till.bank
        declined = token == "tok_declined"
        assert found.status == (Status.FAILED if declined else Status.COMPLETED)
        assert len(bank.charged) == (0 if declined else 1 + offered)
        assert self.till.events(self.session_id).count(Happened.CHECKOUT_COMPLETED) == (not declined)
        assert len(self.till.orders(self.session_id)) == (not declined)
        assert "open" not in self.till.sessions.find(self.session_id).payment
        assert (self.till.open_charges(self.session_id), self.till.flagged()) == ([], [])
        if offered:
            assert (found.upsells.accepted, found.current_step) == (["warranty"], "upsell-2")


AFTER = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


@AFTER
@pytest.mark.parametrize("token", ["tok_success", "tok_declined", "tok_timeout", "tok_error"])
def test_a_checkout_that_dies_anywhere_comes_to_its_end(token: str, *, after: bool) -> None:
    for call in count():
        shop = Shopping()
        died = shop.dies(lambda till: till.checkout(shop.session_id, token), call, after=after)  # noqa: B023
        shop.till.reconciled(1)
        if shop.till.session(shop.session_id).status == Status.PENDING:
            shop.till.checkout(shop.session_id, token)  # nothing was written; the customer taps again
            shop.till.reconciled(1)
        shop.check(token=token)
        if not died:
            assert call >= 2, "it did something"
            return


@AFTER
@pytest.mark.parametrize("token", ["tok_timeout", "tok_error"])
def test_a_run_of_the_reconciler_that_dies_anywhere_is_finished_by_the_next(token: str, *, after: bool) -> None:
    for call in count():
        shop = Shopping()
        shop.till.checkout(shop.session_id, token)
        shop.till.clock.forward(60)
        died = shop.dies(Till.reconcile, call, after=after)
        shop.till.reconciled(1)
        shop.check(token=token)
        if not died:
            assert call > 5, "it did something"
            return


@AFTER
def test_an_offer_that_dies_anywhere_comes_to_its_end(*, after: bool) -> None:
    for call in count():
        shop = Shopping()
        shop.till.checkout(shop.session_id)
        died = shop.dies(lambda till: till.decide(shop.session_id, "warranty"), call, after=after)  # noqa: B023
        shop.till.reconciled(1)
        shop.till.decide(shop.session_id, "warranty")
        shop.check(token="tok_success", offered=True)
        if not died:
            assert call > 3
            return


@settings(max_examples=150, deadline=None)
@given(
    token=TOKENS,
    deaths=st.lists(st.tuples(st.integers(0, 8), st.booleans()), max_size=6),
    down=st.lists(st.booleans(), max_size=4),
)
def test_whoever_dies_wherever_it_is_charged_once_and_completed_once(
    token: str, deaths: list[tuple[int, bool]], down: list[bool]
) -> None:
    """A customer taps, a run of the reconciler comes, in turns; each dies between any two calls, and the provider
    is down at times."""
    shop = Shopping()
    for turn, (at, after) in enumerate(deaths):
        shop.till.bank.down = turn < len(down) and down[turn]
        if turn % 2:
            shop.till.clock.forward(60)
            shop.dies(Till.reconcile, at, after=after)
        else:
            shop.dies(lambda till: till.checkout(shop.session_id, token), at, after=after)
    shop.till.bank.down = False
    shop.till.checkout(shop.session_id, token)
    shop.till.reconciled(1)
    shop.check(token=token)


def test_two_runs_at_once_settle_a_charge_once(till: Till) -> None:
    session_id = till.begin()
    till.checkout(session_id, "tok_error")
    till.clock.forward(60)
    (key,) = till.due()
    with ThreadPoolExecutor(8) as pool:
        looks = list(pool.map(lambda each: each.look(key), [till.beside() for _ in range(8)]))
    assert {look.outcome for look in looks} <= {Outcome.SETTLED, Outcome.POSTPONED}
    assert stands(till, session_id) == PAID
    assert len(till.bank.charged) == len(till.orders(session_id)) == 1
    assert till.table.get(core_key(session_id)) is not None
