"""Schemathesis over docs/openapi.json on the deployed system: no 500, no answer that is not described."""

import json
from uuid import uuid4

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


SECONDS = 60
"""A cold start on a busy machine takes longer than Schemathesis waits of itself."""

brief = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))


@schema.parametrize()
@brief
def test_a_service_gets_only_what_is_described(case: Case, endpoints: Endpoints) -> None:
    exercise(case, endpoints.http, endpoints.admin_token)


@schema.include(path_regex="sessionId").parametrize()
@brief
def test_a_service_gets_only_what_is_described_of_a_live_session(
    case: Case, endpoints: Endpoints, anyone: Caller
) -> None:
    """Each case has a session of its own: one may end it, log it in or delete it."""
    case.path_parameters["sessionId"] = opened(anyone, kind="form").id
    exercise(case, endpoints.http, endpoints.admin_token)


@schema.include(path_regex="/sessions").exclude(method="DELETE").parametrize()
@brief
def test_a_session_gets_only_what_is_described(case: Case, endpoints: Endpoints, anyone: Caller) -> None:
    """Each case has a session of its own here too: an extension may be a second long."""
    if "sessionId" in case.path_parameters:
        case.path_parameters["sessionId"] = "me"
    exercise(case, endpoints.http, opened(anyone, kind="form").tokens["accessToken"])


@schema.include(path_regex="messages").parametrize()
@brief
def test_a_chat_gets_only_what_is_described(case: Case, endpoints: Endpoints, admin: Caller) -> None:
    """Each case has a conversation of its own, and a customer whose memory it is."""
    customer = f"c-{uuid4()}"
    chat = opened(admin, kind="chat", customer={"customerId": customer})
    said = [{"role": "user", "content": f"message {number}", "messageId": f"m-{number}"} for number in range(3)]
    chat.holder.post("/sessions/me/messages", {"messages": said}).ok(201)
    own = {"sessionId": "me", "customerId": customer}
    case.path_parameters |= {name: own[name] for name in case.path_parameters}
    exercise(case, endpoints.http, chat.tokens["accessToken"])


def exercise(case: Case, base: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    case.call_and_validate(base_url=base, headers=headers, checks=CHECKS, timeout=SECONDS)
