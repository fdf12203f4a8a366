"""Three-way merge of JSON objects field by field, and the steps by which an earlier version is made again.

A field is a member of an object, however deep; an array is one field. A step says what a field was before it was
changed: `{"path": ["address", "city"], "value": "Ulm"}`, without `value` where there was no such field, with
`lost` where the value was too large to keep.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Final

from tessera.model.merge import merge_patch

type Step = dict[str, Any]
"""See above; plain JSON."""


class Gap(Enum):
    """What stands in place of a value."""

    ABSENT = "no such field"
    UNKNOWN = "nobody knows any more"


ABSENT: Final = Gap.ABSENT
UNKNOWN: Final = Gap.UNKNOWN
_EMPTY: tuple[Any, ...] = (ABSENT, None, "", [], {})


def three_way(
    base: Any, patch: Mapping[str, Any], theirs: Mapping[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Apply to `theirs` what a merge patch changes of `base`; return the result and the conflicts.

    `base` is what the author of the patch has seen: an object, in which fields may be UNKNOWN, or UNKNOWN as a
    whole. A conflict is a field that both sides have changed, and not to the same value; its result is `theirs`.
    What was empty to the author and is empty still is no change: a form that is drawn empty before it is restored
    takes nothing away.
    """
    conflicts: list[dict[str, Any]] = []
    return _merged(base, patch, theirs, "", conflicts), conflicts


def _merged(
    base: Any, patch: Mapping[str, Any], theirs: Mapping[str, Any], above: str, conflicts: list[dict[str, Any]]
) -> dict[str, Any]:
    result = dict(theirs)
    for key, value in patch.items():
        pointer = f"{above}/{key.replace('~', '~0').replace('/', '~1')}"
        was, found = _at(base, key), theirs.get(key, ABSENT)
        if isinstance(value, dict) and isinstance(found, dict) and isinstance(was, (dict, Gap)):
            result[key] = _merged({} if was is ABSENT else was, value, found, pointer, conflicts)  # pyright: ignore[reportUnknownArgumentType]
            continue
        mine = ABSENT if value is None else merge_patch(None if was is UNKNOWN else was, value)
        if same(mine, found):
            continue
        if same(was, found):
            _put(result, key, mine)
        elif not (same(was, mine) or (_is_empty(was) and _is_empty(mine))):
            conflicts.append(_conflict(pointer, was, mine, found))
    return result


def _at(base: Any, key: str) -> Any:
    return UNKNOWN if base is UNKNOWN else base.get(key, ABSENT)


def _put(fields: dict[str, Any], key: str, value: Any) -> None:
    if value is ABSENT:
        fields.pop(key, None)
    else:
        fields[key] = value


def _conflict(pointer: str, base: Any, yours: Any, theirs: Any) -> dict[str, Any]:
    known = {} if base is UNKNOWN else {"base": _shown(base)}
    return {"pointer": pointer, **known, "yours": _shown(yours), "theirs": _shown(theirs)}


def _shown(value: Any) -> Any:
    """Return what JSON can say of it; a field inside that is not known any more is left out."""
    if isinstance(value, dict):
        return {name: _shown(inner) for name, inner in value.items() if inner is not UNKNOWN}  # pyright: ignore[reportUnknownVariableType]
    return None if isinstance(value, Gap) else value


def _is_empty(value: Any) -> bool:
    return any(same(value, empty) for empty in _EMPTY)


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same: 1 and 1.0 are, 1 and true are not, however deep. A gap is only itself.

    What is UNKNOWN is not even the same as itself.
    """
    match one, other:
        case Gap(), _:
            return one is other is ABSENT
        case dict(), dict():
            return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        case list(), list():
            return len(one) == len(other) and all(map(same, one, other))  # pyright: ignore[reportUnknownArgumentType]
        case _:
            return isinstance(one, bool) == isinstance(other, bool) and one == other


def steps_back(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[Step]:
    """Return the steps that lead from `new` back to `old`: one for each field that differs."""
    return list(_differing(new, old, ()))


def _differing(new: Mapping[str, Any], old: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[Step]:
    for key in dict.fromkeys((*new, *old)):
        path, now, before = (*above, key), new.get(key, ABSENT), old.get(key, ABSENT)
        if isinstance(now, dict) and isinstance(before, dict):
            yield from _differing(now, before, path)  # pyright: ignore[reportUnknownArgumentType]
        elif not same(now, before):
            yield {"path": list(path)} | ({} if before is ABSENT else {"value": before})


LOST: Sequence[Step] = ({"path": [], "lost": True},)
"""The steps to a version of which nothing is known any more."""


def back(data: Any, steps: Iterable[Step]) -> Any:
    """Return what the steps make of it: an object with gaps where values are lost, or UNKNOWN."""
    for step in steps:
        value = UNKNOWN if step.get("lost") else step.get("value", ABSENT)
        data = _with(data, step["path"], value)
    return data


def _with(data: Any, path: Sequence[str], value: Any) -> Any:
    if not path or data is UNKNOWN:  # a step inside of what is lost changes nothing that is known
        return value if not path else UNKNOWN
    changed = dict(data)
    inner = value if len(path) == 1 else _with(data.get(path[0], {}), path[1:], value)
    _put(changed, path[0], inner)
    return changed
