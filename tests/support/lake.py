"""The analytics bucket as a folder that DuckDB reads: the same files, the same SQL as on Athena."""

import gzip
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb

from tessera.archive.parquet import DayFiles
from tessera.insights.questions import key as question
from tessera.insights.results import TYPES, Column, Result
from tessera.model.clock import Millis, rfc3339
from tessera.stores.facts import Fact

MESSAGES = {
    "message_id": "VARCHAR",
    "session": "VARCHAR",
    "conversation": "VARCHAR",
    "customer": "VARCHAR",
    "seq": "BIGINT",
    "role": "VARCHAR",
    "content": "VARCHAR",
    "question": "VARCHAR",
    "created_at": "TIMESTAMP",
    "day": "VARCHAR",
}
FACTS = {
    "fact": "VARCHAR",
    "id": "VARCHAR",
    "session": "VARCHAR",
    "customer": "VARCHAR",
    "at_ms": "BIGINT",
    "name": "VARCHAR",
    "cart": "VARCHAR",
    "variation": "VARCHAR",
    "details": "VARCHAR",
    "day": "VARCHAR",
}
"""The columns of the Glue tables, in DuckDB's types."""

_NAMES = {"BIGINT": "bigint", "HUGEINT": "bigint", "INTEGER": "integer", "DOUBLE": "double", "DATE": "date"}
_NAMES["BOOLEAN"] = "boolean"


def at(text: str) -> Millis:
    """Return a moment of November 2026, given as `20 10:30`, or of any month as `2026-10-31 10:30`."""
    whole = text if text.count("-") else f"2026-11-{text}"
    return int(datetime.strptime(whole, "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp()) * 1_000


class Lake:
    """Files by day under a folder; implements `QueryEngine` over them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = 0

    def tell(self, facts: Iterable[Fact], *, arrived: str | None = None) -> None:
        """Deliver facts as Firehose does: gzipped lines, under the day on which they arrived."""
        by_day: dict[str, list[str]] = {}
        for fact in facts:
            by_day.setdefault(arrived or rfc3339(fact.at_ms)[:10], []).append(fact.line())
        for day, lines in by_day.items():
            self.write(f"facts/day={day}/{self._number()}.gz", gzip.compress("".join(lines).encode()))

    def say(self, messages: Iterable[Mapping[str, Any]]) -> None:
        """Write messages as the compaction does; each needs a `content` and `created_at`."""
        files = DayFiles()
        for number, message in enumerate(messages, 1):
            role = message.get("role", "user")
            row = {
                "message_id": f"m{number}",
                "session": "s1",
                "conversation": "cnv_1",
                "customer": None,
                "seq": number,
                "role": role,
                "question": question(message["content"]) if role == "user" else None,
            }
            files.add(rfc3339(message["created_at"])[:10], row | dict(message))
        for day, body in files.finished():
            self.write(f"messages/day={day}/{self._number()}.parquet", body)

    def write(self, key: str, body: bytes) -> None:
        """Write any file."""
        file = self._folder / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)

    def run(self, sql: str) -> Result:
        """See QueryEngine. Types go by Athena's names for them, values are what its text would be read as."""
        found = self.execute(sql)
        columns = [Column(name, TYPES.get(_NAMES.get(str(kind), ""), "string")) for name, kind in found.columns]
        rows = [
            {column.name: value.isoformat() if isinstance(value, date) else value for column, value in each}
            for each in (zip(columns, row, strict=True) for row in found.rows)
        ]
        return Result(columns, rows)

    def execute(self, sql: str, parameters: Sequence[str] = ()) -> "Executed":
        """Run SQL with parameters over the views `messages` and `facts`."""
        with duckdb.connect() as connection:
            for view, columns in (("messages", MESSAGES), ("facts", FACTS)):
                connection.execute(f"CREATE VIEW {view} AS {self._source(view, columns)}")
            result = connection.execute(sql, list(parameters))
            return Executed([(name, kind) for name, kind, *_ in result.description or ()], result.fetchall())

    def _source(self, view: str, columns: Mapping[str, str]) -> str:
        if not (self._folder / view).exists():
            nothing = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in columns.items())
            return f"SELECT {nothing} WHERE false"
        path, days = f"{self._folder}/{view}/*/*", "hive_partitioning = true, hive_types = {'day': VARCHAR}"
        if view == "messages":
            return f"FROM read_parquet('{path}', {days})"
        typed = ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items() if name != "day")
        return f"FROM read_json('{path}', format = 'newline_delimited', columns = {{{typed}}}, {days})"

    def _number(self) -> str:
        self._files += 1
        return f"{self._files:04}"


class Executed:
    """What DuckDB answered: columns with their types, rows."""

    def __init__(self, columns: list[tuple[str, Any]], rows: list[tuple[Any, ...]]) -> None:
        self.columns, self.rows = columns, rows
