"""Three-way merge: both writers' changes stay, a conflict is a field that both have changed, and otherwise."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.model.merge import merge_patch
from tessera.model.threeway import ABSENT, LOST, UNKNOWN, back, same, steps_back, three_way
from tests.support.strategies import documents, json_objects, patches

objects = st.dictionaries(st.sampled_from("abcd"), documents, max_size=4)


def leaves(value: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Return every field of an object by its path; an empty object has none."""
    if not isinstance(value, dict):
        return {path: value}
    return {found: leaf for key, inner in value.items() for found, leaf in leaves(inner, (*path, key)).items()}


@pytest.mark.parametrize(
    ("base", "patch", "theirs", "result"),
    [
        ({"a": 1}, {"a": 2}, {"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": 2}, {"a": 1, "b": 3}, {"a": 2, "b": 3}),
        ({"a": 1, "b": 1}, {"a": None}, {"a": 1, "b": 2}, {"b": 2}),
        ({"a": 1}, {"a": 2}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {"a": 1}, {"a": 5}, {"a": 5}),
        ({"o": {"x": 1, "y": 1}}, {"o": {"x": 2}}, {"o": {"x": 1, "y": 2}}, {"o": {"x": 2, "y": 2}}),
        ({}, {"o": {"x": 1}}, {"o": {"y": 2}}, {"o": {"x": 1, "y": 2}}),
        ({"a": 1}, {"a": None}, {}, {}),
        ({"a": {"x": 1}}, {"a": "flat"}, {"a": {"x": 1}}, {"a": "flat"}),
        (UNKNOWN, {"a": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 2}),
    ],
)
def test_changes_of_both_sides_stay(base: Any, patch: Any, theirs: Any, result: Any) -> None:
    before = deepcopy((patch, theirs))
    assert three_way(base, patch, theirs) == (result, [])
    assert (patch, theirs) == before


@pytest.mark.parametrize(
    ("base", "patch", "theirs", "conflict"),
    [
        ({"a": 1}, {"a": 2}, {"a": 3}, {"pointer": "/a", "base": 1, "yours": 2, "theirs": 3}),
        ({}, {"a": 2}, {"a": 3}, {"pointer": "/a", "base": None, "yours": 2, "theirs": 3}),
        ({"a": 1}, {"a": None}, {"a": 3}, {"pointer": "/a", "base": 1, "yours": None, "theirs": 3}),
        ({"a": 1}, {"a": 2}, {}, {"pointer": "/a", "base": 1, "yours": 2, "theirs": None}),
        ({"a": 1}, {"a": True}, {"a": 0}, {"pointer": "/a", "base": 1, "yours": True, "theirs": 0}),
        (
            {"o": {"~/": [1]}},
            {"o": {"~/": [1, 2]}},
            {"o": {"~/": [0, 1]}},
            {"pointer": "/o/~0~1", "base": [1], "yours": [1, 2], "theirs": [0, 1]},
        ),
        (
            {"o": {"x": 1}},
            {"o": {"x": 2}},
            {"o": "gone"},
            {"pointer": "/o", "base": {"x": 1}, "yours": {"x": 2}, "theirs": "gone"},
        ),
        (UNKNOWN, {"a": 2}, {"a": 3}, {"pointer": "/a", "yours": 2, "theirs": 3}),
        (
            {"o": {"x": UNKNOWN, "y": 1}},
            {"o": None},
            {"o": {}},
            {"pointer": "/o", "base": {"y": 1}, "yours": None, "theirs": {}},
        ),
    ],
)
def test_a_field_that_both_have_changed_is_a_conflict(base: Any, patch: Any, theirs: Any, conflict: Any) -> None:
    assert three_way(base, patch, theirs) == (theirs, [conflict])


@pytest.mark.parametrize("empty", ["", None, [], {}])
def test_a_restore_never_overwrites_with_empties(empty: Any) -> None:
    """A form that is drawn before its data comes saves empty fields over nothing that it has seen."""
    theirs = {"name": "Ada", "address": {"city": "London"}, "floors": 0, "done": False}
    drawn = {"name": empty, "address": {"city": empty}, "floors": empty, "done": empty}
    assert three_way({}, drawn, theirs) == (theirs, [])


def test_who_has_seen_a_field_may_empty_it() -> None:
    assert three_way({"name": "Ada"}, {"name": ""}, {"name": "Ada", "b": 1}) == ({"name": "", "b": 1}, [])


@given(objects, patches)
def test_without_other_writers_it_is_the_merge_patch(base: dict[str, Any], patch: dict[str, Any]) -> None:
    result, conflicts = three_way(base, patch, base)
    assert conflicts == []
    assert same(result, merge_patch(base, patch))


@given(objects, patches, patches)
def test_nothing_that_others_have_changed_is_lost(base: Any, patch: Any, other: Any) -> None:
    """Every field is what one of the two has made of it, theirs where both have and it is no conflict of value."""
    theirs = merge_patch(base, other)
    result, conflicts = three_way(base, patch, theirs)
    pointers = {tuple(conflict["pointer"].split("/")[1:]) for conflict in conflicts}
    yours = merge_patch(base, patch)
    before, mine, found = leaves(base), leaves(yours), leaves(theirs)
    for path, value in leaves(result).items():
        assert any(same(value, side.get(path, ABSENT)) for side in (mine, found, before)), path
    for path, value in found.items():
        untouched = path not in before or not same(before[path], value)
        if untouched and same(mine.get(path, ABSENT), before.get(path, ABSENT)) and not _above(path, base, yours):
            assert same(leaves(result).get(path, ABSENT), value), path
    for pointer in pointers:
        assert not same(_at(yours, pointer), _at(theirs, pointer))
        assert not same(_at(base, pointer), _at(theirs, pointer))


@given(objects, patches, patches)
def test_a_patch_that_was_written_may_be_sent_again(base: Any, patch: Any, other: Any) -> None:
    """The answer was lost: the second time changes nothing and is no conflict."""
    result, conflicts = three_way(base, patch, merge_patch(base, other))
    if not conflicts:
        assert three_way(base, patch, result) == (result, [])


@given(json_objects, json_objects)
def test_the_steps_lead_back(new: dict[str, Any], old: dict[str, Any]) -> None:
    kept = deepcopy((new, old))
    steps = steps_back(new, old)
    assert same(back(new, steps), old)
    assert (new, old) == kept
    assert (steps == []) is same(new, old)


@given(st.lists(objects, min_size=2, max_size=6))
def test_also_over_several_versions(versions: list[dict[str, Any]]) -> None:
    data: Any = versions[-1]
    for new, old in zip(versions[:0:-1], versions[-2::-1], strict=True):
        data = back(data, steps_back(new, old))
    assert same(data, versions[0])


def test_what_is_lost_is_a_gap_and_stays_one() -> None:
    later = back({"a": {"x": 1}, "b": 2}, [{"path": ["a"], "lost": True}])
    assert later == {"a": UNKNOWN, "b": 2}
    assert back(later, [{"path": ["a", "x"], "value": 0}, {"path": ["b"]}]) == {"a": UNKNOWN}
    assert back({"a": 1}, LOST) is UNKNOWN
    assert back(UNKNOWN, [{"path": ["a"], "value": 1}]) is UNKNOWN


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key, ABSENT) if isinstance(value, dict) else ABSENT
    return value


def _above(path: tuple[str, ...], base: Any, yours: Any) -> bool:
    """Whether the author of the patch has changed, or removed, an object that the field is in."""
    return any(
        isinstance(_at(base, path[:n]), dict) is not isinstance(_at(yours, path[:n]), dict)
        for n in range(1, len(path) + 1)
    )
