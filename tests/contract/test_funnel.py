"""The funnel as a machine: whatever a customer taps, in whatever order, however the provider answers."""

from itertools import cycle
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tessera.errors import CircuitOpen, Conflict, Invalid
from tessera.model.changes import Change
from tessera.model.kinds import DEFAULTS
from tessera.model.status import TRANSITIONS, Status
from tessera.stores.memory import MemoryTable
from tests.support.fakes import FakeClock
from tests.support.shop import OFFERS, Till

TOKENS = st.sampled_from(["tok_visa", "tok_declined", "tok_timeout", "tok_error", "tok_then_declined"])
VAULTS = st.sampled_from(["vault_good", "vault_declined", "vault_timeout", "vault_error"])
OFFERED = st.sampled_from(["warranty", "gift-wrap", "of-nobody"])
PRICES = {offer.get("offerId", offer.get("id")): offer["amount"] for offer in OFFERS}


class Funnel(RuleBasedStateMachine):
    """One session, several containers of one shop."""

    def __init__(self) -> None:
        super().__init__()
        self.till = Till(MemoryTable(), FakeClock())
        self.tills = cycle([self.till.beside(), self.till.beside()])
        self.session_id = self.till.begin()
        self.before = self.till.session(self.session_id)

    @initialize(paid=st.booleans(), vault=VAULTS)
    def has_perhaps_paid(self, paid: bool, vault: str) -> None:
        """Most of what can go wrong comes after the checkout."""
        if paid:
            self.till.checkout(self.session_id)
            self.another_vault_is_used(vault)

    def tapped(self, act: Any) -> None:
        """Tap twice: what is refused is refused again, what is done is done once."""
        for _ in range(2):
            before = self.till.session(self.session_id)
            try:
                act()
            except (Conflict, Invalid, CircuitOpen):
                assert self.till.session(self.session_id) == before

    @rule(token=TOKENS, amount=st.sampled_from([3998, 3998, 100]))
    def checks_out(self, token: str, amount: int) -> None:
        self.tapped(lambda: next(self.tills).checkout(self.session_id, token, amount=amount))

    @rule(offer=OFFERED, accepts=st.booleans())
    def decides(self, offer: str, accepts: bool) -> None:
        decision = "accepted" if accepts else "declined"
        self.tapped(lambda: next(self.tills).decide(self.session_id, offer, decision))

    @precondition(lambda self: self.till.session(self.session_id).status == Status.COMPLETED)
    @rule(vault=VAULTS)
    def another_vault_is_used(self, vault: str) -> None:
        self.till.sessions.change(self.session_id, lambda _: Change({("vaultId",): vault}))

    @rule(down=st.booleans())
    def the_provider_comes_and_goes(self, down: bool) -> None:
        self.till.bank.down = down

    @rule(minutes=st.integers(1, 5))
    def the_reconciler_runs(self, minutes: int) -> None:
        self.till.clock.forward(minutes * 60)
        self.till.reconcile()

    @invariant()
    def the_session_goes_where_it_may(self) -> None:
        found, steps = self.till.session(self.session_id), DEFAULTS["checkout"].flow
        assert steps
        reached = {Status.PENDING: {*TRANSITIONS[Status.PENDING], *TRANSITIONS[Status.PROCESSING]}}
        assert found.status in {
            self.before.status,
            *TRANSITIONS[self.before.status],
            *reached.get(self.before.status, ()),
        }
        assert found.current_step
        assert self.before.current_step
        at = steps.steps.index(found.current_step)
        assert at >= steps.steps.index(self.before.current_step)
        assert found.completed_steps == list(steps.steps[:at])
        self.before = found

    @invariant()
    def what_it_says_is_paid_is_charged_once(self) -> None:
        found, record = self.till.session(self.session_id), self.till.sessions.find(self.session_id)
        assert not {*found.upsells.accepted} & {*found.upsells.declined}
        assert len({*found.upsells.accepted}) == len(found.upsells.accepted)
        said = [found.amount] if found.status == Status.COMPLETED else []
        said += [PRICES[offer] for offer in found.upsells.accepted]
        charged = sorted(self.till.bank.charged.values())
        open_ones = self.till.open_charges(self.session_id)
        assert ("open" in record.payment) == bool(open_ones)
        assert len(charged) - len(said) in ((0, 1) if open_ones else (0,))
        if not open_ones:
            assert charged == sorted(said)
        assert len(self.till.orders(self.session_id)) == (found.status == Status.COMPLETED)

    def teardown(self) -> None:
        """In the end nothing is left open."""
        self.till.bank.down = False
        self.till.reconciled(2)
        self.what_it_says_is_paid_is_charged_once()
        assert self.till.open_charges(self.session_id) == self.till.flagged() == []


def test_whatever_is_tapped_each_thing_is_paid_once() -> None:
    run_state_machine_as_test(Funnel, settings=settings(max_examples=50, stateful_step_count=15, deadline=None))
