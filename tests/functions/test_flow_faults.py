"""Flows and buckets while table and bucket fail: an order is charged once or not at all, and nothing is half done.

A charge has one state in between, as a whole: the intent is written, and the session waits for its end. In the end
the faults are over, the reconciler comes, and what the sandbox has taken is what the session says is paid.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from tessera.errors import Unavailable
from tessera.model.changes import Change
from tessera.model.clock import HOUR_SECONDS
from tessera.model.payments import Intent
from tessera.stores.breaker import Policy
from tessera.stores.keys import STEPS, outbox_key, partition
from tests.functions.conftest import Output
from tests.functions.faulty import FaultMachine, run
from tests.functions.service import Answer, Context
from tests.support.faults import Fault

FUNNEL = ("checkout", "processing", "upsell-1", "upsell-2", "success")
FORM = (1, 2, 3, 4)
OFFERS = {"warranty": 990, "gift-wrap": 250}
AMOUNT = 3998
TOKENS = st.sampled_from(["tok_visa", "tok_declined", "tok_timeout", "tok_error", "tok_then_declined"])
VAULTS = st.sampled_from(["vault_good", "vault_declined", "vault_timeout", "vault_error"])
BUCKETS = st.sampled_from(["draft", "drawing"])
LARGE = 400_000
"""Bytes that are too many for an item."""

schedules = st.lists(st.sampled_from([*[None] * 20, *Fault]), max_size=10)
"""Of more calls than other operations make, and the first ones must work for the last ones to fail."""

filling = precondition(lambda self: self.kind == "form")
paid = precondition(lambda self: self.state.status == "completed")
failed = precondition(lambda self: self.state.open)


@dataclass(frozen=True)
class State:
    """What is stored. `open` names the charges that are under way, the checkout's as ""; buckets have a number."""

    step: Any
    status: str = "pending"
    completed: tuple[Any, ...] = ()
    accepted: tuple[str, ...] = ()
    declined: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    buckets: frozenset[tuple[str, int]] = frozenset()

    def told(self, event: str, **changed: Any) -> "State":
        """Return what this becomes with an event."""
        return replace(self, events=tuple(sorted((*self.events, event))), **changed)

    def onward(self) -> "State":
        """Go a step on in the funnel; a form goes its own way."""
        if self.step not in FUNNEL:
            return self
        step = FUNNEL[FUNNEL.index(self.step) + 1]
        return replace(self, step=step, completed=(*self.completed, self.step))

    def kept(self, name: str) -> int | None:
        return dict(self.buckets).get(name)

    def without(self, name: str) -> frozenset[tuple[str, int]]:
        return frozenset(each for each in self.buckets if each[0] != name)


