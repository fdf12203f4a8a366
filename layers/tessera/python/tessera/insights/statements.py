"""The SQL of the insights: files of this package, each an answer to one question over a span of days.

They run unchanged on Athena (Trino's SQL) and on DuckDB. The tables are `messages` and `facts`; each pair of `?`
stands for the first and the last day of the span, both included.
"""

import re
from datetime import date
from functools import cache
from importlib.resources import files
from itertools import cycle

from tessera.errors import InsightNotFound

_FOLDER = files("tessera.insights") / "sql"


@cache
def names() -> frozenset[str]:
    """Return the names of all insights."""
    return frozenset(file.name.removesuffix(".sql") for file in _FOLDER.iterdir() if file.name.endswith(".sql"))


def statement(name: str) -> str:
    """Return the SQL of an insight, with its `?`; raises InsightNotFound for another name."""
    if name not in names():
        raise InsightNotFound
    return (_FOLDER / f"{name}.sql").read_text()


def bound(sql: str, first: date, last: date) -> str:
    """Return the SQL for a span.

    The days stand in it as literals: Athena's own parameters are literals as well, which it puts into the text,
    and the embedded AWS has none. A date has no quotes, so there is nothing to escape.
    """
    days = cycle((first, last))
    return re.sub(r"\?", lambda _: f"'{next(days).isoformat()}'", sql)
