"""JSON merge patch (RFC 7396): as a whole, and as the smallest set of deltas that has the same effect."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tessera.model.changes import Change, Clause, Path

MAX_WEIGHT = 700
"""Of the paths of a change, see `_weight`. An expression may have 4 KB; a path takes 4 bytes for each name in it
and about 24 for what stands around it.
"""


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2, to the letter; neither argument is changed."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    for key, value in patch.items():  # pyright: ignore[reportUnknownVariableType]
        if value is None:
            merged.pop(key, None)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        else:
            merged[key] = merge_patch(merged.get(key), value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
    return merged  # pyright: ignore[reportUnknownVariableType]


def deltas(current: Mapping[str, Any], patch: Mapping[str, Any]) -> Change:
    """The patch as single assignments and removals, so that two writers of different fields lose nothing.

    A field is written below an object only while that object is there, and an object replaces a scalar or
    nothing only while that is still so: else the store says Stale and the caller decides anew. A patch of
    more than MAX_WEIGHT writes whole fields, each on the condition that nobody has changed it since.
    """
    parts = list(_walk(current, patch, ()))
    if _weight(parts) > MAX_WEIGHT:
        parts = list(_whole_fields(current, patch))
    change = Change()
    for part in parts:
        change |= part
    return change


def _weight(parts: Sequence[Change]) -> int:
    written = {path for part in parts for path in (*part.assign, *part.remove)}
    held = {clause.path for part in parts for clause in part.clauses}
    return sum(6 + len(path) for path in (*written, *held))


def _walk(current: Mapping[str, Any], patch: Mapping[str, Any], above: Path) -> Iterator[Change]:
    for key, value in patch.items():
        path = (*above, key)
        found = current.get(key)
        if value is None:
            yield Change(remove=frozenset({path}), clauses=_inside(above))
        elif not isinstance(value, dict):
            yield Change({path: value}, clauses=_inside(above))
        elif isinstance(found, dict):
            yield Change(clauses=(Clause(path, "object"),))
            yield from _walk(found, value, path)  # pyright: ignore[reportUnknownArgumentType]
        else:
            yield Change({path: merge_patch(None, value)}, clauses=(*_inside(above), _unchanged(path, current)))


def _whole_fields(current: Mapping[str, Any], patch: Mapping[str, Any]) -> Iterator[Change]:
    for key, value in patch.items():
        path, found = (key,), current.get(key)
        if value is None:
            yield Change(remove=frozenset({path}))
        else:
            yield Change({path: merge_patch(found, value)}, clauses=(_unchanged(path, current),))


def _inside(above: Path) -> tuple[Clause, ...]:
    return (Clause(above, "object"),) if above else ()


def _unchanged(path: Path, current: Mapping[str, Any]) -> Clause:
    key = path[-1]
    return Clause(path, "is", current[key]) if key in current else Clause(path, "absent")
