"""docs/openapi.json is what the handlers say, complete, and valid OpenAPI 3.1."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from local.openapi.document import DOCUMENT, document, text
from local.openapi.handlers import handlers
from local.openapi.tidy import objects
from local.paths import ROOT
from tests.template.reading import TEMPLATE, parse

type Json = dict[str, Any]
PROBLEM = "application/problem+json"
PUBLIC = {"getHealth", "getKeys", "getOpenapi"}
OPTIONAL = {"createSession", "refreshTokens"}
IF_MATCH = {
    *["updateSession", "deleteSession", "extendSession", "loginSession"],
    *["saveData", "patchData", "removeData"],
    *["appendMessages", "clearMessages", "popMessage"],
    *["advanceSession", "finishSession", "processCheckout", "processUpsell", "assignVariation"],
    *["setCart", "recordCartActions", "recordViews"],
}


@pytest.fixture(scope="module")
def described() -> Json:
    return document()


def test_the_file_is_not_stale() -> None:
    assert text() == DOCUMENT.read_text(encoding="utf-8"), "it is stale: run `make openapi`"


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_same_handlers_give_the_same_text(seed: str) -> None:
    """Whatever order sets have in a process."""
    program = "from local.openapi.document import text; print(text(), end='')"
    environment = os.environ | {
        "PYTHONHASHSEED": seed,
        "PYTHONPATH": f"{ROOT / 'layers' / 'tessera' / 'python'}:{ROOT}",
    }
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, encoding="utf-8"
    )
    assert ran.stdout == DOCUMENT.read_text(encoding="utf-8")


def test_it_is_valid_openapi(described: Json) -> None:
    assert described["openapi"] == "3.1.0"
    errors = [f"{error.instance_path}: {error.message}" for error in OPENAPI_31_VALIDATOR.iter_errors(described)]
    assert errors == []


def test_its_routes_are_those_of_the_template(described: Json) -> None:
    deployed = {
        (route["Method"], route["Path"])
        for function in parse(TEMPLATE.read_text()).functions()
        for route in function.events("HttpApi")
    }
    assert {(method.upper(), path) for method, path, _ in _operations(described)} == deployed


def test_what_a_bearer_token_opens_has_an_authorizer(described: Json) -> None:
    opened = {
        (route["Method"].lower(), route["Path"])
        for function in parse(TEMPLATE.read_text()).functions()
        for route in function.events("HttpApi")
        if route.get("Auth", {}).get("Authorizer") == "NONE"
    }
    without = {
        (method, path)
        for method, path, operation in _operations(described)
        if not any("accessToken" in way for way in operation["security"])
    }
    assert without == opened


def test_every_reference_leads_somewhere_and_nothing_is_left_over(described: Json) -> None:
    references = {found["$ref"] for found in objects(described) if "$ref" in found}
    held = {
        f"#/components/{section}/{name}"
        for section, components in described["components"].items()
        if section != "securitySchemes"
        for name in components
    }
    assert references == held


def test_operations_have_names_of_their_own(described: Json) -> None:
    names = [operation["operationId"] for _, _, operation in _operations(described)]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z]+[A-Z][A-Za-z]+", name) for name in names)


def test_every_operation_says_what_it_does(described: Json) -> None:
    for _, _, operation in _operations(described):
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"]


def test_what_a_handler_raises_is_described(described: Json) -> None:
    operations = {operation["operationId"]: operation for _, _, operation in _operations(described)}
    for handler in handlers():
        for operation_id in handler.descriptions:
            slugs = _slugs(described, operations[operation_id])
            assert {(problem.status, problem.slug) for problem in handler.app.raises} <= slugs


def test_each_operation_has_the_problems_of_its_kind(described: Json) -> None:
    for method, path, operation in _operations(described):
        statuses = {int(status) for status in operation["responses"]}
        name = operation["operationId"]
        assert {500, 503} <= statuses
        assert (401 in statuses) is (name not in PUBLIC)
        assert ({403, 429} <= statuses) is (name not in PUBLIC and name != "refreshTokens")
        assert ({400, 413, 415, 422} <= statuses) is ("requestBody" in operation)
        assert (412 in statuses) is (name in IF_MATCH)
        assert (404 in statuses) or "{" not in path
        assert (409 in statuses) or method != "post"


def test_every_error_is_a_problem(described: Json) -> None:
    for status, answer in _answers(described):
        if status < 400:
            assert PROBLEM not in answer.get("content", {})
            continue
        content = answer["content"]
        assert list(content) == [PROBLEM]
        assert content[PROBLEM]["schema"] == {"$ref": "#/components/schemas/Problem"}
        for slug in content[PROBLEM]["examples"]:
            value = described["components"]["examples"][slug]["value"]
            assert value["status"] == status
            assert value["type"] == f"/problems/{slug}"


def test_headers_and_parameters_are_where_they_work(described: Json) -> None:
    for method, _, operation in _operations(described):
        parameters = [p["$ref"].rpartition("/")[2] for p in operation.get("parameters", ()) if "$ref" in p]
        wanted = ["IfMatch"] if operation["operationId"] in IF_MATCH else []
        wanted += ["IfNoneMatch"] if operation["operationId"] in ("saveData", "patchData") else []
        assert parameters == wanted + (["IdempotencyKey"] if method == "post" else [])
    for status, answer in _answers(described):
        assert ("Retry-After" in answer["headers"]) or status not in (429, 503)


def test_every_answer_of_a_limited_operation_tells_what_is_left(described: Json) -> None:
    for _, _, operation in _operations(described):
        for answer in operation["responses"].values():
            told = {"RateLimit", "RateLimit-Policy"} & _resolved(described, answer)["headers"].keys()
            assert len(told) == (2 if "429" in operation["responses"] else 0), operation["operationId"]


def test_a_deletion_has_no_body(described: Json) -> None:
    assert "content" not in described["paths"]["/sessions/{sessionId}"]["delete"]["responses"]["204"]


def test_writing_by_cookie_needs_the_csrf_header(described: Json) -> None:
    for method, _, operation in _operations(described):
        for way in operation["security"]:
            assert ("csrf" in way) is ("cookie" in way and method != "get")
        optional = operation["operationId"] in OPTIONAL
        assert ({} in operation["security"]) is optional


def test_nothing_of_the_resolver_itself_shows(described: Json) -> None:
    assert not {"HTTPValidationError", "ValidationError"} & described["components"]["schemas"].keys()
    assert not [found for found in objects(described) if found.get("description") == "Successful Response"]


def _operations(described: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def _answers(described: Json) -> Iterator[tuple[int, Json]]:
    for _, _, operation in _operations(described):
        for status, answer in operation["responses"].items():
            yield int(status), _resolved(described, answer)


def _slugs(described: Json, operation: Json) -> set[tuple[int, str]]:
    return {
        (int(status), slug)
        for status, answer in operation["responses"].items()
        for slug in _resolved(described, answer).get("content", {}).get(PROBLEM, {}).get("examples", ())
    }


def _resolved(described: Json, answer: Json) -> Json:
    name = answer.get("$ref", "").rpartition("/")[2]
    return described["components"]["responses"][name] if name else answer
