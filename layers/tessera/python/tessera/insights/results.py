"""What an engine answers: rows with typed columns, whatever it calls its types."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

type Type = Literal["string", "integer", "number", "boolean", "date"]
type Row = dict[str, Any]

TYPES: Mapping[str, Type] = {
    **dict.fromkeys(("tinyint", "smallint", "integer", "int", "bigint"), "integer"),
    **dict.fromkeys(("real", "float", "double", "decimal"), "number"),
    "boolean": "boolean",
    "date": "date",
}
"""Athena's name of a type → ours; any other is a string."""

_READ: Mapping[Type, Callable[[str], Any]] = {
    "integer": int,
    "number": float,
    "boolean": lambda text: text == "true",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, and what its values are in JSON. A date is a text, YYYY-MM-DD."""

    name: str
    type: Type

    def read(self, text: str | None) -> Any:
        """Return the value that the engine has written so; None for NULL."""
        return text if text is None else _READ.get(self.type, str)(text)


@dataclass(frozen=True, slots=True)
class Result:
    """The rows of a query, each with a value for every column."""

    columns: Sequence[Column]
    rows: Sequence[Row]


class QueryEngine(Protocol):
    """Runs SQL over the tables `messages` and `facts`."""

    def run(self, sql: str) -> Result:
        """Return what the query answers.

        Raises:
            QueryFailed: it did not end well, or not in time.
            Throttled, Unavailable, Misconfigured: as `errors.from_aws` has it.

        """
        ...
