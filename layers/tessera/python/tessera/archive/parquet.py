"""Messages as Parquet, a file for each day, in bounded memory.

Importing this module imports pyarrow, which lifecycle/compact alone carries: only `wiring` imports it, where the
compaction is asked for.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs] - it has none
from pyarrow import parquet  # pyright: ignore[reportMissingTypeStubs] - same

_arrow: Any = pa

type Row = Mapping[str, Any]
"""A value for each of COLUMNS."""

COLUMNS = {
    "message_id": "string",
    "session": "string",
    "conversation": "string",
    "customer": "string",
    "seq": "int64",
    "role": "string",
    "content": "string",
    "question": "string",
    "created_at": "timestamp[ms]",
}
"""Name → Arrow's type. The Glue table `messages` has the same; `day` is in the path."""

_HELD = 4_000_000
"""Characters of content that wait in Python; then a row group of each day is written, compressed."""


class DayFiles:
    """Takes rows in any order of days and gives a file for each day. The same rows make the same bytes."""

    def __init__(self) -> None:
        types = _arrow.type_for_alias
        self._schema = _arrow.schema([(name, types(kind)) for name, kind in COLUMNS.items()])
        self._held: defaultdict[str, list[Row]] = defaultdict(list)
        self._held_size = 0
        self._files: dict[str, tuple[Any, Any]] = {}
        self.rows: defaultdict[str, int] = defaultdict(int)
        """How many rows each day has."""
        self.count = 0
        """How many rows all days have."""
        self.size = 0
        """Characters of content, all days together."""

    def add(self, day: str, row: Row) -> None:
        """Take a row; `day` is YYYY-MM-DD."""
        self._held[day].append(row)
        self.rows[day] += 1
        self.count += 1
        self.size += len(row["content"])
        self._held_size += len(row["content"])
        if self._held_size >= _HELD:
            self._compress()

    def finished(self) -> Iterator[tuple[str, bytes]]:
        """Give each day with its file, in the order of days. What was given is forgotten here."""
        self._compress()
        for day in sorted(self._files):
            sink, writer = self._files.pop(day)
            writer.close()
            yield day, sink.getvalue().to_pybytes()

    def _compress(self) -> None:
        for day, rows in self._held.items():
            self._writer(day).write_table(_arrow.Table.from_pylist(rows, self._schema))
        self._held.clear()
        self._held_size = 0

    def _writer(self, day: str) -> Any:
        if day not in self._files:
            sink = _arrow.BufferOutputStream()
            self._files[day] = sink, parquet.ParquetWriter(sink, self._schema, compression="zstd")
        return self._files[day][1]
