"""What is paid in a session: its checkout, once, and each accepted offer, once.

`Record.payment` says how far that is: `print` what was checked out, `open` the charge that is under way (null for
the checkout itself, else the offer), `refused` the offers that were accepted and whose charge was declined,
`transactions` the ids of the charges of accepted offers.
"""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, NamedTuple, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass as checked

from tessera.errors import (
    DemandsUnmet,
    IllegalMove,
    IllegalTransition,
    Invalid,
    NothingToDo,
    OfferDecided,
    OtherCheckout,
    PaymentInProgress,
    ServiceOnly,
)
from tessera.model.bodies import Body, Currency, Products, Reference
from tessera.model.changes import Change, Clause, applied
from tessera.model.clock import Millis
from tessera.model.edit import without_link
from tessera.model.flows import PART, Data, FlowEvent, Happened, absent, moved
from tessera.model.kinds import Flow, Step
from tessera.model.life import noted, touched
from tessera.model.merge import deltas
from tessera.model.record import Record
from tessera.model.session import Customer
from tessera.model.status import TRANSITIONS, Status, check_transition

Price = Annotated[int, Field(ge=1, lt=10**15, strict=True)]


class ProcessCheckout(Body):
    """The body of POST /checkout/process. Without token and vault, the vault that the session has is charged."""

    session_id: Reference
    products: Annotated[Products, Field(min_length=1)]
    amount: Price = Field(description="In minor units of the currency.")
    currency: Currency
    customer: Customer | None = None
    payment_token: Annotated[str, Field(min_length=1, max_length=8_192)] | None = Field(
        default=None, repr=False, json_schema_extra={"writeOnly": True}
    )
    vault_id: Reference | None = Field(default=None, description="A browser may name the session's own alone.")

    @model_validator(mode="after")
    def _one_means(self) -> Self:
        if self.payment_token is not None and self.vault_id is not None:
            raise ValueError("either a paymentToken or a vaultId")
        return self


class Decision(StrEnum):
    """What a customer says to an offer."""

    ACCEPTED = "accepted"
    DECLINED = "declined"


class ProcessUpsell(Body):
    """The body of POST /upsell/process."""

    session_id: Reference
    offer_id: Reference
    decision: Decision


@dataclass(frozen=True, slots=True)
class Means:
    """What is charged: a token of the provider, used once, or a vault of its own. Never shown."""

    token: str | None = None
    vault: str | None = None

    def __repr__(self) -> str:
        return "Means(…)"


@dataclass(frozen=True, slots=True)
class Intent:
    """A charge that is to be made, as it is written before the provider is asked.

    `key` is the provider's idempotency key; `step` where the session stands while the charge is under way.
    """

    session_id: str
    offer_id: str | None
    amount: int
    currency: str
    step: Step | None
    at: Millis

    @property
    def key(self) -> str:
        """Derived from the session and what is paid: whoever asks again asks for the same charge."""
        what = ("checkout",) if self.offer_id is None else ("upsell", self.offer_id)
        return f"tessera-{_hash((self.session_id, *what))}"


class Begun(NamedTuple):
    """A decision on a payment: the change, its event, and what is to be charged; no intent, no charge."""

    change: Change
    event: FlowEvent
    intent: Intent | None = None
    means: Means = Means()


@checked(frozen=True, slots=True, config=ConfigDict(strict=True))
class Charge:
    """What became of a charge. `reason` is the provider's code for a decline; `vault_id` charges again.

    A provider makes it of what others have sent: what is none is refused here, before it is in a session.
    """

    paid: bool
    transaction_id: Reference | None = None
    vault_id: Reference | None = None
    reason: Reference | None = None