class FlowsUnderFaults(FaultMachine):
    """A session that is paid, with two offers and two buckets; a funnel, or a form that may be finished."""

    state: State

    @initialize(kind=st.sampled_from(["checkout", "form"]), at=st.sampled_from([1, 3, 4]), paid=st.booleans())
    def begin(self, kind: str, at: int, paid: bool) -> None:
        """Most of what can go wrong comes late: some have paid, some forms are nearly filled in."""
        self.empty()
        offers = [{"offerId": name, "amount": amount} for name, amount in OFFERS.items()]
        steps = {"currentStep": at, "completedSteps": [*range(1, at)]} if kind == "form" else {}
        self.kind, self.owner = (
            kind,
            self.truth.create(kind=kind, data={"draft": {"number": next(self.numbers)}}, **steps),
        )
        made = {"upsells": {"offers": offers}}
        changed = self.truth.call("sessions/update", self.owner.id, token=self.token, body=made)
        assert changed.status == 200, changed.text
        self.state = self.seen()
        if paid:
            self.check_out([], "tok_visa", AMOUNT)

    # --- payments ------------------------------------------------------------------------------------

    @rule(schedule=schedules, token=TOKENS, amount=st.sampled_from([AMOUNT, AMOUNT, 1]))
    def check_out(self, schedule: list[Fault | None], token: str, amount: int) -> None:
        """Also a second tap, and another order in the same session."""
        amount = AMOUNT if self.state.status == "pending" else amount
        order = {"products": [{"productId": "p-7"}], "amount": amount, "currency": "EUR", "paymentToken": token}
        before = self.state
        answer = self.ask(schedule, "flows/checkout", named=False, body={"sessionId": self.owner.id, **order})
        if before.status != "pending":
            self.nothing(answer, 200 if amount == AMOUNT else 409)
        else:
            begun = before.told("checkout_begun", status="processing", open=("",)).onward()
            self.settle_charge(answer, begun, declined=token == "tok_declined")

    @rule(schedule=schedules, offer=st.sampled_from([*OFFERS]), accepts=st.booleans())
    def decide(self, schedule: list[Fault | None], offer: str, accepts: bool) -> None:
        self.decided(schedule, offer, accepts=accepts)

    @paid
    @rule(schedule=schedules, offer=st.sampled_from([*OFFERS]))
    def accept(self, schedule: list[Fault | None], offer: str) -> None:
        self.decided(schedule, offer, accepts=True)

    def decided(self, schedule: list[Fault | None], offer: str, *, accepts: bool) -> None:
        before, vault = self.state, self.session()["vaultId"]
        body = {"sessionId": self.owner.id, "offerId": offer, "decision": "accepted" if accepts else "declined"}
        answer = self.ask(schedule, "flows/upsell", named=False, body=body)
        if offer in before.accepted or offer in before.declined or before.open:
            same = accepts if offer in (*before.accepted, *self.refused, *before.open) else not accepts
            self.nothing(answer, 200 if same and offer in self.known else 409)
        elif before.status != "completed" or before.step == FUNNEL[-1]:
            self.nothing(answer, 409)
        elif accepts:
            begun = before.told("upsell_begun", open=(offer,))
            self.settle_charge(answer, begun, declined=vault == "vault_declined")
        else:
            self.settle(answer, before.told("upsell_declined", declined=(*before.declined, offer)).onward())

    @paid
    @rule(vault=VAULTS)
    def use_another_vault(self, vault: str) -> None:
        """What an offer that is being charged goes to was settled before."""
        if not self.state.open:
            self.truth.graph.sessions.change(self.owner.id, lambda _: Change({("vaultId",): vault}))

    @failed
    @rule(schedule=schedules)
    def reconcile(self, schedule: list[Fault | None]) -> None:
        """Each run settles what it finds or leaves it as it is, and one that fails is run again."""
        self.clock.forward(60)
        self.faults.come(*schedule)
        with suppress(Unavailable):
            self.service.handler("flows/reconcile")({}, Context(300_000))
        self.faults.come()
        now = self.seen()
        assert now in (self.state, self.charged(self.state, declined=self.declines))
        self.state = now

    @rule()
    def wait(self) -> None:
        """Until an open circuit may be tried."""
        self.clock.forward(Policy().seconds)

    # --- steps ---------------------------------------------------------------------------------------

    @filling
    @rule(schedule=schedules, to=st.sampled_from(FORM))
    def advance(self, schedule: list[Fault | None], to: int) -> None:
        before = self.state
        answer = self.ask(schedule, "flows/advance", body={"to": to})
        back = {step for step in before.completed if step < before.step}
        if before.kept("result") or to not in (before.step, before.step + 1, *back):
            self.nothing(answer, 409)
        elif to == before.step:
            self.nothing(answer, 200)
        else:
            completed = {*before.completed, before.step} if to > before.step else before.completed
            self.settle(answer, before.told("moved", step=to, completed=tuple(sorted(completed))))

    @filling
    @rule(schedule=schedules)
    def finish(self, schedule: list[Fault | None]) -> None:
        """The result is there and the draft is gone, or neither."""
        before, route = self.state, "POST /sessions/{sessionId}/finish"
        answer = self.ask(schedule, "flows/advance", route=route, body={})
        draft = before.kept("draft")
        completed = {*before.completed, *([before.step] if before.step == FORM[-1] else [])}
        if before.kept("result"):
            self.nothing(answer, 200)
        elif draft is None or completed != {*FORM}:
            self.nothing(answer, 409)
        else:
            buckets = before.without("draft") | {("result", draft)}
            self.settle(answer, before.told("finished", completed=FORM, buckets=buckets))

    # --- buckets -------------------------------------------------------------------------------------

    @rule(schedule=schedules, bucket=BUCKETS, large=st.booleans())
    def save(self, schedule: list[Fault | None], bucket: str, large: bool) -> None:
        number = next(self.numbers)
        body = {"number": number, "drawing": "x" * (LARGE if large and bucket == "drawing" else 10)}
        answer = self.ask(schedule, "data/save", body=body, **self.path(bucket))
        buckets = self.state.without(bucket) | {(bucket, number)}
        self.settle(answer, replace(self.state, buckets=buckets))

    @rule(schedule=schedules, bucket=BUCKETS)
    def load(self, schedule: list[Fault | None], bucket: str) -> None:
        """What was acknowledged is what is read, and what was removed is not."""
        answer = self.ask(schedule, "data/load", **self.path(bucket))
        assert answer.status in ({404, 503} if self.state.kept(bucket) is None else {200, 503})
        if answer.status == 200:
            assert answer.json["data"]["number"] == self.state.kept(bucket)

    @rule(schedule=schedules, bucket=BUCKETS)
    def remove(self, schedule: list[Fault | None], bucket: str) -> None:
        answer = self.ask(schedule, "data/remove", **self.path(bucket))
        if self.state.kept(bucket) is None:
            self.nothing(answer, 404)
        else:
            self.settle(answer, replace(self.state, buckets=self.state.without(bucket)), unless={404})

    def path(self, bucket: str) -> dict[str, Any]:
        named = {"sessionId": self.owner.id, "bucket": bucket}
        return {"pathParameters": named, "rawPath": f"/sessions/{self.owner.id}/data/{bucket}", "named": False}

    # --- what holds ----------------------------------------------------------------------------------

    def nothing(self, answer: Answer, status: int) -> None:
        """It changes nothing, and is answered so."""
        assert answer.status in (status, 503), answer.text
        self.faults.come()
        self.check(self.state)

    def charged(self, begun: State, *, declined: bool) -> State:
        """Return what the end of a charge makes of its session."""
        (offer,) = begun.open
        ended = replace(begun, open=())
        if offer:
            told = ("upsell_failed", "declined") if declined else ("upsell_accepted", "accepted")
            ended = ended.told(told[0], **{told[1]: (*getattr(begun, told[1]), offer)})
        else:
            told = ("checkout_failed", "failed") if declined else ("checkout_completed", "completed")
            ended = ended.told(told[0], status=told[1])
        return ended if declined else ended.onward()

    def settle_charge(self, answer: Answer, begun: State, *, declined: bool) -> None:
        """Nothing was begun, or the charge is under way, or it is at its end; who is answered knows which."""
        before, took_effect = self.state, self.faults.took_effect
        self.faults.come()
        now, end = self.seen(), self.charged(begun, declined=declined)
        if answer.status == 200:
            assert now in (begun, end)
            shown = self.shown(answer.json)
            assert shown.items() <= vars(now).items()
        else:
            assert answer.status == 503, answer.text
            assert now in (before, begun) or (took_effect and now == end)
        self.state, self.declines = now, declined
        if now != before and end.declined != before.declined:
            self.refused = (*self.refused, begun.open[0])

    declines: bool
    """Whether the charge that is under way will be declined."""
    refused: tuple[str, ...] = ()
    """Offers that were accepted and whose charge is declined: that is the answer to accepting them."""

    @property
    def known(self) -> tuple[str, ...]:
        return (*self.state.accepted, *self.state.declined, *self.state.open)

    def session(self, **query: str) -> Any:
        return self.truth.call("sessions/get", self.owner.id, token=self.token, query=query).json

    def shown(self, session: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parts of the state that every answer shows."""
        return {
            "step": session["currentStep"],
            "status": session["status"],
            "completed": tuple(session["completedSteps"]),
            "accepted": tuple(session["upsells"]["accepted"]),
            "declined": tuple(session["upsells"]["declined"]),
        }

    def seen(self) -> State:
        """Return what is stored, as the other container reads it."""
        session = self.session(include="data")
        held: dict[str, Any] = session["data"]
        if "result" in held:
            held["result"] = held["result"]["data"]["draft"]
        charges = self.table.query(f"CHARGE#{self.owner.id}")
        return State(
            **self.shown(session),
            open=tuple(item.get("offerId", "") for item in charges),
            events=tuple(sorted(item["name"] for item in self.table.query(partition(self.owner.id), STEPS))),
            buckets=frozenset((name, data["number"]) for name, data in held.items()),
        )

    @invariant()
    def what_was_taken_is_what_is_paid(self) -> None:
        """The sandbox has charged what is paid, once and at its price, and else what is under way at most."""
        taken = {
            key.pk.removeprefix("SANDBOX#"): item
            for key, item in self.table._items.items()
            if key.pk.startswith("SANDBOX#") and item.get("paid")
        }
        bought = [*([""] if self.state.status == "completed" else []), *self.state.accepted]
        prices = {self.key(offer): OFFERS.get(offer, AMOUNT) for offer in bought}
        assert prices.keys() <= taken.keys() <= prices.keys() | {self.key(offer) for offer in self.state.open}
        assert prices.items() <= {key: item["amount"] for key, item in taken.items()}.items()
        orders = [*self.table.query(outbox_key(self.owner.id).pk)]
        told = [taken[self.key("")]["transactionId"]] if self.state.status == "completed" else []
        assert [item["order"]["transactionId"] for item in orders] == told

    def key(self, offer: str) -> str:
        return Intent(self.owner.id, offer or None, 0, "", None, 0).key

    def teardown(self) -> None:
        if not hasattr(self, "state"):
            return
        self.faults.come()
        if self.state.open:
            for _ in range(15):
                self.clock.forward(60)
                self.truth.handler("flows/reconcile")({}, Context(300_000))
            self.state = self.charged(self.state, declined=self.declines)
            self.check(self.state)
        self.what_was_taken_is_what_is_paid()
        ended = self.truth.call("sessions/extend", self.owner.id, token=self.token, body={"seconds": 1})
        assert ended.status == 200, ended.text
        self.clock.forward(HOUR_SECONDS)
        for _ in range(3):
            done = self.truth.handler("lifecycle/cleanup")({}, Context(300_000))["done"]
        assert done
        assert list(self.bucket.keys("")) == []
        left = {(key.pk, key.sk) for key in self.table._items if key.pk.startswith(("SESSION#", "CHARGE#"))}
        assert left <= {(partition(self.owner.id), "CORE")}


def test_whatever_fails_each_thing_is_charged_once_and_nothing_is_half_done(output: Output) -> None:
    run(FlowsUnderFaults, steps=25, kinds={}, BITRIX24="on")
    assert output.capsys.readouterr().err == ""
