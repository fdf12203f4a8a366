"""Least privilege, both ways: each function does its work within its own policy, and the policy grants no more.

The real handlers run on a table in memory that refuses what IAM would refuse.
"""

import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from tessera.model.caller import Caller, Scope
from tessera.model.clock import system_clock
from tessera.model.life import extended
from tessera.settings import Settings
from tessera.stores.memory import MemoryTable
from tessera.stores.sessions import Sessions
from tessera.stores.tiers import Tiers
from tessera.tokens.keyring import new_ring
from tessera.wiring import Graph
from tests.template.policed import KEYS, TABLE, AccessDenied, PolicedClient, PolicedTable, Policy
from tests.template.reading import ROOT, TEMPLATE, Function, Json, parse

FUNCTIONS = {
    f"{function.context}/{function.operation}": function for function in parse(TEMPLATE.read_text()).functions()
}
SERVICE = Caller(service="test", scopes=frozenset({Scope.ADMIN}))
DAY = 86_400_000
SETTINGS = Settings.of(
    {
        "TABLE_NAME": "tessera-test",
        "KEYS_SECRET": "keys",
        "ARCHIVE_BUCKET": "archive",
        "ANALYTICS_BUCKET": "analytics",
        "ISSUER": "tessera-test",
        "AUDIENCE": "tessera",
        "LOG_SALT": "salt",
        "CLEANUP_SHARDS": "2",
        "METRICS_FLUSH_SECONDS": "0",
    }
)
ONLY_AT_TIMES = {("RememberAnswers", "dynamodb:GetItem"), ("RememberAnswers", "dynamodb:DeleteItem")}
"""What Powertools does when a request comes again, or fails."""


@dataclass
class World:
    """One table and one ring for all functions, each under its own policy."""

    now: int = field(default_factory=system_clock)  # PyJWT knows no other
    table: MemoryTable = field(default_factory=MemoryTable)
    ring: str = field(default_factory=lambda: json.dumps(new_ring(system_clock())))
    keys: Iterator[str] = field(default_factory=lambda: map(str, count()))
    policies: dict[str, Policy] = field(default_factory=dict)

    @property
    def sessions(self) -> Sessions:
        """The store without any policy, to look and to prepare."""
        return Sessions(self.table, lambda: self.now, SETTINGS.cleanup_shards)

    def invoke(self, name: str, event: Json) -> Any:
        """Run a function under its policy."""
        policy = self.policies.setdefault(name, Policy(FUNCTIONS[name]))

        def fetch_keys(_fresh: bool) -> str:
            policy.require("secretsmanager:GetSecretValue", KEYS)
            return self.ring

        handler = _handler(FUNCTIONS[name])
        table, client = PolicedTable(self.table, policy), PolicedClient(policy)
        handler.container.wire(Graph(SETTINGS, table, Tiers(), fetch_keys, lambda: self.now, client))
        return handler(event, SimpleNamespace(get_remaining_time_in_millis=lambda: 300_000))

    def call(self, name: str, caller: Caller, body: Json = None, key: str | None = None, **path: str) -> Json:
        """Call a function over HTTP, under a new Idempotency-Key by default; return its JSON."""
        (route,) = FUNCTIONS[name].events("HttpApi")
        event = _http(route["Method"], route["Path"], caller, body, path)
        event["headers"]["idempotency-key"] = key or next(self.keys)
        answer = self.invoke(name, event)
        assert answer["statusCode"] < 300, answer
        return json.loads(answer["body"]) if "json" in answer["headers"].get("Content-Type", "") else None

    def create(self, customer_id: str | None = None) -> "Made":
        """Create a session with a bucket, through its function."""
        customer = {"customer": {"customerId": customer_id}} if customer_id else {}
        made = self.call("sessions/create", SERVICE, {"kind": "checkout", "data": {"form": {"a": 1}}, **customer})
        record = self.sessions.find(made["session"]["id"])
        return Made(record.id, Caller(session_id=record.id, epoch=record.epoch), made["tokens"])


@dataclass(frozen=True)
class Made:
    """A session that exists, its caller and its tokens."""

    id: str
    caller: Caller
    tokens: Json


type Scenario = Callable[[World], object]


def _create(world: World) -> None:
    """The second time the answer was lost, so that the session is there already."""
    for _ in range(2):
        world.call("sessions/create", Caller(), {"kind": "form"}, key="the same")


