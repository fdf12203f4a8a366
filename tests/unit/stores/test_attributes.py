"""JSON values as DynamoDB's attribute values, and what they weigh."""

from typing import Any

import pytest
from hypothesis import given

from tessera.stores.attributes import decode, decode_item, encode, encode_item, size
from tests.support.strategies import json_objects, json_values, same_json


@given(json_values)
def test_a_value_comes_back(value: Any) -> None:
    assert same_json(decode(encode(value)), value)


@given(json_objects)
def test_an_item_comes_back(item: dict[str, Any]) -> None:
    assert same_json(decode_item(encode_item(item)), item)


@pytest.mark.parametrize(
    ("value", "attribute"),
    [
        ("", {"S": ""}),
        (True, {"BOOL": True}),
        (1, {"N": "1"}),
        (0.5, {"N": "0.5"}),
        (None, {"NULL": True}),
        ({"a": [1]}, {"M": {"a": {"L": [{"N": "1"}]}}}),
        ((1,), {"L": [{"N": "1"}]}),
    ],
)
def test_each_type_has_its_own(value: Any, attribute: Any) -> None:
    assert encode(value) == attribute


@pytest.mark.parametrize("foreign", [b"x", {1}, object()])
def test_what_is_no_json_is_a_fault_of_ours(foreign: Any) -> None:
    with pytest.raises(TypeError):
        encode({"a": [foreign]})


def test_types_that_we_never_write_come_as_they_are_for_the_model_to_refuse() -> None:
    assert decode({"SS": ["a"]}) == ["a"]
    assert decode({"B": b"x"}) == b"x"


@given(json_objects)
def test_a_value_never_weighs_less_than_dynamodb_says(item: dict[str, Any]) -> None:
    """UTF-8 for names and texts, 21 bytes for a number, 1 for the rest, 3 for each nesting, 1 for each part."""

    def weighed(value: Any) -> int:
        match value:
            case str():
                return len(value.encode())
            case dict():
                return 3 + sum(len(name.encode()) + weighed(inner) + 1 for name, inner in value.items())
            case list():
                return 3 + sum(weighed(inner) + 1 for inner in value)
            case bool() | None:
                return 1
            case _:
                return 21

    assert size(item) >= weighed(item)
