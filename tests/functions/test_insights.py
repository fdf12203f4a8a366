"""GET /insights/{name}: answers for services, over a span of days, and problems that tell nothing of the SQL."""

from pathlib import Path

import pytest

from tessera.errors import QueryFailed
from tessera.insights.results import Result
from tessera.insights.statements import names
from tessera.stores.facts import Fact
from tests.functions.service import Answer, Service
from tests.support.lake import Lake, at


@pytest.fixture
def lake(service: Service, tmp_path: Path) -> Lake:
    """What the service's queries run over."""
    lake = Lake(tmp_path)
    service.graph.query_engine = lake
    return lake


def ask(service: Service, name: str, scope: str = "sessions:read", **query: str) -> Answer:
    path = {"rawPath": f"/insights/{name}", "pathParameters": {"name": name}}
    return service.call("insights/query", token=service.service_token(scope), query=query, **path)


def test_an_insight_has_its_days_its_columns_and_typed_rows(service: Service, lake: Lake) -> None:
    lake.tell(
        [
            Fact("cart", "1", "s1", None, at("10 09:00"), "cart_initialized", "c1"),
            Fact("cart", "2", "s2", None, at("10 09:00"), "cart_initialized", "c2"),
            Fact("event", "3", "s2", None, at("10 09:30"), "checkout_started", "c2"),
        ]
    )
    assert ask(service, "conversion", **{"from": "2026-11-01", "to": "2026-11-15"}).json == {
        "name": "conversion",
        "from": "2026-11-01",
        "to": "2026-11-15",
        "columns": [
            {"name": "day", "type": "date"},
            {"name": "carts", "type": "integer"},
            {"name": "checkouts", "type": "integer"},
            {"name": "rate", "type": "number"},
        ],
        "rows": [{"day": "2026-11-10", "carts": 2, "checkouts": 1, "rate": 0.5}],
    }


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize("name", sorted(names()))
def test_each_insight_answers_on_an_empty_system(service: Service, name: str) -> None:
    answer = ask(service, name)
    assert (answer.status, answer.json["rows"]) == (200, [])
    assert answer.json["columns"]


@pytest.mark.usefixtures("lake")
def test_the_last_thirty_days_are_meant_when_none_are_named(service: Service) -> None:
    answer = ask(service, "questions").json
    assert (answer["from"], answer["to"]) == ("2026-10-22", "2026-11-20")
    answer = ask(service, "questions", to="2026-03-01").json
    assert (answer["from"], answer["to"]) == ("2026-01-31", "2026-03-01")


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-11-21"},
        {"from": "2026-11-02", "to": "2026-11-01"},
        {"from": "2025-01-01", "to": "2026-01-02"},
        {"from": "yesterday"},
        {"to": "2026-02-30"},
        {"to": "1795169000"},
        {"from": "2026-11-01' OR '1'='1"},
    ],
)
def test_a_span_that_is_none_is_invalid(service: Service, query: dict[str, str]) -> None:
    answer = ask(service, "questions", **query)
    assert answer.problem == (422, "invalid")
    assert answer.json["errors"][0]["pointer"] in ("query/from", "query/to")


@pytest.mark.usefixtures("lake")
def test_a_year_may_be_asked_for(service: Service) -> None:
    assert ask(service, "questions", **{"from": "2024-01-01", "to": "2024-12-31"}).status == 200
    assert ask(service, "questions", **{"from": "2024-02-01", "to": "2024-02-01"}).status == 200


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize("name", ["none", "conversion.sql", "..", "%2e%2e"])
def test_another_name_is_not_found(service: Service, name: str) -> None:
    assert ask(service, name).problem == (404, "insight-not-found")


@pytest.mark.usefixtures("lake")
def test_it_is_for_services_that_may_read_sessions(service: Service) -> None:
    assert ask(service, "questions", "admin").status == 200
    assert ask(service, "questions", "sessions:write").problem == (403, "scope-missing")
    owner = service.create()
    assert service.call("insights/query", token=owner.token).problem == (403, "scope-missing")


def test_a_query_that_fails_is_a_503_with_its_reason(service: Service) -> None:
    class Failing:
        def run(self, sql: str) -> Result:  # noqa: ARG002 - the engine's signature
            raise QueryFailed(reason="system", execution="q-1")

    service.graph.query_engine = Failing()
    answer = ask(service, "questions")
    assert answer.problem == (503, "query-failed")
    assert (answer.json["reason"], answer.json["execution"]) == ("system", "q-1")
    assert answer.headers["Retry-After"] == "10"
    assert "SELECT" not in answer.text
