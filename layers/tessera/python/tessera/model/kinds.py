"""Kinds of sessions: each carries its policy (times) and its flow (steps)."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from tessera.errors import IllegalMove, Misconfigured
from tessera.model.clock import DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS

type Step = str | int


class _Configured(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


Pointer = Annotated[str, Field(pattern=r"^(/([^/~]|~[01])+)+$", max_length=1_000)]
"""A JSON pointer (RFC 6901) into a session as GET …?include=data shows it, e.g. /email or /data/draft/name."""

BucketName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Move(_Configured):
    """A move that a flow has."""

    origin: Step = Field(alias="from")
    to: Step


class Demand(_Configured):
    """What must be there, and neither null nor empty, before a move to a step is made."""

    to: Step
    present: tuple[Pointer, ...] = Field(min_length=1)


class Finish(_Configured):
    """How a flow is finished: what must be there, which buckets become the result, and which one that is."""

    present: tuple[Pointer, ...] = ()
    buckets: tuple[BucketName, ...] = ("draft",)
    result: BucketName = "result"

    @model_validator(mode="after")
    def _result_beside_the_draft(self) -> Self:
        if self.result in self.buckets:
            raise ValueError(f"{self.result} cannot be both draft and result")
        return self


class Flow(_Configured):
    """The steps in order. A guarded flow is moved by its operations and by services, never by a browser.

    `moves` are the moves that it has; none given, one goes one step forward, or back to any completed step.
    `demands` say what moves to a step demand. `paying` is the step of a payment under way: a checkout leads to it,
    and the steps between it and the last one make offers. A flow with `finish` can be finished.
    """

    steps: tuple[Step, ...] = Field(min_length=1)
    guarded: bool = False
    moves: tuple[Move, ...] = ()
    demands: tuple[Demand, ...] = ()
    paying: Step | None = None
    finish: Finish | None = None

    @model_validator(mode="after")
    def _names_its_own_steps(self) -> Self:
        moves = (step for move in self.moves for step in (move.origin, move.to))
        named = [*moves, *(demand.to for demand in self.demands)]
        named += [] if self.paying is None else [self.paying]
        if foreign := [step for step in named if not self.has(step)]:
            raise ValueError(f"{foreign[0]} is no step of the flow")
        if len(set(self.steps)) < len(self.steps):
            raise ValueError("a step comes twice: nobody could tell where a session stands")
        if self.paying == self.steps[-1]:
            raise ValueError("a payment leads to a further step")
        return self

    def has(self, step: Step) -> bool:
        """Whether the step belongs to the flow (1 is a step of a form, True and 1.0 are not)."""
        return any(type(step) is type(own) and step == own for own in self.steps)

    def after(self, step: Step) -> Step:
        """Return the step that follows; the last one follows itself."""
        return self.steps[min(self.steps.index(step) + 1, len(self.steps) - 1)]

    def offers_at(self, step: Step | None) -> bool:
        """Whether offers are made at the step: it lies between the payment and the end."""
        if step is None or self.paying is None or not self.has(step):
            return False
        return self.steps.index(self.paying) < self.steps.index(step) < len(self.steps) - 1

    def demanded(self, to: Step) -> list[str]:
        """Return what a move to the step demands, as pointers."""
        return [pointer for demand in self.demands if demand.to == to for pointer in demand.present]

    def allowed(self, current: Step | None, completed: Sequence[Step]) -> list[Step]:
        """Where one may go: one step forward, or back to any completed one; or as `moves` has it."""
        if current is None or not self.has(current):
            return [self.steps[0]]
        if self.moves:
            return [move.to for move in self.moves if move.origin == current]
        at = self.steps.index(current)
        back = [] if self.guarded else [step for step in self.steps[:at] if step in completed]
        return [*back, *self.steps[at + 1 : at + 2]]

    def check_move(self, current: Step | None, wanted: Step, completed: Sequence[Step]) -> None:
        """Raise IllegalMove unless the flow has the move or nothing moves."""
        allowed = self.allowed(current, completed)
        if wanted != current and wanted not in allowed:
            raise IllegalMove(f"From {current} one cannot go to {wanted}", allowed=allowed)


class Kind(_Configured):
    """A kind's policy, all times in seconds, and its flow, if it has steps.

    `cache_seconds`: how old a read may be that L1 answers; 0 keeps the kind out of L1.
    `hot_retention_seconds`: how long an expired session stays as a tombstone that says so.
    `hot_message_seconds`: how long a message stays in the table; the archive answers for it afterwards.
    `archive_retention_seconds`: how long a conversation stays in the archive after its end.
    """

    idle_seconds: int = Field(ge=1)
    absolute_seconds: int = Field(ge=1)
    hot_retention_seconds: int = Field(default=DAY_SECONDS, ge=0)
    hot_message_seconds: int = Field(default=30 * DAY_SECONDS, ge=HOUR_SECONDS, le=30 * DAY_SECONDS)
    archive_retention_seconds: int = Field(default=30 * DAY_SECONDS, ge=0)
    cache_seconds: int = Field(default=0, ge=0, le=2)
    flow: Flow | None = None

    @model_validator(mode="after")
    def _idle_within_absolute(self) -> Self:
        if self.idle_seconds > self.absolute_seconds:
            raise ValueError("the idle timeout is longer than the absolute one")
        return self


_FUNNEL = Flow(
    steps=("checkout", "processing", "upsell-1", "upsell-2", "success"), guarded=True, paying="processing"
)

DEFAULTS: Mapping[str, Kind] = {
    "auth": Kind(idle_seconds=30 * MINUTE_SECONDS, absolute_seconds=12 * HOUR_SECONDS),
    "checkout": Kind(
        idle_seconds=24 * HOUR_SECONDS,
        absolute_seconds=7 * DAY_SECONDS,
        hot_retention_seconds=7 * DAY_SECONDS,
        flow=_FUNNEL,
    ),
    "form": Kind(
        idle_seconds=24 * HOUR_SECONDS,
        absolute_seconds=30 * DAY_SECONDS,
        flow=Flow(steps=(1, 2, 3, 4), finish=Finish()),
    ),
    "chat": Kind(
        idle_seconds=30 * DAY_SECONDS,
        absolute_seconds=365 * DAY_SECONDS,
        archive_retention_seconds=365 * DAY_SECONDS,
    ),
    "configurator": Kind(
        idle_seconds=7 * DAY_SECONDS,
        absolute_seconds=90 * DAY_SECONDS,
    ),
}

DEFAULT_KIND = "auth"


def kinds(overrides: Mapping[str, Mapping[str, Any]]) -> dict[str, Kind]:
    """The defaults with a company's own: `{"chat": {"cacheSeconds": 2}, "tour": {"idleSeconds": …, …}}`."""
    table = dict(DEFAULTS)
    for name, changes in overrides.items():
        base = table[name].model_dump(by_alias=True) if name in table else {}
        try:
            table[name] = Kind.model_validate(base | dict(changes))
        except ValidationError as error:
            raise Misconfigured(f"KINDS: {name}: {error}") from error
    return table
