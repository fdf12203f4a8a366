"""Queries by Athena: waited for with patience, read to the end, with typed values; failures tell their reason."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import Misconfigured, Problem, QueryFailed, Throttled, Unavailable
from tessera.insights.athena import PATIENCE, Athena
from tessera.insights.results import Column
from tessera.stores.tiers import L3, Tiers
from tests.support.fakes import FakeClock, RefusingClient

COLUMNS = [("name", "varchar"), ("count", "bigint"), ("rate", "double"), ("paid", "boolean"), ("day", "date")]


class AthenaService:
    """An Athena that runs one query: so many looks until it ends in a state, then pages of rows."""

    def __init__(
        self,
        rows: Sequence[Sequence[str | None]] = (),
        *,
        looks: int = 0,
        state: str = "SUCCEEDED",
        category: int | None = None,
        page: int = 2,
    ) -> None:
        self._looks, self._state, self._category, self._page = looks, state, category, page
        names: Sequence[Sequence[str | None]] = [[name for name, _ in COLUMNS]]
        self._lines = [*names, *rows]
        self.asked: dict[str, Any] = {}
        self.pages = 0

    def start_query_execution(self, **request: Any) -> Any:
        self.asked = request
        return {"QueryExecutionId": "q-1"}

    def get_query_execution(self, *, QueryExecutionId: str) -> Any:  # noqa: N803 - the SDK's name
        assert QueryExecutionId == "q-1"
        self._looks -= 1
        status: dict[str, Any] = {"State": "RUNNING" if self._looks >= 0 else self._state}
        if self._state == "FAILED":
            status["StateChangeReason"] = "line 1:8: Column 'secret' cannot be resolved"
            status["AthenaError"] = {"ErrorCategory": self._category, "ErrorType": 1}
        return {"QueryExecution": {"Status": status}}

    def get_query_results(self, *, QueryExecutionId: str, NextToken: str = "0") -> Any:  # noqa: N803 - same
        assert QueryExecutionId == "q-1"
        self.pages += 1
        start, end = int(NextToken), int(NextToken) + self._page
        lines = [
            {"Data": [{} if text is None else {"VarCharValue": text} for text in line]}
            for line in self._lines[start:end]
        ]
        described = [{"Name": name, "Type": kind} for name, kind in COLUMNS]
        more = {"NextToken": str(end)} if end < len(self._lines) else {}
        return {"ResultSet": {"Rows": lines, "ResultSetMetadata": {"ColumnInfo": described}}, **more}


def engine(client: Any, clock: FakeClock | None = None, slept: list[float] | None = None) -> Athena:
    clock, slept = clock or FakeClock(), [] if slept is None else slept

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.forward(seconds)

    return Athena(client, "tessera-test", "tessera_test", Tiers(), clock, sleep=sleep)


def test_values_have_the_types_of_their_columns() -> None:
    service = AthenaService([["a", "3", "0.25", "true", "2026-11-20"], ["", None, "1E-4", "false", None]])
    result = engine(service).run("SELECT 1")
    assert [*result.columns] == [
        Column("name", "string"),
        Column("count", "integer"),
        Column("rate", "number"),
        Column("paid", "boolean"),
        Column("day", "date"),
    ]
    assert [*result.rows] == [
        {"name": "a", "count": 3, "rate": 0.25, "paid": True, "day": "2026-11-20"},
        {"name": "", "count": None, "rate": 0.0001, "paid": False, "day": None},
    ]


def test_it_asks_in_its_workgroup_and_database() -> None:
    service = AthenaService()
    engine(service).run("SELECT 1")
    assert service.asked == {
        "QueryString": "SELECT 1",
        "QueryExecutionContext": {"Database": "tessera_test"},
        "WorkGroup": "tessera-test",
    }


@given(st.integers(0, 30), st.integers(1, 7))
def test_every_page_is_read_and_the_names_are_no_row(rows: int, page: int) -> None:
    service = AthenaService([[str(n), str(n), "0", "true", None] for n in range(rows)], page=page)
    assert [row["count"] for row in engine(service).run("").rows] == [*range(rows)]
    assert service.pages == rows // page + 1


def test_it_looks_ever_less_often() -> None:
    slept: list[float] = []
    engine(AthenaService(looks=10), slept=slept).run("")
    assert slept[0] == 0.1
    assert slept == sorted(slept)
    assert slept[-1] == 1.0


def test_its_patience_ends_before_that_of_the_gateway() -> None:
    clock = FakeClock()
    began = clock()
    with pytest.raises(QueryFailed) as failed:
        engine(AthenaService(looks=1_000), clock).run("")
    assert failed.value.members == {"reason": "timed-out", "execution": "q-1"}
    assert PATIENCE <= clock() - began <= PATIENCE + 1_000


@pytest.mark.parametrize(("category", "reason"), [(1, "system"), (2, "user"), (3, "other"), (None, "other")])
def test_a_failure_tells_whose_fault_it_is_and_not_the_sql(category: int | None, reason: str) -> None:
    with pytest.raises(QueryFailed) as failed:
        engine(AthenaService(state="FAILED", category=category)).run("SELECT secret")
    assert failed.value.members["reason"] == reason
    assert "secret" not in repr(failed.value.as_json())


def test_what_an_operator_cancelled_says_so() -> None:
    with pytest.raises(QueryFailed) as failed:
        engine(AthenaService(state="CANCELLED")).run("")
    assert failed.value.members["reason"] == "cancelled"


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("TooManyRequestsException", Throttled),
        ("InternalServerException", Unavailable),
        (None, Unavailable),
        ("InvalidRequestException", Misconfigured),
    ],
)
def test_errors_of_the_sdk_become_ours(code: str | None, meaning: type[Problem]) -> None:
    with pytest.raises(meaning):
        engine(RefusingClient(code)).run("")


def test_its_time_counts_to_the_third_tier() -> None:
    tiers = Tiers()
    sleep: Callable[[float], None] = lambda _: None  # noqa: E731 - typed so
    Athena(AthenaService(), "w", "d", tiers, FakeClock(), sleep=sleep).run("")
    assert tiers.spent.keys() == {L3}
