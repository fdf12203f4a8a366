"""The queries that are saved for the console of Athena are those of the insights."""

import pytest

from tests.template.reading import ROOT, TEMPLATE, Json, parse

FILES = {file.stem: file for file in (ROOT / "layers/tessera/python/tessera/insights/sql").glob("*.sql")}


@pytest.fixture(scope="module")
def saved() -> dict[str, Json]:
    """Return the properties of the saved queries by the name of the insight."""
    found = [query["Properties"] for _, query in parse(TEMPLATE.read_text()).of_type("AWS::Athena::NamedQuery")]
    return {query["Name"]["Fn::Sub"].removeprefix("tessera-${Stage}-"): query for query in found}


def test_each_insight_is_saved(saved: dict[str, Json]) -> None:
    assert saved.keys() == FILES.keys()


@pytest.mark.parametrize("name", FILES)
def test_a_saved_query_has_the_text_of_its_insight(name: str, saved: dict[str, Json]) -> None:
    assert saved[name]["QueryString"] == FILES[name].read_text()


@pytest.mark.parametrize("name", FILES)
def test_a_saved_query_runs_where_the_insight_runs(name: str, saved: dict[str, Json]) -> None:
    assert (saved[name]["Database"], saved[name]["WorkGroup"]) == ({"Ref": "Database"}, {"Ref": "Workgroup"})
