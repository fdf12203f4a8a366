"""The tables of the documents list what the code has."""

import re
from collections.abc import Iterable

from local.paths import ROOT
from tessera.model.caller import Scope
from tessera.model.clock import DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS
from tessera.model.kinds import DEFAULTS, Step
from tessera.telemetry import ARCHIVE_LAG, CLEANUP_LAG, COMPACTION_LAG, CRM_LAG, PAYMENT_LAG, SERIES

LAGS = (ARCHIVE_LAG, CLEANUP_LAG, COMPACTION_LAG, CRM_LAG, PAYMENT_LAG)
UNITS = {"min": MINUTE_SECONDS, "h": HOUR_SECONDS, "d": DAY_SECONDS}


def rows(page: str, heading: str) -> Iterable[list[str]]:
    """The cells of the tables below a heading, without the lines that name the columns."""
    section = (ROOT / page).read_text().split(f"\n{heading}\n", 1)[1].split("\n## ", 1)[0]
    for line in re.findall(r"^\| `.*\|$", section, re.MULTILINE):
        yield [cell.strip() for cell in line.strip("|").split("|")]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def seconds(cell: str) -> int:
    if cell == "none":
        return 0
    amount, unit = cell.split()
    return int(amount) * UNITS[unit]


def steps(cell: str) -> tuple[tuple[Step, ...], bool] | None:
    if cell == "none":
        return None
    return tuple(quoted(cell) or map(int, cell.split())), cell.endswith(", guarded")


def test_the_kinds_are_those_of_the_model() -> None:
    listed = {
        quoted(kind)[0]: (*map(seconds, (idle, absolute, tombstone, archive)), steps(flow))
        for kind, idle, absolute, tombstone, archive, flow in (
            row for row in rows("docs/sessions.md", "## Kinds") if len(row) == 6
        )
    }
    assert listed == {
        name: (
            kind.idle_seconds,
            kind.absolute_seconds,
            kind.hot_retention_seconds,
            kind.archive_retention_seconds,
            kind.flow and (kind.flow.steps, kind.flow.guarded),
        )
        for name, kind in DEFAULTS.items()
    }


def test_the_scopes_are_all_there() -> None:
    listed = {scope for row in rows("docs/tokens.md", "## Service tokens") for scope in quoted(row[0])}
    assert listed == {*Scope}


def test_the_metrics_are_all_there() -> None:
    listed = {name for row in rows("docs/operations.md", "## Metrics") for name in quoted(row[0])}
    tiers = {"L1Latency", "L2Latency", "tessera_tier_milliseconds_sum", "…_count"}
    assert listed == {*SERIES, *SERIES.values(), *LAGS} | tiers