def _cleanup(world: World) -> None:
    """Of two sessions one has expired and one was extended in time."""
    world.create()
    living = world.create()
    world.sessions.change(living.id, lambda record: extended(record, 2 * DAY // 1000, world.now))
    world.now += DAY + 60_000
    assert world.invoke("lifecycle/cleanup", {})["moved"] == 1


def _authorize(world: World) -> None:
    token = world.create().tokens["accessToken"]
    event = {"headers": {"authorization": f"Bearer {token}"}}
    assert world.invoke("tokens/authorize", event)["context"]["sessionId"]


def _refresh(world: World) -> None:
    made = world.create()
    world.call("tokens/refresh", Caller(), {"refreshToken": made.tokens["refreshToken"]})


def _revoke(world: World) -> None:
    one, _ = world.create("c1"), world.create("c1")
    assert world.call("tokens/revoke", one.caller, {"scope": "all"}) == {"revoked": 2}


def _delete(world: World) -> None:
    """A session reads itself before it goes; a service need not."""
    one, other = world.create(), world.create()
    world.call("sessions/delete", one.caller, sessionId=one.id)
    world.call("sessions/delete", SERVICE, sessionId=other.id)


def _on_a_session(name: str, body: Json = None) -> Scenario:
    def scenario(world: World) -> None:
        made = world.create()
        world.call(name, SERVICE, body, sessionId=made.id)

    return scenario


SCENARIOS: Mapping[str, Scenario] = {
    "sessions/create": _create,
    "sessions/get": lambda world: world.call("sessions/get", (made := world.create()).caller, sessionId=made.id),
    "sessions/list": lambda world: world.call("sessions/list", world.create("c1").caller),
    "sessions/update": _on_a_session("sessions/update", {"email": "a@example.com"}),
    "sessions/delete": _delete,
    "sessions/validate": _on_a_session("sessions/validate"),
    "sessions/extend": _on_a_session("sessions/extend", {"seconds": 60}),
    "sessions/login": _on_a_session("sessions/login", {"customerId": "c1"}),
    "tokens/authorize": _authorize,
    "tokens/refresh": _refresh,
    "tokens/revoke": _revoke,
    "tokens/keys": lambda world: world.call("tokens/keys", Caller()),
    "lifecycle/cleanup": _cleanup,
    "operations/health": lambda world: world.call("operations/health", Caller()),
    "operations/metrics": lambda world: world.call("operations/metrics", SERVICE),
    "operations/openapi": lambda world: world.call("operations/openapi", Caller()),
}


@pytest.fixture(autouse=True)
def _powertools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Powertools reads these itself; the template sets them."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "tessera-test")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Tessera")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_works_within_its_policy(name: str) -> None:
    world = World()
    SCENARIOS[name](world)
    assert world.policies[name].refused == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_policy_grants_nothing_that_its_function_does_not_use(name: str) -> None:
    world = World()
    SCENARIOS[name](world)
    policy = world.policies[name]
    assert policy.granted() - policy.used - ONLY_AT_TIMES == set()


@pytest.mark.parametrize("sid", ["CountRequests", "FindSession", "ReadParts"])
def test_a_missing_statement_is_noticed(sid: str) -> None:
    world = World()
    (written,) = FUNCTIONS["sessions/get"].properties["Policies"]
    rest = [statement for statement in written["Statement"] if statement["Sid"] != sid]
    world.policies["sessions/get"] = policy = Policy(_with(FUNCTIONS["sessions/get"], rest))
    with suppress(AssertionError, AccessDenied):
        SCENARIOS["sessions/get"](world)
    assert policy.refused


@pytest.mark.parametrize("partitions", [["METRICS"], ["SESSION"], ["SESSION#*", "METRICS"]])
def test_a_partition_beside_those_named_is_refused(partitions: list[str]) -> None:
    condition = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": partitions}}
    statement = {"Sid": "Find", "Action": "dynamodb:GetItem", "Resource": TABLE, "Condition": condition}
    policy = Policy(_with(FUNCTIONS["sessions/get"], [statement]))
    with pytest.raises(AccessDenied):
        policy.require("dynamodb:GetItem", TABLE, ["SESSION#one", "ALIAS#two"])


def _with(function: Function, statements: list[Json]) -> Function:
    policies = [{"Version": "2012-10-17", "Statement": statements}]
    return Function(function.logical_id, {**function.properties, "Policies": policies})


def _handler(function: Function) -> Any:
    """Import a function's file as Lambda does: by its path, under its own name."""
    path = ROOT / "functions" / function.context / f"{function.operation}.py"
    spec = importlib.util.spec_from_file_location(f"{function.context}_{function.operation}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.handler


def _http(method: str, path: str, caller: Caller, body: Json, named: Mapping[str, str]) -> Json:
    """Return an HTTP API event, payload 2.0."""
    raw_path = path.format(**named)
    headers = {"content-type": "application/json"} if body is not None else {}
    return {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": raw_path,
        "rawQueryString": "include=data" if path == "/sessions/{sessionId}" and method == "GET" else "",
        "queryStringParameters": {"include": "data"}
        if path == "/sessions/{sessionId}" and method == "GET"
        else {},
        "headers": headers,
        "pathParameters": dict(named),
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
        "requestContext": {
            "authorizer": {"lambda": caller.context()},
            "http": {"method": method, "path": raw_path, "sourceIp": "192.0.2.1"},
            "requestId": "request",
            "stage": "$default",
        },
    }
