"""Kinds of sessions: each carries its policy (times) and its flow (steps)."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from tessera.errors import IllegalMove, Misconfigured
from tessera.model.clock import DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS

type Step = str | int


class _Configured(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Flow(_Configured):
    """The steps in order. A guarded flow is moved by its operations and by services, never by a browser."""

    steps: tuple[Step, ...] = Field(min_length=1)
    guarded: bool = False

    def has(self, step: Step) -> bool:
        """Whether the step belongs to the flow (1 is a step of a form, True and 1.0 are not)."""
        return any(type(step) is type(own) and step == own for own in self.steps)

    def allowed(self, current: Step | None, completed: Sequence[Step]) -> list[Step]:
        """Where one may go: one step forward, or back to any completed one."""
        if current is None or not self.has(current):
            return [self.steps[0]]
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


_FUNNEL = Flow(steps=("checkout", "processing", "upsell-1", "upsell-2", "success"), guarded=True)

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
        flow=Flow(steps=(1, 2, 3, 4)),
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
