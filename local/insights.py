"""The insights of the running stack as tables for the terminal, with a bar for the figure that matters."""

import http.client
import json
from argparse import Namespace
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from local.endpoints import Endpoints
from local.stack import Stack
from local.trouble import Trouble

CHARTED = {
    "conversion": "rate",
    "experiments": "rate",
    "questions": "asked",
    "sessions_per_day": "sessions",
    "abandoned_carts": "age_days",
    "messages_per_conversation": "conversations",
}
"""The insights in the order in which they are shown, each with the column that has the bars."""

BAR = 20
"""Characters of the longest bar."""

_WIDEST = 48
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_NUMBERS = ("integer", "number")


def insights(arguments: Namespace) -> None:
    """Print one insight, or all, over some days. Raises Trouble."""
    stack = Stack()
    stack.require_running()
    endpoints = Endpoints.read(stack.endpoints_file)
    days = {"from": arguments.first, "to": arguments.last}
    query = urlencode({name: day for name, day in days.items() if day})
    for name in [arguments.name] if arguments.name else CHARTED:
        print("\n".join(table(_fetched(endpoints, f"/insights/{name}?{query}"))), end="\n\n")


def table(insight: dict[str, Any]) -> list[str]:
    """Return the lines of an insight: a title, the names of the columns, the rows, each with its bar."""
    columns: list[dict[str, str]] = insight["columns"]
    rows: list[dict[str, Any]] = insight["rows"]
    title = f"{insight['name']}, {insight['from']} to {insight['to']}"
    if not rows:
        return [title, "  nothing"]
    cells = [[column["name"] for column in columns], *([_shown(row[c["name"]]) for c in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [column["type"] in _NUMBERS for column in columns]
    lines = [
        "  ".join(
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(line, widths, right, strict=True)
        )
        for line in cells
    ]
    return [title, *(f"  {line}  {bar}".rstrip() for line, bar in zip(lines, _bars(insight), strict=True))]


def _bars(insight: dict[str, Any]) -> list[str]:
    """Return what stands behind each line: nothing behind the names, a bar behind each row that has a figure."""
    charted = CHARTED[insight["name"]]
    figures: Sequence[float] = [row[charted] or 0 for row in insight["rows"]]
    longest = max(figures, default=0) or 1
    return ["", *(_bar(figure / longest) for figure in figures)]


def _bar(share: float) -> str:
    whole, eighths = divmod(round(share * BAR * 8), 8)
    return "█" * whole + _EIGHTHS[eighths].strip()


def _shown(value: Any) -> str:
    """Return a value as text of one line and bounded length."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case _:
            text = " ".join(str(value).split())
            return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _fetched(endpoints: Endpoints, path: str) -> dict[str, Any]:
    """Ask the running stack. Raises Trouble with the problem that it answers."""
    address = urlsplit(endpoints.http)
    connection = http.client.HTTPConnection(address.netloc, timeout=30)
    try:
        connection.request(
            "GET", address.path + path, headers={"authorization": f"Bearer {endpoints.admin_token}"}
        )
        answer = connection.getresponse()
        body: dict[str, Any] = json.loads(answer.read())
    except OSError as error:
        raise Trouble(f"the stack does not answer: {error}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise Trouble(_explained(body))
    return body


def _explained(problem: dict[str, Any]) -> str:
    wrong = "; ".join(f"{error['pointer']} {error['detail']}" for error in problem.get("errors", ()))
    known = f": there are {', '.join(CHARTED)}" if problem["status"] == http.client.NOT_FOUND else ""
    return f"{problem['title']}{known}{': ' + wrong if wrong else ''} {problem.get('reason', '')}".rstrip()
