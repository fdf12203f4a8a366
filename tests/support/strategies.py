"""What Hypothesis draws, JSON and merge patches, and when two JSON values are the same."""

from typing import Any

from hypothesis import strategies as st

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
integers = st.integers(-(10**38) + 1, 10**38 - 1)
floats = st.one_of(
    st.just(0.0),
    st.floats(1e-130, 9.9e125),
    st.floats(-9.9e125, -1e-130),
    st.floats(-1e6, 1e6).map(lambda f: round(f, 3)),
)
scalars = st.one_of(st.none(), st.booleans(), integers, floats, texts)


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return JSON values around these leaves."""
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=12,
    )


json_values = nested(scalars)
"""Any JSON value that may be stored."""

json_objects = st.dictionaries(keys, json_values, max_size=5)

_few = st.sampled_from("abcd")
_values = st.one_of(st.booleans(), st.integers(0, 3), st.lists(st.none() | st.integers(0, 3), max_size=2))
documents = st.recursive(_values, lambda inner: st.dictionaries(_few, inner, max_size=4))
patches = st.dictionaries(
    _few, st.recursive(st.none() | _values, lambda inner: st.dictionaries(_few, inner, max_size=4)), max_size=4
)
"""Patches over few names, so that they often meet what is there."""


def same_json(found: Any, value: Any) -> bool:
    """Whether they are equal as JSON: 1 and 1.0 are one number, true is none.

    A double that has an exponent comes back with all its digits, which mean the same double.
    """
    match value:
        case dict():
            return found.keys() == value.keys() and all(same_json(found[name], value[name]) for name in value)
        case list():
            return isinstance(found, list) and len(found) == len(value) and all(map(same_json, found, value))
        case float():
            return type(found) in (int, float) and float(found) == value
        case _:
            return type(found) is type(value) and found == value
