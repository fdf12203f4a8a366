"""Schemathesis over docs/openapi.json on the deployed system: no 500, no answer that is not described."""

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from local.endpoints import Endpoints
from local.paths import ROOT
from tests.support.client import Caller, opened

schema = schemathesis.openapi.from_dict(json.loads((ROOT / "docs" / "openapi.json").read_text()))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def holder(anyone: Caller) -> str:
    return opened(anyone, kind="form").tokens["accessToken"]


@schema.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_service_gets_only_what_is_described(case: Case, endpoints: Endpoints) -> None:
    exercise(case, endpoints.http, endpoints.admin_token)


@schema.include(path_regex="/sessions").parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_session_gets_only_what_is_described(case: Case, endpoints: Endpoints, holder: str) -> None:
    if "sessionId" in case.path_parameters:
        case.path_parameters["sessionId"] = "me"
    if case.method != "DELETE":
        exercise(case, endpoints.http, holder)


def exercise(case: Case, base: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    case.call_and_validate(base_url=base, headers=headers, checks=CHECKS)
