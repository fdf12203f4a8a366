"""Moves through a declared flow: which there are, what each demands, and the event that each leaves."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from tessera.errors import DemandsUnmet, IllegalMove, NothingToDo, ServiceOnly
from tessera.model.bodies import Body, StepValue
from tessera.model.changes import Change, Clause
from tessera.model.clock import Millis, rfc3339
from tessera.model.kinds import BucketName, Flow, Step
from tessera.model.life import noted, touched
from tessera.model.record import DATA, Record

PART = "steps"
"""The part of a session (`Record.parts`) that the events of its flow are."""

type Data = Callable[[Collection[str]], Mapping[str, Any]]
"""The buckets of the session that have one of these names, by name; read when they are needed."""


class Advance(Body):
    """The body of POST /sessions/{id}/advance."""

    to: StepValue


class FinishFlow(Body):
    """The body of POST /sessions/{id}/finish."""

    buckets: Annotated[list[BucketName], Field(min_length=1, max_length=20)] | None = Field(
        default=None, description="The draft: what becomes the result and is cleared. Default: as the flow has it."
    )


class Happened(StrEnum):
    """What an event of a flow tells."""

    MOVED = "moved"
    FINISHED = "finished"
    CHECKOUT_BEGUN = "checkout_begun"
    CHECKOUT_COMPLETED = "checkout_completed"
    CHECKOUT_FAILED = "checkout_failed"
    UPSELL_BEGUN = "upsell_begun"
    UPSELL_ACCEPTED = "upsell_accepted"
    UPSELL_DECLINED = "upsell_declined"
    UPSELL_FAILED = "upsell_failed"


@dataclass(frozen=True, slots=True)
class FlowEvent:
    """An event of a flow: what happened, from which step to which, when; `details` hold nothing personal."""

    name: Happened
    origin: Step | None
    to: Step | None
    at: Millis
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])


def advanced(
    record: Record, to: Step, *, flow: Flow | None, by_service: bool, data: Data, now: Millis
) -> tuple[Change, FlowEvent]:
    """Decide a move.

    Raises:
        NothingToDo: the session is at that step already; a second tap, say.
        IllegalMove: with `allowed`.
        ServiceOnly: a browser moves a guarded flow.
        DemandsUnmet: with `missing`.

    """
    session = record.session
    if flow is None or record.finished_at is not None:
        ended = "The flow is finished" if flow else f"Sessions of the kind {session.kind} have no steps"
        raise IllegalMove(ended, allowed=[])
    if flow.has(to) and to == session.current_step:
        raise NothingToDo(record)
    if not flow.has(to):
        to_where = flow.allowed(session.current_step, session.completed_steps)
        raise IllegalMove(f"{to} is no step of this flow", allowed=to_where)
    flow.check_move(session.current_step, to, session.completed_steps)
    if flow.guarded and not by_service:
        raise ServiceOnly("This flow is moved by its own operations and by services", pointer="/to")
    if missing := absent(flow.demanded(to), record, data):
        raise DemandsUnmet(f"A move to {to} demands more", missing=missing)
    change = moved(record, to, flow) | touched(record, now) | noted(record, PART)
    return change, FlowEvent(Happened.MOVED, session.current_step, to, now)


def moved(record: Record, to: Step, flow: Flow) -> Change:
    """Move to a step of the flow; what one leaves by going forward is completed.

    Two go forward at once: both saw the same step, and the second one to write finds another.
    """
    origin, completed = record.session.current_step, record.session.completed_steps
    seen = Clause(("currentStep",), "absent") if origin is None else Clause(("currentStep",), "is", origin)
    change = Change({("currentStep",): to}, clauses=(seen,))
    if origin is None or not flow.has(origin) or flow.steps.index(to) < flow.steps.index(origin):
        return change
    return change | Change({("completedSteps",): [*completed, *_new(origin, completed)]})


def _new(step: Step, completed: list[Step]) -> list[Step]:
    return [] if step in completed else [step]


def draft_of(flow: Flow | None, buckets: list[str] | None) -> list[str]:
    """Return which buckets become the result of a flow, each once; the result itself never does.

    Who names nothing else names none: an empty result would be the end of a draft that is full.
    """
    if flow is None or flow.finish is None:
        return []
    named = [name for name in dict.fromkeys(buckets or ()) if name != flow.finish.result]
    return named or list(flow.finish.buckets)


def finished(
    record: Record,
    draft: Mapping[str, Mapping[str, Any] | None],
    *,
    flow: Flow | None,
    by_service: bool,
    data: Data,
    now: Millis,
) -> tuple[Change, FlowEvent, dict[str, Any]]:
    """Decide the end of a flow; return the change, its event, and the result, which holds the draft.

    All steps must be completed; the last one is, if the session stands at it. `draft` has each bucket of the draft
    as it was read, None for one that is not there.

    Raises:
        NothingToDo: it was finished before; a second tap, say.
        IllegalMove, ServiceOnly: this flow does not end so.
        DemandsUnmet: with `steps` or `missing`.

    """
    session = record.session
    if flow is None or flow.finish is None:
        raise IllegalMove(f"Sessions of the kind {session.kind} have no flow that can be finished", allowed=[])
    if record.finished_at is not None:
        raise NothingToDo(record)
    if flow.guarded and not by_service:
        raise ServiceOnly("This flow is finished by services")
    done = [*session.completed_steps, *([session.current_step] if session.current_step == flow.steps[-1] else [])]
    if open_steps := [step for step in flow.steps if step not in done]:
        raise DemandsUnmet("Not all steps are completed", steps=open_steps)
    missing = [f"/data/{name}" for name, held in draft.items() if not held]
    if missing := missing + absent(list(flow.finish.present), record, data):
        raise DemandsUnmet("The end of this flow demands more", missing=missing)
    ended = Change(
        {("completedSteps",): list(flow.steps), ("finishedAt",): now},
        clauses=(Clause(("finishedAt",), "absent"),),
    )
    result = {"finishedAt": rfc3339(now), "completedSteps": list(flow.steps), "data": dict(draft)}
    event = FlowEvent(Happened.FINISHED, session.current_step, session.current_step, now)
    return ended | touched(record, now) | noted(record, PART, DATA), event, result


def absent(pointers: list[str], record: Record, data: Data) -> list[str]:
    """Return those of the pointers that lead to nothing, to null or to something empty."""
    if not pointers:
        return []
    shown = record.session.model_dump(by_alias=True, mode="json")
    if names := {pointer.split("/")[2] for pointer in pointers if pointer.startswith("/data/")}:
        shown["data"] = data(names)
    return [pointer for pointer in pointers if _at(shown, pointer) in (None, "", [], {})]


def _at(value: Any, pointer: str) -> Any:
    for name in pointer.split("/")[1:]:
        name = name.replace("~1", "/").replace("~0", "~")  # noqa: PLW2901 - RFC 6901, section 4
        if isinstance(value, list) and name.isdecimal() and int(name) < len(value):  # pyright: ignore[reportUnknownArgumentType]
            value = value[int(name)]  # pyright: ignore[reportUnknownVariableType]
        else:
            value = value.get(name) if isinstance(value, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return value  # pyright: ignore[reportUnknownVariableType]
