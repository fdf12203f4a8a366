"""A change: the delta that a decision makes of a session, and the conditions under which it may be written.

Paths are tuples of attribute names from the item's root; values are plain JSON.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

type Path = tuple[str, ...]
type Operator = Literal["is", "is not", "present", "absent", "object", "at most", "after"]


@dataclass(frozen=True, slots=True)
class Clause:
    """One named condition on one attribute, e.g. Clause(("version",), "is", 3)."""

    path: Path
    operator: Operator
    value: Any = None


@dataclass(frozen=True, slots=True)
class Change:
    """What to assign, what to remove, what to count up, and what must hold at that moment."""

    assign: Mapping[Path, Any] = field(default_factory=dict[Path, Any])
    remove: frozenset[Path] = frozenset()
    clauses: tuple[Clause, ...] = ()
    add: Mapping[Path, float] = field(default_factory=dict[Path, float])

    def __or__(self, other: "Change") -> "Change":
        """Both at once; where both assign the same path, the other wins."""
        return Change(
            {**self.assign, **other.assign},
            self.remove | other.remove,
            (*self.clauses, *(clause for clause in other.clauses if clause not in self.clauses)),
            {**self.add, **other.add},
        )


def applied(attributes: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """Return what the change makes of the attributes, as a table would; its clauses are not looked at."""
    made = deepcopy(dict(attributes))
    for path, value in change.assign.items():
        _parent(made, path)[path[-1]] = deepcopy(value)
    for path in change.remove:
        _parent(made, path).pop(path[-1], None)
    for path, amount in change.add.items():
        parent = _parent(made, path)
        parent[path[-1]] = parent.get(path[-1], 0) + amount
    return made


def _parent(attributes: dict[str, Any], path: Path) -> dict[str, Any]:
    for name in path[:-1]:
        attributes = attributes[name]
    return attributes


class Admitted(NamedTuple):
    """That a caller may change what a decision has seen: since when, and what must hold when it is written."""

    now: int
    clauses: tuple[Clause, ...] = ()
