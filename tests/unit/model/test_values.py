"""What may be stored: JSON within DynamoDB's numbers, nesting and Unicode."""

from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from tessera.model.bodies import CreateSession, SessionPatch
from tessera.model.values import MAX_DEPTH, MAX_KEY, storable
from tests.support.strategies import json_values


def nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth - 1):
        value = {"a": value} if level % 2 else [value]
    return value


@given(json_values)
def test_a_json_value_is_stored_as_it_is(value: Any) -> None:
    assert storable(value) is value


@pytest.mark.parametrize(
    "value",
    [
        10**38 - 1,
        -(10**38) + 1,
        1e-130,
        -1e-130,
        9.9e125,
        0,
        0.0,
        -0.0,
        "",
        [],
        {},
        "\0",
        "🜁",
        [None],
        nested(MAX_DEPTH),
        {"k" * MAX_KEY: 1},
    ],
)
def test_up_to_the_limits_it_is_storable(value: Any) -> None:
    assert storable(value) is value


@pytest.mark.parametrize(
    "value",
    [
        10**38,
        -(10**38),
        1e126,
        -1e126,
        1e-131,
        5e-324,
        float("nan"),
        float("inf"),
        float("-inf"),
        "\ud800",
        {"\udfff": 1},
        {"": 1},
        {"k" * (MAX_KEY + 1): 1},
        nested(MAX_DEPTH + 1),
        object(),
        b"x",
        {1, 2},
    ],
)
def test_beyond_them_it_is_refused(value: Any) -> None:
    for place in (value, [value], {"a": value}):
        with pytest.raises(ValueError, match=r"."):
            storable(place)


@pytest.mark.parametrize("body", [SessionPatch, CreateSession])
@pytest.mark.parametrize("value", [10**38, 1e126, "\ud800", {"": 1}, nested(MAX_DEPTH)])
@pytest.mark.parametrize("field", ["metadata", "customer"])
def test_no_body_brings_in_what_cannot_be_stored(
    body: type[SessionPatch] | type[CreateSession], field: str, value: Any
) -> None:
    with pytest.raises(ValidationError):
        body.model_validate({field: {"a": {"b": value}}})


@pytest.mark.parametrize("field", ["metadata", "customer"])
@pytest.mark.parametrize("key", ["", "k" * (MAX_KEY + 1), "\ud800"])
def test_nor_a_name_that_cannot_be_stored(field: str, key: str) -> None:
    with pytest.raises(ValidationError):
        SessionPatch.model_validate({field: {key: 1}})
