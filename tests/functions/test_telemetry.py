"""Logs and metrics: what is told of each request, and what never is."""

import json
from typing import Any

import pytest

from tessera.model.caller import NOBODY
from tessera.model.changes import Change
from tessera.stores.keys import core_key
from tessera.stores.memory import MemoryTable
from tests.functions.conftest import Output
from tests.functions.operations import HTTP, ON_A_SESSION
from tests.functions.service import CSRF, Context, Owner, Service, owners_body
from tests.support.fakes import FailingStore, FakeClock

EMAIL = "ada@example.com"
ADDRESS = "203.0.113.7"


def test_a_request_is_one_line(service: Service, output: Output) -> None:
    owner = service.create()
    output.lines()
    service.call("sessions/get", owner.id, token=owner.token, query={}, headers={"x-correlation-id": "abc-123"})
    authorizer, line = output.logs()
    assert authorizer["message"] == "tokens.authorize"
    assert line["message"] == "request"
    assert line["operation"] == "sessions.get"
    assert line["status"] == 200
    assert line["correlation_id"] == "abc-123"
    assert line["tiers"].startswith("L2;dur=")
    assert line["degraded"] is False
    assert line["milliseconds"] >= 0


def test_ids_are_pseudonyms_that_stay_the_same(service: Service, output: Output) -> None:
    """They tell sessions apart within one deployment, and cannot be matched with another one's."""
    owner, other = service.create(), service.create()
    output.lines()
    for token, asked in ((owner.token, owner.id), (owner.token, other.id), (other.token, other.id)):
        service.call("sessions/get", asked, token=token, query={})
    own, foreign, others = (line for line in output.logs() if line["message"] == "request")
    assert own["caller"] == own["session"] == foreign["caller"]
    assert foreign["session"] == others["caller"] == others["session"] != own["session"]
    elsewhere = service.another(LOG_SALT="another stack")
    elsewhere.call("sessions/get", owner.id, token=owner.token, query={})
    assert output.logs()[-1]["caller"] != own["caller"]


@pytest.mark.parametrize("name", HTTP)
@pytest.mark.parametrize("by", ["token", "cookie", "service"])
def test_no_line_holds_what_is_personal_or_secret(
    service: Service, output: Output, clock: FakeClock, name: str, by: str
) -> None:
    """Neither ids nor tokens, e-mail, address or cookie, whether the operation goes well or not."""
    owner = service.login(service.create(email=EMAIL), "customer-1")
    service_token = service.service_token()
    clock.forward(1)
    credentials: dict[str, Any] = {
        "token": {"token": owner.token},
        "cookie": {"cookie": owner.cookie},
        "service": {"token": service_token},
    }[by]
    body = owners_body(name) or (
        {"refreshToken": owner.refresh_token} if name == "tokens/refresh" else {"email": EMAIL}
    )
    for asked, sent in ((owner.id, body), ("me", body), (EMAIL, {"id": EMAIL})):
        id_ = asked if name in ON_A_SESSION else None
        service.call(name, id_, body=sent, headers=CSRF, **credentials)
    lines = output.capsys.readouterr()
    text = lines.out + lines.err
    secrets = [owner.id, EMAIL, ADDRESS, owner.token, service_token, owner.refresh_token, owner.cookie]
    assert [secret for secret in secrets if secret in text] == []
    assert "customer-1" not in text
    assert text.count('"message":"request"') == 3 + 2  # and those of the creation and the login


def test_an_unforeseen_fault_is_logged_and_not_told(service: Service, output: Output) -> None:
    owner = service.create()
    service.graph.sessions = _Broken()  # a cached property: this is what it holds from now on
    answer = service.call("sessions/get", "me", token=owner.token)
    assert answer.problem == (500, "internal-error")
    assert answer.json == {"type": "/problems/internal-error", "title": "Internal error", "status": 500}
    assert answer.headers["Cache-Control"] == "no-store"
    (line,) = (line for line in output.logs() if line["message"] == "unforeseen")
    assert line["level"] == "ERROR"
    assert line["operation"] == "sessions.get"
    assert "RuntimeError: the bug" in line["exception"]


def test_a_fault_outside_the_operation_is_a_problem_too(service: Service, output: Output) -> None:
    limited = service.another(RATE_LIMITS="on")
    limited.graph.counters = _Broken()
    answer = limited.call("sessions/create")
    assert answer.problem == (500, "internal-error")
    assert "unforeseen" in {line["message"] for line in output.logs()}


