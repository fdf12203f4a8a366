"""A change: the delta that a decision makes of a session, and the conditions under which it may be written.

Paths are tuples of attribute names from the item's root; values are plain JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

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
