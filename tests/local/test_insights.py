"""How insights look in a terminal, or in a file: plain lines, columns below each other, bars that compare."""

from typing import Any

from local.insights import BAR, CHARTED, table
from tessera.insights.statements import names


def insight(*rows: dict[str, Any], name: str = "questions") -> dict[str, Any]:
    columns = [{"name": "example", "type": "string"}, {"name": "asked", "type": "integer"}]
    return {"name": name, "from": "2026-11-01", "to": "2026-11-20", "columns": columns, "rows": list(rows)}


def test_columns_stand_below_each_other_and_bars_compare() -> None:
    rows = [{"example": "Wo ist mein Paket?", "asked": 120}, {"example": "Und?", "asked": 45}]
    assert table(insight(*rows)) == [
        "questions, 2026-11-01 to 2026-11-20",
        "  example             asked",
        "  Wo ist mein Paket?    120  " + "█" * BAR,
        "  Und?                   45  " + "█" * 7 + "▌",
    ]


def test_text_keeps_to_its_line_and_to_a_width() -> None:
    (_, _, row) = table(insight({"example": "a\nb\t" + "c" * 100, "asked": None}))
    assert row.startswith("  a b ccc")
    assert "…" in row
    assert row.endswith("-")


def test_nothing_is_said_to_be_nothing() -> None:
    assert table(insight()) == ["questions, 2026-11-01 to 2026-11-20", "  nothing"]


def test_every_insight_is_shown() -> None:
    assert CHARTED.keys() == names()