def checkout_begun(
    record: Record, wanted: ProcessCheckout, *, flow: Flow | None, by_service: bool, data: Data, now: Millis
) -> Begun:
    """Decide a checkout: the session becomes processing, and what is to be charged is known.

    Raises:
        NothingToDo: the same was checked out before, or is at this moment; whatever came of it.
        OtherCheckout: something else was.
        IllegalTransition: a service has given the session another status.
        IllegalMove: the flow does not lead to a payment from here.
        DemandsUnmet: that move demands more, or there is nothing to charge.
        ServiceOnly, Invalid: about the customer or the vault.

    """
    session, print_ = record.session, _hash([wanted.products, wanted.amount, wanted.currency])
    if (before := record.payment.get("print")) is not None:
        if before == print_:
            raise NothingToDo(record)
        raise OtherCheckout(f"It is {session.status}; another checkout needs a session of its own")
    if session.status != Status.PENDING:
        raise IllegalTransition(f"{session.status} is not checked out", allowed=list(TRANSITIONS[session.status]))
    fields = _ordered(record, wanted, by_service=by_service)
    change = deltas(record.attributes(), fields) | _begun(record, flow, Status.PROCESSING, now)
    after = Record.of(applied(record.attributes(), change))
    if flow and flow.paying and (missing := absent(flow.demanded(flow.paying), after, data)):
        raise DemandsUnmet("A checkout demands more", missing=missing)
    means = Means(wanted.payment_token, None if wanted.payment_token else after.session.vault_id)
    if means == Means():
        raise DemandsUnmet("There is neither a payment token nor a vault", missing=["/vaultId"])
    intent = Intent(record.id, None, wanted.amount, wanted.currency, after.session.current_step, now)
    paying = Change({("payment",): {"print": print_, "open": None}})
    return Begun(change | paying, _event(Happened.CHECKOUT_BEGUN, record, after, intent, now), intent, means)


def _ordered(record: Record, wanted: ProcessCheckout, *, by_service: bool) -> dict[str, Any]:
    """Return what the checkout says of the session, as a merge patch."""
    if wanted.vault_id is not None and not by_service and wanted.vault_id != record.session.vault_id:
        raise ServiceOnly("A browser names the session's own vault", pointer="/vaultId")
    sent = wanted.model_dump(by_alias=True, exclude_unset=True, exclude={"session_id", "payment_token"})
    fields = {name: value for name, value in sent.items() if value is not None}
    if "customer" in fields:
        fields["customer"] = without_link(fields["customer"], record, by_service=by_service)
    return fields


def _begun(record: Record, flow: Flow | None, status: Status, now: Millis) -> Change:
    """Enter the step of the payment, where the flow has one; elsewhere a checkout moves nothing."""
    change = Change({("status",): status.value}, clauses=(Clause(("status",), "is", record.session.status),))
    if flow is not None and flow.paying is not None and flow.paying != record.session.current_step:
        flow.check_move(record.session.current_step, flow.paying, record.session.completed_steps)
        change |= moved(record, flow.paying, flow)
    return change | touched(record, now) | noted(record, PART)


def upsell_decided(record: Record, wanted: ProcessUpsell, *, flow: Flow | None, now: Millis) -> Begun:
    """Decide on an offer. A declined one is done with; an accepted one is to be charged: there is an intent.

    Raises:
        NothingToDo: the same was decided before, or is being charged.
        OfferDecided: the other way.
        PaymentInProgress: another charge of the session is under way.
        IllegalMove: the session is not where offers are made.
        Invalid: the session has no such offer, or it has no price.
        DemandsUnmet: there is no vault to charge.

    """
    session, offer_id, accepted = record.session, wanted.offer_id, wanted.decision == Decision.ACCEPTED
    _check_undecided(record, offer_id, accepted=accepted)
    if session.status != Status.COMPLETED or (flow and flow.paying and not flow.offers_at(session.current_step)):
        allowed = flow.allowed(session.current_step, session.completed_steps) if flow else []
        raise IllegalMove("Offers follow a completed checkout", allowed=allowed)
    if not accepted:
        change = _answered(record, "declined", offer_id) | _onward(record, flow, session.current_step)
        change |= touched(record, now) | noted(record, PART)
        after = Record.of(applied(record.attributes(), change))
        return Begun(change, _event(Happened.UPSELL_DECLINED, record, after, None, now, offer=offer_id))
    amount, currency = _price(record, offer_id)
    if session.vault_id is None:
        raise DemandsUnmet("There is no vault to charge", missing=["/vaultId"])
    intent = Intent(record.id, offer_id, amount, currency, session.current_step, now)
    change = Change({("payment",): {**record.payment, "open": offer_id}})
    change |= touched(record, now) | noted(record, PART)
    event = _event(Happened.UPSELL_BEGUN, record, record, intent, now)
    return Begun(change, event, intent, Means(vault=session.vault_id))


