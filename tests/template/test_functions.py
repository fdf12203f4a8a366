"""The tree is the diagram: template.yaml, functions/ and events/ say the same, in the same order."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.invoke import LAYERS, MORE_LAYERS
from tests.template.reading import ROOT, TEMPLATE, Template, parse

FILES = sorted((ROOT / "functions").glob("*/*.py"))
CONTEXTS = [
    *["sessions", "tokens", "data", "conversations", "flows", "activity", "experiments", "realtime", "insights"],
    *["lifecycle", "integrations", "operations"],
]
MAY_IMPORT = {"tessera", "pydantic", "aws_lambda_powertools", *sys.stdlib_module_names}


@pytest.fixture(scope="module")
def template() -> Template:
    return parse(TEMPLATE.read_text())


def test_every_file_is_a_function_and_every_function_a_file(template: Template) -> None:
    assert {_path(file) for file in FILES} == {f"{f.context}/{f.operation}" for f in template.functions()}


def test_contexts_stand_in_the_order_of_the_design_and_in_one_piece(template: Template) -> None:
    in_order = [function.context for function in template.functions()]
    assert in_order == sorted(in_order, key=CONTEXTS.index)


def test_every_function_has_a_sample_event(template: Template) -> None:
    wanted = [ROOT / "events" / f.context / f"{f.operation}.json" for f in template.functions()]
    assert [str(event) for event in wanted if not event.is_file()] == []


def test_every_sample_event_has_a_function(template: Template) -> None:
    events = {_path(event) for event in (ROOT / "events").glob("*/*.json")}
    assert events <= {f"{f.context}/{f.operation}" for f in template.functions()}


def test_make_invoke_puts_the_layers_of_the_template_on_the_path(template: Template) -> None:
    found = {
        f"{f.context}/{f.operation}": [layer["Ref"] for layer in f.properties["Layers"]]
        for f in template.functions()
    }
    assert found == {name: [*LAYERS, *MORE_LAYERS.get(name, ())] for name in found}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_function_imports_the_layers_and_nothing_beside_them(file: Path) -> None:
    """Above all not another function: each context's folder is one package, so Python would let it."""
    assert {*_imported(file.read_text())} <= MAY_IMPORT - {
        other.stem for other in FILES if other.parent == file.parent
    }


@pytest.mark.parametrize(
    "line",
    [
        "import create",
        "from create import handler",
        "from . import create",
        "from local import stack",
        "import boto3",
    ],
)
def test_a_forbidden_import_is_seen(line: str) -> None:
    assert not {*_imported(line)} <= MAY_IMPORT


def _path(file: Path) -> str:
    return f"{file.parent.name}/{file.stem}"


def _imported(source: str) -> Iterator[str]:
    """Yield the package that each import begins with; "." for a relative one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." if node.level else str(node.module).partition(".")[0]
