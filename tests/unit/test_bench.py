"""The benchmarks can be run, and what they found is on record. Nothing here measures a time."""

import json
import re
from datetime import date
from importlib import import_module
from pathlib import Path

import pytest

from bench import BENCHMARKS
from bench.harness import RESULTS, Outcome, Target
from local.paths import ROOT

MEMBERS = {"name", "command", "date", "machine", "figures", "target", "reached"}


def test_make_bench_runs_every_benchmark_there_is_and_the_page_tells_of_each() -> None:
    modules = {path.stem for path in RESULTS.parent.glob("*.py") if "\ndef run() -> Outcome:" in path.read_text()}
    told = re.findall(r"`python -m bench (\w+)`", (ROOT / "docs" / "performance.md").read_text())
    assert modules == {*BENCHMARKS} == {*told}
    assert {path.stem for path in RESULTS.glob("*.json")} == modules


@pytest.mark.parametrize("name", BENCHMARKS)
def test_each_benchmark_imports(name: str) -> None:
    assert callable(import_module(f"bench.{name}").run)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_each_result_says_how_and_when_it_was_made(name: str) -> None:
    result = json.loads((RESULTS / f"{name}.json").read_text())
    assert result.keys() == MEMBERS
    assert result["command"] == f"python -m bench {name}"
    assert date.fromisoformat(result["date"])
    assert result["target"].keys() == result["reached"].keys() <= result["figures"].keys()


def test_a_figure_on_its_target_has_reached_it() -> None:
    targets = [Target("ratio", at_most=1.3), Target("rate", at_least=5)]
    assert all(target.reached({"ratio": 1.3, "rate": 5}) for target in targets)
    assert not any(target.reached({"ratio": 1.31, "rate": 4.9}) for target in targets)


def test_a_result_names_no_machine(tmp_path: Path) -> None:
    """Enough to compare by, nothing to find anybody by."""
    Outcome("some", {"ratio": 1.0}, [Target("ratio", at_most=1.3)]).write(tmp_path)
    machine = json.loads((tmp_path / "some.json").read_text())["machine"]
    assert machine.keys() == {"cores", "cpu", "memory_gib", "python", "load_average", "nice"}
