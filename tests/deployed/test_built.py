"""The built functions as Lambda runs them: runtime emulator, runtime client, nothing but the layers."""

import json
from pathlib import Path
from typing import Any

import pytest

from local.invoke import Function, Runtime
from local.paths import EVENTS, FUNCTIONS
from local.stack import Stack

NAMES = sorted(f"{path.parent.name}/{path.stem}" for path in FUNCTIONS.glob("*/*.py"))

ANSWERS = {
    "sessions/create": 201,
    "sessions/list": 200,
    "conversations/recall": 200,
    "activity/collect": 202,
    "insights/query": 200,
    "tokens/keys": 200,
    "tokens/refresh": 401,
    "tokens/revoke": 401,
    "tokens/ticket": 401,
    "realtime/connect": 401,
    "realtime/push": 401,
    "operations/health": 200,
    "operations/metrics": 200,
    "operations/openapi": 200,
}
"""What the sample event of a function leads to on an empty system; else 404: it names no session that is."""


@pytest.fixture
def events() -> dict[str, Any]:
    return {f"{file.parent.name}/{file.stem}": json.loads(file.read_text()) for file in EVENTS.glob("*/*.json")}


def invoked(name: str, event: Any, stack: Stack) -> Any:
    function = Function.built(name, stack.build)
    with Runtime(function, stack.variables(function.code.name)) as runtime:
        result = runtime.invoke(event)
    assert not result.failed, result.logs
    assert result.init_ms, "it was a cold start"
    return result.payload


@pytest.mark.parametrize("name", NAMES)
def test_every_function_answers_its_sample_event(name: str, events: dict[str, Any], stack: Stack) -> None:
    payload = invoked(name, events[name], stack)
    match name:
        case "tokens/authorize":
            assert payload["isAuthorized"] is True
            assert payload["context"]["refusal"] in ("token-missing", "token-invalid")
        case "lifecycle/cleanup" | "lifecycle/compact":
            assert payload["done"] is True
        case "flows/reconcile":
            assert payload["lagSeconds"] == 0
        case "conversations/archive" | "insights/record" | "realtime/fanout":
            assert payload == {"batchItemFailures": []}
        case "realtime/disconnect":
            assert payload == {"statusCode": 200}
        case "realtime/message":
            assert json.loads(payload["body"])["problem"]["type"] == "/problems/connection-unknown"
        case "realtime/sweep":
            assert {*payload.values()} == {0}, "nothing is due"
        case "integrations/bitrix24":
            assert payload in ({}, {"nothing": 1}), "there is no such order, and perhaps no webhook"
        case _:
            assert payload["statusCode"] == ANSWERS.get(name, 404), payload["body"]
            assert json.loads(payload["body"]) if name != "operations/metrics" else "tessera_" in payload["body"]


def test_a_function_that_needs_keys_does_not_start_without(stack: Stack, events: dict[str, Any]) -> None:
    function = Function.built("tokens/keys", stack.build)
    secret = stack.clients.secretsmanager.create_secret(Name="empty", SecretString="{}")["ARN"]
    variables = stack.variables(function.code.name) | {"KEYS_SECRET": secret}
    with Runtime(function, variables) as runtime:
        result = runtime.invoke(events["tokens/keys"])
    assert result.failed
    assert "no key ring" in result.logs


def test_a_function_that_lacks_a_setting_names_it_and_no_value(stack: Stack, events: dict[str, Any]) -> None:
    function = Function.built("sessions/get", stack.build)
    variables = stack.variables(function.code.name) | {"TABLE_NAME": ""}
    with Runtime(function, variables) as runtime:
        result = runtime.invoke(events["sessions/get"])
    assert result.failed
    assert "TABLE_NAME" in result.logs


def test_the_built_layers_hold_byte_code_for_every_module(stack: Stack) -> None:
    """Without it a cold start costs more than twice as much."""
    for folder in stack.build.folder.iterdir():
        sources = list(folder.rglob("*.py")) if folder.is_dir() else []
        missing = [path for path in sources if not _compiled(path).exists()]
        assert missing == [], folder.name


def _compiled(source: Path) -> Path:
    return source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"
