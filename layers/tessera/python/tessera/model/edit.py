"""What a merge patch of a session may change, and what it becomes as a delta."""

from typing import Any

from tessera.errors import DemandsUnmet, IllegalMove, Invalid, OtherCheckout, PaymentInProgress, ServiceOnly
from tessera.model.bodies import SessionPatch
from tessera.model.changes import Change, Clause, applied
from tessera.model.clock import Millis
from tessera.model.flows import Data, absent
from tessera.model.kinds import Flow
from tessera.model.life import check_steps, touched
from tessera.model.merge import deltas
from tessera.model.record import Record
from tessera.model.status import Status, check_transition


def edited(
    record: Record,
    patch: SessionPatch,
    *,
    flow: Flow | None,
    by_service: bool,
    data: Data,
    now: Millis,
) -> Change:
    """Decide a PATCH.

    Raises:
        ServiceOnly: a browser sets what only services may.
        Invalid: a step that the flow does not have, a customer link (see login), a status of null.
        IllegalMove, IllegalTransition: with `allowed`.
        DemandsUnmet: with `missing`; what the same patch brings is there.
        PaymentInProgress: it would change what is being paid.
        OtherCheckout: a browser would change what was checked out.

    """
    fields: dict[str, Any] = patch.as_patch()
    _check_rights(fields, flow, by_service=by_service)
    if fields.get("customer"):
        fields |= {"customer": without_link(fields["customer"], record, by_service=by_service)}
    current = record.attributes()
    change = (
        deltas(current, _emptied(_within_link(fields, current)))
        | _ordered(record, fields, current, by_service=by_service)
        | _moved(record, fields, flow)
        | _transition(record, fields)
        | touched(record, now)
    )
    return change | _demanded(record, fields.get("currentStep"), change, flow, data)


def _demanded(record: Record, to: Any, change: Change, flow: Flow | None, data: Data) -> Change:
    """A move demands the same by whichever way it comes; it is decided on what was there, and on nothing later."""
    pointers = flow.demanded(to) if flow and to != record.session.current_step else []
    if not pointers:
        return Change()
    if missing := absent(pointers, Record.of(applied(record.attributes(), change)), data):
        raise DemandsUnmet(f"A move to {to} demands more", missing=missing)
    return Change(clauses=(Clause(("version",), "is", record.session.version),))


def _check_rights(fields: dict[str, Any], flow: Flow | None, *, by_service: bool) -> None:
    guarded = ("currentStep", "completedSteps") if flow and flow.guarded else ()
    if not by_service:
        for name in (*SessionPatch.SERVICE_ONLY, *guarded):
            if name in fields:
                raise ServiceOnly(pointer=f"/{name}")


def without_link(said: dict[str, Any], record: Record, *, by_service: bool) -> dict[str, Any]:
    """Return what is said of a customer but the link, which login alone sets.

    Who has read a session and sends its customer back says null where there is no link: that is no news.

    Raises:
        ServiceOnly: a browser names a customer, or nobody in the place of one.
        Invalid: a service does, and not the one whose session it is.

    """
    if "customerId" in said:
        named, linked = said["customerId"], record.session.customer_id
        if not by_service and (named is not None or linked is not None):
            raise ServiceOnly("customerId is set by services only", pointer="/customer/customerId")
        if named != linked:
            raise Invalid.at("/customer/customerId", "is set by POST /sessions/{id}/login")
    return {name: value for name, value in said.items() if name != "customerId"}


def _ordered(record: Record, fields: dict[str, Any], current: dict[str, Any], *, by_service: bool) -> Change:
    """What is checked out stays: a shopper who could change its currency could name the price of each offer.

    A patch that was decided before a checkout began, and comes after it, is decided anew.
    """
    ordered = {"products", "amount", "currency"} & fields.keys()
    if not ordered:
        return Change()
    if "open" in record.payment:
        raise PaymentInProgress
    if record.payment and not by_service and any(fields[name] != current.get(name) for name in ordered):
        raise OtherCheckout(f"It is {record.session.status}, and what was ordered stays")
    if record.payment:
        return Change(clauses=(Clause(("payment",), "is", dict(record.payment)),))
    return Change(clauses=(Clause(("payment",), "absent"),))


def _within_link(fields: dict[str, Any], current: dict[str, Any]) -> dict[str, Any]:
    """Removing the customer removes what is known of them, not the link: login alone sets that."""
    if "customer" not in fields or fields["customer"] is not None or "customerId" not in current:
        return fields
    return fields | {"customer": {name: None for name in current["customer"] if name != "customerId"}}


def _emptied(fields: dict[str, Any]) -> dict[str, Any]:
    """The lists that a session always shows are emptied, not removed: what is shown must be what is stored."""
    emptied = dict(fields)
    if fields.get("completedSteps", ()) is None:
        emptied["completedSteps"] = []
    upsells = fields.get("upsells", {})
    if upsells is None or upsells.get("offers", ()) is None:
        emptied["upsells"] = {"offers": []}
    return emptied


def _moved(record: Record, fields: dict[str, Any], flow: Flow | None) -> Change:
    """A step may move only from where this decision saw it."""
    if flow is None or not {"currentStep", "completedSteps"} & fields.keys():
        return Change()
    if record.finished_at is not None:
        raise IllegalMove("The flow is finished", allowed=[])
    session = record.session
    step, completed = fields.get("currentStep", session.current_step), fields.get("completedSteps")
    check_steps(flow, step, completed or [])
    if step is None:
        raise Invalid.at("/currentStep", "the flow has no place without a step")
    flow.check_move(session.current_step, step, completed or session.completed_steps)
    if session.current_step is None:
        return Change(clauses=(Clause(("currentStep",), "absent"),))
    return Change(clauses=(Clause(("currentStep",), "is", session.current_step),))


def _transition(record: Record, fields: dict[str, Any]) -> Change:
    """A status may change only from the one that this decision saw."""
    if "status" not in fields:
        return Change()
    if fields["status"] is None:
        raise Invalid.at("/status", "cannot be removed")
    check_transition(record.session.status, Status(fields["status"]))
    return Change(clauses=(Clause(("status",), "is", record.session.status),))
