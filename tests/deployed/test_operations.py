"""Health, metrics and the description of the API on the deployed system."""

import json
import re
from collections.abc import Callable
from typing import Any

from local.paths import ROOT
from local.stack import Stack
from tests.deployed.test_sessions import eventually
from tests.support.client import Caller, opened


def test_health_names_its_checks(anyone: Caller) -> None:
    health = anyone.get("/health").ok()
    assert health["status"] == "ok"
    assert {name: check["status"] for name, check in health["checks"].items()} == {
        "table": "ok",
        "keys": "ok",
        "cleanup": "ok",
    }


def test_health_is_503_when_the_clean_up_has_stopped(anyone: Caller, table: Any) -> None:
    state = {"pk": {"S": "CLEANUP"}, "sk": {"S": "STATE"}, "hour": {"N": "0"}, "finishedAt": {"N": "0"}}
    kept = table.client.get_item(
        TableName=table.name, Key={name: state[name] for name in ("pk", "sk")}, ConsistentRead=True
    ).get("Item")
    table.client.put_item(TableName=table.name, Item=state)
    try:
        answer = anyone.get("/health")
        assert (answer.status, answer.problem) == (503, "unhealthy")
        assert answer.json["checks"]["cleanup"]["status"] == "overdue"
        assert "retry-after" in answer.headers
    finally:
        if kept:
            table.client.put_item(TableName=table.name, Item=kept)
        else:
            table.client.delete_item(TableName=table.name, Key={name: state[name] for name in ("pk", "sk")})


def test_metrics_count_what_happens(anyone: Caller, admin: Caller) -> None:
    def series(name: str) -> Callable[[], float]:
        def read() -> float:
            text = admin.get("/metrics").response.text
            assert re.fullmatch(r"(# TYPE \w+ counter\n|[a-z_]+(\{[^}]*\})? [0-9.e+]+\n)*", text)
            found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
            return float(found[1]) if found else 0.0

        return read

    created = series("tessera_sessions_created_total")
    completed = series("tessera_sessions_completed_total")
    before = created(), completed()
    session = opened(anyone)
    for status in ("processing", "completed"):
        admin.patch(f"/sessions/{session.id}", {"status": status}).ok()
    eventually(lambda: (created(), completed()) >= (before[0] + 1, before[1] + 1))


def test_the_description_is_the_one_in_the_documents(anyone: Caller) -> None:
    assert anyone.get("/openapi.json").ok() == json.loads((ROOT / "docs" / "openapi.json").read_text())


def test_logs_hold_no_id_no_token_and_nothing_personal(anyone: Caller, stack: Stack) -> None:
    session = opened(anyone, email="log@example.org", customer={"phone": "+4912345"})
    session.holder.get(f"/sessions/{session.id}").ok()
    anyone.having("made.up.token").get("/sessions/me")
    lines = "".join(_logs(stack))
    assert "sessions.get" in lines
    secrets = ["log@example.org", "+4912345", session.id, "made.up.token", "127.0.0.1"]
    secrets += [session.tokens["accessToken"], session.tokens["refreshToken"], session.cookie[:60]]
    assert [secret for secret in secrets if secret in lines] == []


def _logs(stack: Stack) -> list[str]:
    logs = stack.clients.logs
    groups = logs.describe_log_groups()["logGroups"]
    return [
        event["message"]
        for group in groups
        for stream in logs.describe_log_streams(logGroupName=group["logGroupName"])["logStreams"]
        for event in logs.get_log_events(
            logGroupName=group["logGroupName"], logStreamName=stream["logStreamName"], startFromHead=True
        )["events"]
    ]
