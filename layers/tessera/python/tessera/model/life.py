"""The life of a session: birth, sliding, extension, end. Idle timeout slides, absolute timeout does not."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tessera.errors import Invalid, ServiceOnly
from tessera.model.changes import Change, Clause
from tessera.model.clock import SECOND, Millis
from tessera.model.kinds import Flow, Kind
from tessera.model.merge import merge_patch
from tessera.model.record import DATA, Record, Refresh, ttl
from tessera.model.session import Session, Validity
from tessera.model.status import Status

if TYPE_CHECKING:
    from tessera.model.bodies import CreateSession  # few functions need them, and models cost a cold start


def born(
    session_id: str,
    wanted: "CreateSession",
    *,
    kinds: Mapping[str, Kind],
    by_service: bool,
    refresh: Refresh,
    now: Millis,
) -> Record:
    """Decide a new session.

    Args:
        by_service: a service may name the customer and begin a guarded flow anywhere.

    Raises:
        Invalid: an unknown kind, a step that the flow does not have, an idle timeout over the absolute one.
        ServiceOnly: a browser names a customer, or begins a guarded flow elsewhere.

    """
    kind = kinds.get(wanted.kind)
    if kind is None:
        raise Invalid.at("/kind", f"must be one of {', '.join(kinds)}")
    if wanted.customer and wanted.customer.customer_id and not by_service:
        raise ServiceOnly("customerId is set by services only", pointer="/customer/customerId")
    idle = wanted.ttl_seconds or kind.idle_seconds
    if idle > kind.absolute_seconds:
        raise Invalid.at("/ttlSeconds", f"at most {kind.absolute_seconds}, the absolute timeout")
    given = wanted.model_dump(by_alias=True, exclude_none=True, exclude={"kind", "data", "ttl_seconds"})
    absolute = now + kind.absolute_seconds * SECOND
    session = Session.model_validate(
        merge_patch(None, given)
        | _first_step(kind.flow, wanted, by_service=by_service)
        | {
            "id": session_id,
            "kind": wanted.kind,
            "createdAt": now,
            "updatedAt": now,
            "lastActivityAt": now,
            "expiresAt": min(now + idle * SECOND, absolute),
            "absoluteExpiresAt": absolute,
        }
    )
    return Record(
        session=session,
        idle_seconds=idle,
        retention_seconds=kind.hot_retention_seconds,
        epoch=now,  # by the clock, so that a session made again under its old id owes nothing to old tokens
        refresh=refresh,
        parts=(DATA,) if wanted.data else (),
    )


def _first_step(flow: Flow | None, wanted: "CreateSession", *, by_service: bool) -> dict[str, Any]:
    if flow is None:
        return {}
    step = flow.steps[0] if wanted.current_step is None else wanted.current_step
    check_steps(flow, step, wanted.completed_steps or [])
    if flow.guarded and not by_service and (step != flow.steps[0] or wanted.completed_steps):
        raise ServiceOnly(f"A browser begins with {flow.steps[0]}", pointer="/currentStep")
    return {"currentStep": step}


def check_steps(flow: Flow, current: Any, completed: list[Any]) -> None:
    """Raise Invalid unless all of them are steps of the flow."""
    names = ", ".join(map(str, flow.steps))
    if current is not None and not flow.has(current):
        raise Invalid.at("/currentStep", f"must be one of {names}")
    if not all(map(flow.has, completed)):
        raise Invalid.at("/completedSteps", f"must be among {names}")


def touched(record: Record, now: Millis) -> Change:
    """What every write does: it needs a live session, counts as activity and slides the idle timeout.

    A slide never shortens. Should another writer have moved the expiry further meanwhile, the clause fails
    and the next try finds nothing left to slide.
    """
    live = Change(
        {("updatedAt",): now, ("lastActivityAt",): now},
        clauses=(Clause(("status",), "is not", Status.EXPIRED), Clause(("expiresAt",), "after", now)),
    )
    slid = min(now + record.idle_seconds * SECOND, record.session.absolute_expires_at)
    if slid <= record.session.expires_at:
        return live
    return live | _expiring(record, slid) | Change(clauses=(Clause(("expiresAt",), "at most", slid),))


def noted(record: Record, *parts: str) -> Change:
    """Note that there are such parts beside the core, for the clean-up; nothing when they are known."""
    known = list(record.parts)
    new = [part for part in parts if part not in known]
    # Two that each add their own part must not forget the other's.
    return Change({("parts",): [*known, *new]}, clauses=(Clause(("parts",), "is", known),)) if new else Change()


def extended(record: Record, seconds: int | None, now: Millis) -> Change:
    """Set the expiry to now + seconds (default: the idle timeout), longer or shorter, within the absolute one."""
    wanted = now + (seconds or record.idle_seconds) * SECOND
    change = touched(record, now)
    unslid = Change(change.assign, clauses=tuple(c for c in change.clauses if c.operator != "at most"))
    told = Change(add={("extensions",): 1})  # by this devices know it from a touch, which may end at the same time
    return unslid | _expiring(record, min(wanted, record.session.absolute_expires_at)) | told


def _expiring(record: Record, at: Millis) -> Change:
    return Change({("expiresAt",): at, ("ttl",): ttl(at, record.retention_seconds)})


def validity(record: Record, now: Millis) -> Validity:
    """Whether it is good, and why not."""
    session = record.session
    valid = session.live(now)
    return Validity(
        valid=valid,
        status=session.status if valid else Status.EXPIRED,
        reason=None if valid else _reason(session, now),
        expires_at=session.expires_at,
        idle_seconds_left=max(0, session.expires_at - now) // SECOND if valid else 0,
    )


def _reason(session: Session, now: Millis) -> str:
    if now >= session.absolute_expires_at:
        return "absolute-timeout"
    return "idle-timeout" if now >= session.expires_at else "ended"


def buried(record: Record, now: Millis) -> dict[str, Any]:
    """What stays of an expired session: a tombstone without anything personal, until its TTL."""
    stone = Session(
        id=record.id,
        kind=record.session.kind,
        status=Status.EXPIRED,
        version=record.session.version + 1,
        created_at=record.session.created_at,
        updated_at=now,
        last_activity_at=record.session.last_activity_at,
        expires_at=record.session.expires_at,
        absolute_expires_at=record.session.absolute_expires_at,
    )
    # It remembers its parts: the clean-up may crash before it has deleted them.
    bare = replace(
        record, session=stone, refresh=None, claims={}, last_seq=0, spare_ids={}, data_mark=0, buried=True
    )
    return bare.attributes()
