"""JSON merge patch (RFC 7396), as a whole and as deltas."""

from copy import deepcopy
from functools import reduce
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import Stale
from tessera.model.changes import Change
from tessera.model.merge import deltas, merge_patch
from tessera.stores.expressions import Expressions
from tessera.stores.memory import MemoryTable
from tessera.stores.table import Key, Put
from tests.support.strategies import documents, patches

# RFC 7396, appendix A, row by row: original, patch, result.
APPENDIX_A: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]
KEY = Key("SESSION#x", "CORE")
fields = st.dictionaries(st.sampled_from("abcd"), documents, max_size=4)


def applied(document: dict[str, Any], *changes: Change) -> dict[str, Any]:
    """Write the changes one after the other on the stored document; return what is stored then."""
    table = MemoryTable()
    table.transact([Put({**KEY._asdict(), **deepcopy(document)})])
    item = reduce(lambda _, change: table.update(KEY, change), changes, dict[str, Any]())
    return {name: value for name, value in item.items() if name not in ("pk", "sk")}


@pytest.mark.parametrize(("original", "patch", "result"), APPENDIX_A)
def test_the_table_of_the_standard(original: Any, patch: Any, result: Any) -> None:
    assert merge_patch(original, patch) == result


@pytest.mark.parametrize(
    ("original", "patch", "result"),
    [row for row in APPENDIX_A if isinstance(row[0], dict) and isinstance(row[1], dict)],
)
def test_the_table_of_the_standard_as_deltas(original: Any, patch: Any, result: Any) -> None:
    assert applied(original, deltas(original, patch)) == result


@given(documents | fields, patches)
def test_neither_argument_is_changed(target: Any, patch: dict[str, Any]) -> None:
    before = deepcopy((target, patch))
    merge_patch(target, patch)
    assert (target, patch) == before


@given(documents, patches)
def test_a_patch_twice_is_a_patch_once(target: Any, patch: dict[str, Any]) -> None:
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


@given(fields, patches)
def test_the_deltas_have_the_effect_of_the_patch(document: dict[str, Any], patch: dict[str, Any]) -> None:
    assert applied(document, deltas(document, patch)) == merge_patch(document, patch)


@given(fields, patches, patches)
def test_two_writers_who_saw_the_same_and_touch_other_fields_lose_nothing_of_each_other(
    document: dict[str, Any], one: dict[str, Any], other: dict[str, Any]
) -> None:
    other = {key: value for key, value in other.items() if key not in one}
    expected = merge_patch(merge_patch(document, one), other)
    first, second = deltas(document, one), deltas(document, other)
    assert applied(document, first, second) == expected
    assert applied(document, second, first) == expected


@given(fields, patches, patches)
def test_two_writers_of_the_same_fields_end_as_one_after_the_other_or_learn_that_they_are_stale(
    document: dict[str, Any], one: dict[str, Any], other: dict[str, Any]
) -> None:
    """The second decides anew on what the first left, when its own view no longer holds."""
    first, second = deltas(document, one), deltas(document, other)
    after_one = merge_patch(document, one)
    try:
        result = applied(document, first, second)
    except Stale:
        result = applied(after_one, deltas(after_one, other))
    assert result == merge_patch(after_one, other)


@given(fields.map(lambda document: {"m": document}), st.integers(120, 150))
def test_a_huge_patch_writes_whole_fields_with_the_same_effect(document: dict[str, Any], count: int) -> None:
    patch = {"m": {f"k{i}": i for i in range(count)}, "n": None}
    change = deltas(document, patch)
    assert set(change.assign) == {("m",)}
    assert applied(document, change) == merge_patch(document, patch)


def test_a_huge_patch_does_not_overwrite_what_another_wrote_meanwhile() -> None:
    patch = {"m": {f"k{i}": i for i in range(150)}}
    for seen in ({"m": {"a": 1}}, {}):
        with pytest.raises(Stale) as stale:
            applied({"m": {"a": 2}}, deltas(seen, patch))
        assert stale.value.found == {**KEY._asdict(), "m": {"a": 2}}


def test_deep_in_a_field_only_the_leaf_is_written() -> None:
    change = deltas({"m": {"a": {"b": 1, "c": 2}}}, {"m": {"a": {"b": 3}}})
    assert change.assign == {("m", "a", "b"): 3}


wide = st.recursive(
    st.none() | st.integers(0, 9),
    lambda inner: st.dictionaries(st.integers(0, 99).map("n{}".format), inner, min_size=3, max_size=12),
    max_leaves=200,
)


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from(["metadata", "customer"]), wide, min_size=1))
def test_no_patch_makes_an_expression_that_dynamodb_refuses(patch: dict[str, Any]) -> None:
    """An expression may have 4 KB. What is there has the shape of the patch, so that every leaf is a delta."""

    def filled(value: Any) -> Any:
        return {k: filled(v) for k, v in value.items()} if isinstance(value, dict) else 0

    assert_short(deltas(filled(patch), patch))


@pytest.mark.parametrize("depth", range(1, 19))
@pytest.mark.parametrize("count", [1, 2, 5, 10, 25, 50, 100])
def test_not_even_a_deep_or_a_wide_one(depth: int, count: int) -> None:
    def chain(left: int, leaf: Any) -> Any:
        return leaf if left == 0 else {f"level{left}": chain(left - 1, leaf)}

    def patch(leaf: int) -> Any:
        return {"metadata": {f"k{i}": chain(depth - 1, leaf) for i in range(count)}}

    assert_short(deltas(patch(0), patch(1)))


def test_fifty_fields_at_once_are_still_fifty_deltas() -> None:
    before, after = ({"metadata": {f"k{i}": value for i in range(50)}} for value in (0, 1))
    assert len(deltas(before, after).assign) == 50


def assert_short(change: Change) -> None:
    expressions = Expressions()
    texts = {**expressions.update(change), **expressions.condition(change.clauses)}
    assert all(len(text) <= 3_500 for text in texts.values())  # the rest is for what every write adds
    assert sum(text.count("=") + text.count("(") for text in texts.values()) <= 280
