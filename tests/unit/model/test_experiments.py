"""Assignment by GrowthBook's hash, on its published test vectors; and which declarations are refused."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import ExperimentNotFound, Misconfigured
from tessera.model.experiments import (
    Experiment,
    assigned,
    bucket,
    bucket_1,
    bucket_ranges,
    experiments,
    variation,
)
from tests.support.fakes import START
from tests.support.records import of_customer, session

VECTORS = json.loads((Path(__file__).parent / "growthbook.json").read_text())
BUTTON = {"variations": ["blue", "green"]}


@pytest.mark.parametrize(("seed", "value", "version", "found"), VECTORS["hash"])
def test_the_hash_is_growthbooks(seed: str, value: str, version: int, found: float) -> None:
    assert {1: bucket_1, 2: bucket}[version](seed, value) == found


@pytest.mark.parametrize(("name", "given_", "ranges"), VECTORS["getBucketRange"])
def test_the_ranges_are_growthbooks(name: str, given_: Any, ranges: list[list[float]]) -> None:
    found = bucket_ranges(*given_)
    assert [pytest.approx(list(pair)) for pair in found] == ranges, name


def test_letters_count_as_javascript_counts_them() -> None:
    """In UTF-16 code units: what lies beyond the first 65,536 letters is two of them."""
    assert bucket("seed", "\U0001f600") == bucket("seed", "\ud83d\ude00")
    assert bucket("seed", "é") != bucket("seed", "e")


@given(st.text(max_size=40), st.text(max_size=40))
def test_every_value_has_its_bucket(seed: str, value: str) -> None:
    assert 0 <= bucket(seed, value) <= 0.9999
    assert bucket(seed, value) == bucket(seed, value)


def test_variations_are_as_frequent_as_they_weigh() -> None:
    experiment = Experiment(variations=("a", "b", "c"), weights=(0.2, 0.3, 0.5), coverage=0.5)
    seen = Counter(variation("test", experiment, f"user-{n}") for n in range(10_000))
    assert 800 < seen["a"] < 1_200 < seen["b"] < 1_800 < seen["c"] < 2_800
    assert 4_500 < seen[None] < 5_500


def test_more_coverage_moves_nobody() -> None:
    narrow, wide = (Experiment(variations=("a", "b"), coverage=share) for share in (0.3, 0.9))
    for n in range(1_000):
        before = variation("test", narrow, f"user-{n}")
        assert before is None or before == variation("test", wide, f"user-{n}")


def test_of_one_namespace_nobody_is_in_two_parts() -> None:
    parts = [{"id": "checkout", "from": 0, "to": 0.5}, {"id": "checkout", "from": 0.5, "to": 1}]
    first, second = (experiments({"x": BUTTON | {"namespace": part}})["x"] for part in parts)
    for n in range(1_000):
        assert (variation("x", first, f"user-{n}") is None) != (variation("x", second, f"user-{n}") is None)


def test_a_seed_keeps_an_assignment_when_the_key_changes() -> None:
    declared = experiments({"new": BUTTON | {"seed": "old"}, "old": BUTTON})
    values = [f"user-{n}" for n in range(100)]
    assert [variation("new", declared["new"], v) for v in values] == [
        variation("old", declared["old"], v) for v in values
    ]


def test_it_is_of_the_session_or_of_its_customer() -> None:
    declared = experiments({"s": BUTTON, "c": BUTTON | {"unit": "customer"}})
    one, other = of_customer("c-1"), of_customer("c-1")
    found = assigned(one, "c", declared, START)
    assert found is not None
    assert found == assigned(other, "c", declared, START)
    assert (found.unit, found.at) == ("customer", START)
    assert assigned(session(), "c", declared, START) is None
    assert assigned(session(), "s", declared, START) is not None


def test_what_nobody_declared_is_unknown() -> None:
    with pytest.raises(ExperimentNotFound):
        assigned(session(), "x", {}, START)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"variations": ["one"]},
        {"variations": ["same", "same"]},
        {"variations": ["a", "b"], "weights": [1]},
        {"variations": ["a", "b"], "weights": [0.7, 0.7]},
        {"variations": ["a", "b"], "coverage": 1.5},
        {"variations": ["a", "b"], "unit": "browser"},
        {"variations": ["a", "b b"]},
        {"variations": ["a", "b"], "colour": "red"},
    ],
)
def test_a_wrong_declaration_stops_the_function(wrong: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match="EXPERIMENTS"):
        experiments({"x": wrong})