def test_a_poisoned_item_is_a_fault_of_ours_and_its_content_is_not_logged(
    service: Service, output: Output
) -> None:
    owner = service.create()
    service.table.update(core_key(owner.id), Change({("email",): {"of": EMAIL}}))
    assert service.call("sessions/get", "me", token=owner.token).problem == (500, "internal-error")
    lines = output.lines()
    assert "PoisonedItem" in repr(lines)
    assert EMAIL not in repr(lines)
    assert owner.id not in repr(lines)


def test_created_and_completed_sessions_are_counted(service: Service, output: Output) -> None:
    owner = service.create()
    token = service.service_token()
    for status in ("processing", "completed", "completed"):
        service.call("sessions/update", owner.id, token=token, body={"status": status})
    metrics = output.metrics()
    assert metrics["SessionsCreated"] == [1]
    assert metrics["SessionsCompleted"] == [1]
    assert metrics["Requests"] == [1, 1, 1, 1]
    assert "Errors" not in metrics


def test_expired_sessions_are_counted_once(service: Service, output: Output, clock: FakeClock) -> None:
    for _ in range(3):
        service.create(ttlSeconds=1)
    clock.forward(1)
    for _ in range(2):
        service.handler("lifecycle/cleanup")({}, Context(300_000))
    metrics = output.metrics()
    assert metrics["SessionsExpired"] == [3, 0]
    assert metrics["CleanupLagSeconds"] == [0, 0]


def test_errors_are_counted_and_latency_by_tier(service: Service, output: Output) -> None:
    service.call("sessions/get", token=service.service_token())
    metrics = output.metrics()
    assert metrics["Errors"] == [1]
    assert metrics["Requests"] == [1]
    assert metrics["L2Latency"][0] >= 0


def test_what_l1_answers_counts_to_l1(service: Service, output: Output) -> None:
    cached = service.another(KINDS='{"auth": {"cacheSeconds": 2}}')
    owner = cached.create()
    cached.call("sessions/get", "me", token=owner.token, query={})
    output.lines()
    cached.call("sessions/get", "me", token=owner.token, query={})
    metrics = output.metrics()
    assert "L1Latency" in metrics
    assert "L2Latency" not in metrics


def test_metrics_are_emf(service: Service, output: Output) -> None:
    service.create()
    (line,) = (line for line in output.lines() if "_aws" in line)
    (definition,) = line["_aws"]["CloudWatchMetrics"]
    assert definition["Namespace"] == "Tessera"
    assert {metric["Name"]: metric["Unit"] for metric in definition["Metrics"]} == {
        "SessionsCreated": "Count",
        "Requests": "Count",
        "L2Latency": "Milliseconds",
    }


def test_the_aggregates_are_in_the_format_of_prometheus(service: Service) -> None:
    owner = service.create()
    service.call("sessions/get", "me", token=owner.token)
    service.call("sessions/get", token=service.service_token())
    answer = service.call("operations/metrics", token=service.service_token())
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert "# TYPE tessera_sessions_created_total counter" in lines
    assert "tessera_sessions_created_total 1.0" in lines
    assert 'tessera_requests_total{operation="sessions.get",status="200"} 1.0' in lines
    assert 'tessera_errors_total{operation="sessions.get",status="404"} 1.0' in lines
    assert any(line.startswith('tessera_tier_milliseconds_sum{tier="L2"} ') for line in lines)
    assert lines.count("# TYPE tessera_requests_total counter") == 1
    assert answer.text.endswith("\n")


def test_aggregates_are_written_at_most_every_so_many_seconds(service: Service, clock: FakeClock) -> None:
    rare = service.another(METRICS_FLUSH_SECONDS="10")
    seen = []
    for _ in range(4):
        rare.call("sessions/create", authorizer={"lambda": NOBODY.context()})
        seen.append(rare.graph.counters.totals().get("tessera_sessions_created_total"))
        clock.forward(5)
    assert seen == [1, 1, 3, 3]


def test_a_failing_table_keeps_the_aggregates_for_later(service: Service, clock: FakeClock) -> None:
    table = FailingStore(MemoryTable())
    failing = Service(clock, service.secret, table)
    failing.create()
    table.down = True
    assert failing.call("sessions/create").status == 503
    clock.forward(1)
    table.down = False
    failing.create()
    totals = failing.graph.counters.totals()
    assert totals['tessera_requests_total{operation="sessions.create",status="201"}'] == 2
    assert totals['tessera_requests_total{operation="sessions.create",status="503"}'] == 1


class _Broken:
    """A store with a bug."""

    def __getattr__(self, verb: str) -> Any:
        raise RuntimeError("the bug")


def test_every_line_is_json(service: Service, output: Output) -> None:
    owner: Owner = service.create()
    service.call("sessions/get", "me", token=owner.token)
    lines = output.capsys.readouterr().out.splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)
