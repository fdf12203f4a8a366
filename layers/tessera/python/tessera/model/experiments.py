"""Experiments: which variation a session or a customer sees. Assigned by GrowthBook's published hash, version 2.

docs.growthbook.io/lib/build-your-own: a value is hashed to a bucket from 0 to 0.9999; each variation has a range
of buckets, as long as its weight times the coverage. So the same value sees the same variation everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import isclose
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from tessera.errors import ExperimentNotFound, Misconfigured
from tessera.model.changes import Change
from tessera.model.clock import Millis
from tessera.model.life import noted, touched
from tessera.model.record import Record
from tessera.model.session import Model

PART = "experiments"
"""The part of a session (`Record.parts`) that its exposures are."""

_OFFSET, _PRIME, _BITS = 0x811C9DC5, 0x01000193, 0xFFFFFFFF
_BUCKETS = 10_000

Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]


class Namespace(BaseModel):
    """A part of the users whom experiments of the same namespace share out among each other: `from` up to `to`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Name
    from_: Share = Field(alias="from")
    to: Share


class Experiment(BaseModel):
    """An experiment as it is declared. `seed` is its key unless given; `weights` are equal; all take part."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    variations: tuple[Name, ...] = Field(min_length=2, max_length=20)
    weights: tuple[Share, ...] | None = None
    coverage: Share = 1
    namespace: Namespace | None = None
    unit: Literal["session", "customer"] = "session"
    seed: Name | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len(set(self.variations)) < len(self.variations):
            raise ValueError("two variations have the same name")
        if self.weights and len(self.weights) != len(self.variations):
            raise ValueError("each variation needs a weight")
        if self.weights and not isclose(sum(self.weights), 1, abs_tol=0.01):
            raise ValueError("the weights do not add up to 1")
        return self


class Assignment(Model):
    """What a session sees of an experiment; `variation` is null when it takes no part in it."""

    experiment: str
    variation: str | None


def experiments(declared: Mapping[str, Mapping[str, Any]]) -> dict[str, Experiment]:
    """Return the experiments of a company by their keys: `{"button": {"variations": ["blue", "green"]}}`."""
    try:
        return {key: Experiment.model_validate(experiment) for key, experiment in declared.items()}
    except ValidationError as error:
        raise Misconfigured(f"EXPERIMENTS: {error}") from error


@dataclass(frozen=True, slots=True)
class Exposure:
    """That a unit sees a variation, since then."""

    experiment: str
    variation: str
    unit: str
    at: Millis


def assigned(record: Record, key: str, declared: Mapping[str, Experiment], now: Millis) -> Exposure | None:
    """Decide which variation a session sees; None when it takes no part: left out, or of no customer.

    Raises:
        ExperimentNotFound: nobody has declared it.

    """
    experiment = declared_as(key, declared)
    value = record.id if experiment.unit == "session" else record.session.customer_id
    if value is None:
        return None
    chosen = variation(key, experiment, value)
    return None if chosen is None else Exposure(key, chosen, experiment.unit, now)


def declared_as(key: str, declared: Mapping[str, Experiment]) -> Experiment:
    """Return the experiment of that key, or raise ExperimentNotFound."""
    if key not in declared:
        raise ExperimentNotFound
    return declared[key]


def exposed(record: Record, now: Millis) -> Change:
    """Decide what an exposure does to the session itself."""
    return touched(record, now) | noted(record, PART)


def variation(key: str, experiment: Experiment, value: str) -> str | None:
    """Return the variation of a value, None for one that is left out."""
    space = experiment.namespace
    if space and not space.from_ <= bucket_1(f"__{space.id}", value) < space.to:
        return None
    at = bucket(experiment.seed or key, value)
    ranges = bucket_ranges(len(experiment.variations), experiment.coverage, experiment.weights)
    found = (name for name, (low, high) in zip(experiment.variations, ranges, strict=True) if low <= at < high)
    return next(found, None)


def bucket(seed: str, value: str) -> float:
    """Return where a value lies among 10,000 buckets: GrowthBook's hash, version 2."""
    return _fnv1a(str(_fnv1a(seed + value))) % _BUCKETS / _BUCKETS


def bucket_1(seed: str, value: str) -> float:
    """Return where a value lies among 1,000 buckets: version 1, which namespaces still have."""
    return _fnv1a(value + seed) % 1_000 / 1_000


def bucket_ranges(count: int, coverage: float, weights: tuple[float, ...] | None) -> list[tuple[float, float]]:
    """Return the range of buckets of each variation, its end excluded; what is between them sees none."""
    weights = weights or (1 / count,) * count
    starts = accumulate(weights, initial=0.0)
    return [(start, start + coverage * weight) for start, weight in zip(starts, weights, strict=False)]


def _fnv1a(text: str) -> int:
    """FNV-1a with 32 bits over UTF-16 code units, as JavaScript counts letters: of ASCII they are its bytes."""
    code = text.encode("utf-16-le", errors="surrogatepass")
    value = _OFFSET
    for place in range(0, len(code), 2):
        value = (value ^ int.from_bytes(code[place : place + 2], "little")) * _PRIME & _BITS
    return value
