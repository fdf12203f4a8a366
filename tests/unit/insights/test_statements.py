"""The SQL of the insights: what it answers, over files as they lie in the bucket, and that Trino takes it too."""

import re
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from tessera.errors import InsightNotFound
from tessera.insights.results import TYPES
from tessera.insights.statements import bound, names, statement
from tessera.stores.facts import Fact
from tests.support.lake import FACTS, MESSAGES, Lake, at

FIRST, LAST = date(2026, 11, 1), date(2026, 11, 20)
SCHEMA = {"messages": MESSAGES, "facts": FACTS}
ids = map(str, count())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def answer(lake: Lake, name: str, first: date = FIRST, last: date = LAST) -> list[tuple[Any, ...]]:
    """Return the rows, by literals; asserts that the parameters of DuckDB give the same."""
    result = lake.run(bound(statement(name), first, last))
    days = [str(first), str(last)] * (statement(name).count("?") // 2)
    assert len(lake.execute(statement(name), days).rows) == len(result.rows)
    return [tuple(row.values()) for row in result.rows]


def cart(name: str, cart_id: str, when: str, session: str = "s1") -> Fact:
    return Fact("cart", next(ids), session, None, at(when), name, cart_id)


def event(name: str, when: str, session: str | None = "s1", cart_id: str | None = None) -> Fact:
    return Fact("event", next(ids), session, None, at(when), name, cart_id)


def begun(when: str, kind: str = "chat", session: str | None = None, customer: str | None = None) -> Fact:
    session = session or next(ids)
    return Fact("session", session, session, customer, at(when), kind)


# --- conversion ----------------------------------------------------------------------------------------


def test_conversion_counts_the_carts_of_a_day_that_came_to_a_checkout(lake: Lake) -> None:
    lake.tell(
        [
            cart("cart_initialized", "c1", "10 09:00", "s1"),
            cart("cart_initialized", "c2", "10 10:00", "s2"),
            cart("cart_initialized", "c3", "10 23:59", "s3"),
            cart("cart_initialized", "c4", "12 00:00", "s4"),
            event("checkout_started", "10 09:30", "s1", "c1"),
            event("checkout_started", "12 08:00", "s4", "c4"),
            event("page_viewed", "10 10:05", "s2"),
        ]
    )
    assert answer(lake, "conversion") == [("2026-11-10", 3, 1, 0.3333), ("2026-11-12", 1, 1, 1.0)]


def test_a_checkout_without_a_cart_is_that_of_its_session_from_then_on(lake: Lake) -> None:
    lake.tell(
        [
            event("checkout_started", "10 08:00", "s1"),
            cart("cart_initialized", "c1", "10 09:00", "s1"),
            cart("cart_initialized", "c2", "10 09:00", "s2"),
            event("checkout_started", "11 08:00", "s2"),
            event("checkout_started", "11 08:00", None),
        ]
    )
    assert answer(lake, "conversion") == [("2026-11-10", 2, 1, 0.5)]


def test_facts_that_are_told_twice_count_once(lake: Lake) -> None:
    facts = [cart("cart_initialized", "c1", "10 09:00"), event("checkout_started", "10 09:30", cart_id="c1")]
    for _ in range(3):
        lake.tell(facts)
    lake.tell(facts, arrived="2026-11-11")
    assert answer(lake, "conversion") == [("2026-11-10", 1, 1, 1.0)]


def test_several_checkouts_of_a_cart_count_once(lake: Lake) -> None:
    lake.tell([cart("cart_initialized", "c1", "10 09:00")])
    lake.tell(event("checkout_started", f"10 1{hour}:00", cart_id="c1" if hour % 2 else None) for hour in range(4))
    assert answer(lake, "conversion") == [("2026-11-10", 1, 1, 1.0)]


def test_the_span_is_of_when_it_happened_not_of_when_it_arrived(lake: Lake) -> None:
    lake.tell([cart("cart_initialized", "before", "2026-10-31 23:59")], arrived="2026-11-01")
    lake.tell([cart("cart_initialized", "first", "01 00:00")])
    lake.tell([cart("cart_initialized", "late", "20 23:59")], arrived="2026-11-25")
    lake.tell([cart("cart_initialized", "after", "21 00:00")])
    assert [row[:2] for row in answer(lake, "conversion")] == [("2026-11-01", 1), ("2026-11-20", 1)]


# --- abandoned carts -----------------------------------------------------------------------------------


def test_a_cart_is_abandoned_until_it_is_paid(lake: Lake) -> None:
    lake.tell(
        [
            cart("cart_initialized", "paid", "10 09:00", "s1"),
            event("checkout_started", "10 09:10", "s1", "paid"),
            event("checkout_completed", "10 09:20", "s1", "paid"),
            cart("cart_initialized", "begun", "12 09:00", "s2"),
            cart("item_added", "begun", "12 09:01", "s2"),
            cart("item_added", "begun", "12 09:02", "s2"),
            cart("item_removed", "begun", "12 09:03", "s2"),
            event("checkout_started", "12 09:10", "s2", "begun"),
            cart("cart_initialized", "left", "11 09:00", "s3"),
            cart("cart_initialized", "by-session", "11 09:00", "s4"),
            event("checkout_completed", "13 09:00", "s4"),
            cart("item_added", "older than the span", "11 09:00", "s5"),
        ]
    )
    assert answer(lake, "abandoned_carts") == [
        ("left", "s3", "2026-11-11", 9, 0, 0, False),
        ("begun", "s2", "2026-11-12", 8, 2, 1, True),
    ]


def test_a_purchase_that_is_told_after_the_span_saves_a_cart(lake: Lake) -> None:
    lake.tell([cart("cart_initialized", "c1", "20 23:00")])
    lake.tell([event("checkout_completed", "21 00:10", cart_id="c1")])
    assert answer(lake, "abandoned_carts") == []


# --- sessions ------------------------------------------------------------------------------------------


def test_sessions_are_counted_by_day_and_kind(lake: Lake) -> None:
    twice = begun("10 12:00", "chat", customer="k1")
    lake.tell([twice, begun("10 13:00", "chat"), begun("10 13:00", "checkout"), begun("11 00:00", "chat"), twice])
    lake.tell([twice], arrived="2026-11-12")
    assert answer(lake, "sessions_per_day") == [
        ("2026-11-10", "chat", 2, 1),
        ("2026-11-10", "checkout", 1, 0),
        ("2026-11-11", "chat", 1, 0),
    ]


# --- questions -----------------------------------------------------------------------------------------


def asked(content: str, when: str = "10 12:00", **row: Any) -> dict[str, Any]:
    return {"content": content, "created_at": at(when), **row}


def test_near_duplicates_are_one_question_in_its_shortest_wording(lake: Lake) -> None:
    lake.say(
        [
            asked("Hallo, wo ist denn meine Bestellung 12345?", session="s1"),
            asked("wo ist meine bestellung #99887", "12 08:00", session="s2"),
            asked("WO IST MEINE BESTELLUNG 4711-1234 bitte??", "11 08:00", session="s2"),
            asked("Was kostet der Versand?", session="s3"),
            asked("Danke!", session="s3"),
            asked("Wo ist meine Bestellung 12345?", role="assistant"),
            asked("Was kostet der Versand?", "2026-10-31 23:59"),
        ]
    )
    assert answer(lake, "questions") == [
        ("wo ist meine bestellung #99887", 3, 2, "2026-11-12", "bestell wo"),
        ("Was kostet der Versand?", 1, 1, "2026-11-10", "kost versand"),
    ]


def test_a_very_long_question_is_shown_by_its_beginning(lake: Lake) -> None:
    """A hundred messages of a megabyte would be no answer at all: Lambda's end at 6 MB."""
    lake.say([asked("Where is my order? " + "Please! " * 100_000)])
    [row] = answer(lake, "questions")
    assert len(row[0]) == 500
    assert row[0].startswith("Where is my order? Please!")


# --- conversations -------------------------------------------------------------------------------------


def test_conversations_are_counted_by_their_length(lake: Lake) -> None:
    lengths = {"a": 1, "b": 2, "c": 5, "d": 6, "e": 120}
    lake.say(
        asked("hello", conversation=name, role="user" if n % 2 == 0 else "assistant")
        for name, length in lengths.items()
        for n in range(length)
    )
    assert answer(lake, "messages_per_conversation") == [
        (1, 1, 1, 1.0, 1.0),
        (2, 2, 7, 3.5, 2.0),
        (6, 1, 6, 6.0, 3.0),
        (101, 1, 120, 120.0, 60.0),
    ]


# --- all of them ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(names()))
def test_an_empty_bucket_has_no_rows(lake: Lake, name: str) -> None:
    assert answer(lake, name) == []


@pytest.mark.parametrize("name", sorted(names()))
def test_no_answer_depends_on_more_than_the_days_that_it_is_asked_for(name: str) -> None:
    """Both tables are limited to days wherever they are read, in words that Athena can decide before it reads."""
    tree = sqlglot.parse_one(bound(statement(name), FIRST, LAST), read="trino")
    for table in tree.find_all(exp.Table):
        if table.name in SCHEMA:
            scope = table.find_ancestor(exp.Select)
            assert scope is not None
            (days,) = [b for b in scope.args["where"].find_all(exp.Between) if b.this.name == "day"]
            assert not list(days.args["low"].find_all(exp.Column))
            assert not list(days.args["high"].find_all(exp.Column))


@pytest.mark.parametrize("name", sorted(names()))
@pytest.mark.parametrize("dialect", ["trino", "athena", "duckdb"])
def test_each_dialect_reads_it_and_knows_every_name_in_it(name: str, dialect: str) -> None:
    """Parsed, with every column resolved against the tables, and no function that the dialect does not have."""
    tree = sqlglot.parse_one(bound(statement(name), FIRST, LAST), read=dialect)
    known = annotate_types(qualify(tree, schema=SCHEMA, dialect=dialect), schema=SCHEMA, dialect=dialect)
    assert [function.name for function in known.find_all(exp.Anonymous)] == []


FUNCTIONS = {
    *["AVG", "CAST", "COALESCE", "COUNT", "DATE_DIFF", "FLOOR", "LENGTH", "MAX", "MIN", "MIN_BY", "ROUND", "SUM"],
    *["BETWEEN", "SUBSTR"],
}
"""Those which Trino and DuckDB have under one name, with the same arguments and meaning."""


@pytest.mark.parametrize("name", sorted(names()))
def test_it_calls_only_what_both_engines_have(name: str) -> None:
    text = re.sub(r"--.*", "", statement(name))
    called = {found.upper() for found in re.findall(r"\b([a-z_]+)\(", text)}
    assert called <= FUNCTIONS


@pytest.mark.parametrize("name", sorted(names()))
def test_its_days_come_in_pairs_and_nowhere_else(name: str) -> None:
    code = re.sub(r"--.*", "", statement(name))
    assert code.count("?") == statement(name).count("?") in (2, 4)
    assert "'?" not in code


def test_days_are_put_in_as_literals() -> None:
    assert bound("a BETWEEN ? AND ? OR b BETWEEN ? AND ?", FIRST, LAST) == (
        "a BETWEEN '2026-11-01' AND '2026-11-20' OR b BETWEEN '2026-11-01' AND '2026-11-20'"
    )


@pytest.mark.parametrize("name", ["", "none", "../insights", "conversion.sql", "CONVERSION"])
def test_another_name_is_no_insight(name: str) -> None:
    with pytest.raises(InsightNotFound):
        statement(name)


def test_every_column_has_a_type_that_we_know(lake: Lake) -> None:
    lake.tell([begun("10 10:00")])
    for name in names():
        assert {column.type for column in lake.run(bound(statement(name), FIRST, LAST)).columns} <= {
            *TYPES.values(),
            "string",
        }


# --- experiments ---------------------------------------------------------------------------------------


def exposure(variation: str, when: str, session: str | None = None, customer: str | None = None) -> Fact:
    return Fact("exposure", next(ids), session, customer, at(when), "button", variation=variation)


def step(name: str, when: str, session: str, customer: str | None = None) -> Fact:
    return Fact("step", next(ids), session, customer, at(when), name)


def test_experiments_count_who_came_to_an_end_after_the_exposure(lake: Lake) -> None:
    twice = exposure("blue", "10 09:00", "s1")
    lake.tell([twice, exposure("blue", "10 09:00", "s2"), exposure("green", "10 09:00", "s3")])
    lake.tell([twice, exposure("green", "11 09:00", "s4")])
    lake.tell(
        [
            step("checkout_completed", "10 10:00", "s1"),
            step("finished", "10 10:00", "s1"),
            step("checkout_completed", "10 08:00", "s2"),
            step("checkout_failed", "10 10:00", "s3"),
            step("finished", "12 10:00", "s4"),
        ]
    )
    assert answer(lake, "experiments") == [("button", "blue", 2, 1, 0.5), ("button", "green", 2, 1, 0.5)]


def test_a_customer_counts_once_for_what_was_seen_first(lake: Lake) -> None:
    lake.tell([exposure("blue", "10 09:00", None, "c1"), exposure("green", "11 09:00", None, "c1")])
    lake.tell([step("checkout_completed", "12 09:00", "s9", "c1")])
    assert answer(lake, "experiments") == [("button", "blue", 1, 1, 1.0)]