def _check_undecided(record: Record, offer_id: str, *, accepted: bool) -> None:
    upsells, refused = record.session.upsells, record.payment.get("refused", [])
    if offer_id in (*upsells.accepted, *upsells.declined):
        # A charge that was declined is the answer to "accepted", too.
        if accepted if offer_id in (*upsells.accepted, *refused) else not accepted:
            raise NothingToDo(record)
        decided = Decision.ACCEPTED if offer_id in upsells.accepted else Decision.DECLINED
        raise OfferDecided(decision=decided)
    if "open" in record.payment:
        if accepted and record.payment["open"] == offer_id:
            raise NothingToDo(record)
        raise PaymentInProgress


def _price(record: Record, offer_id: str) -> tuple[int, str]:
    """Return what an offer costs. What a browser says of it does not count: offers are set by services."""
    offers = record.session.upsells.offers
    offer = next((each for each in offers if each.get("offerId", each.get("id")) == offer_id), None)
    if offer is None:
        raise Invalid.at("/offerId", "the session has no such offer")
    try:
        currency = offer.get("currency", record.session.currency)
        return _PRICE.validate_python(offer.get("amount")), _CURRENCY.validate_python(currency)
    except ValidationError as error:
        raise Invalid.at("/offerId", "the offer has no amount in minor units, or no currency") from error


_PRICE: TypeAdapter[int] = TypeAdapter(Price)
_CURRENCY: TypeAdapter[str] = TypeAdapter(Currency)


def settled(
    record: Record, intent: Intent, charge: Charge, *, flow: Flow | None, now: Millis
) -> tuple[Change, FlowEvent]:
    """Decide what a charge that was paid or declined makes of its session.

    The process that asked and the reconciler both come with the same answer: the first one closes the charge, the
    second one finds it closed.

    Raises:
        NothingToDo: it was settled before.
        IllegalTransition: a service has given the session another status meanwhile.

    """
    if "open" not in record.payment or record.payment["open"] != intent.offer_id:
        raise NothingToDo(record)
    settle = _checkout_settled if intent.offer_id is None else _upsell_settled
    change, happened = settle(record, intent, charge)
    if charge.paid:
        change |= _onward(record, flow, intent.step)
    change |= touched(record, now) | noted(record, PART)
    after = Record.of(applied(record.attributes(), change))
    return change, _event(happened, record, after, intent, now, reason=charge.reason)


def _checkout_settled(record: Record, _intent: Intent, charge: Charge) -> tuple[Change, Happened]:
    status = Status.COMPLETED if charge.paid else Status.FAILED
    check_transition(record.session.status, status)
    named = {"transactionId": charge.transaction_id, "vaultId": charge.vault_id}
    assigned: dict[tuple[str, ...], Any] = {(name,): value for name, value in named.items() if value is not None}
    payment = {name: value for name, value in record.payment.items() if name != "open"}
    change = Change(
        {**assigned, ("status",): status.value, ("payment",): payment},
        clauses=(Clause(("status",), "is", record.session.status),),
    )
    return change, Happened.CHECKOUT_COMPLETED if charge.paid else Happened.CHECKOUT_FAILED


def _upsell_settled(record: Record, intent: Intent, charge: Charge) -> tuple[Change, Happened]:
    offer_id = str(intent.offer_id)
    payment = {name: value for name, value in record.payment.items() if name != "open"}
    if not charge.paid:
        payment["refused"] = [*payment.get("refused", []), offer_id]
        return _answered(record, "declined", offer_id) | Change({("payment",): payment}), Happened.UPSELL_FAILED
    payment["transactions"] = payment.get("transactions", {}) | {offer_id: charge.transaction_id}
    return _answered(record, "accepted", offer_id) | Change({("payment",): payment}), Happened.UPSELL_ACCEPTED


def _answered(record: Record, decision: str, offer_id: str) -> Change:
    return Change({("upsells", decision): [*getattr(record.session.upsells, decision), offer_id]})


def _onward(record: Record, flow: Flow | None, step: Step | None) -> Change:
    """Go on to the next step of a funnel, unless a service has moved the session meanwhile."""
    if flow is None or flow.paying is None or step is None or record.session.current_step != step:
        return Change()
    return moved(record, flow.after(step), flow) if flow.has(step) else Change()


def _event(
    name: Happened, before: Record, after: Record, intent: Intent | None, now: Millis, **details: str | None
) -> FlowEvent:
    money = {"amount": intent.amount, "currency": intent.currency, "offer": intent.offer_id} if intent else {}
    told = {key: value for key, value in {**money, **details}.items() if value is not None}
    return FlowEvent(name, before.session.current_step, after.session.current_step, now, told)


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
