"""A world in memory in which each function runs under its own policy."""

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

from tessera.insights.athena import Athena
from tessera.model.caller import Caller, Scope
from tessera.model.changes import Change
from tessera.model.clock import system_clock
from tessera.realtime.delivery import Delivery
from tessera.realtime.webpush import new_vapid
from tessera.settings import Settings
from tessera.stores.attributes import encode_item
from tessera.stores.bucket import Bucket, MemoryBucket
from tessera.stores.facts import MemoryFacts
from tessera.stores.keys import CORE, MARKER, SEGMENT, alias_key, child_key, outbox_key, partition
from tessera.stores.memory import MemoryTable
from tessera.stores.sessions import Sessions
from tessera.stores.table import Item, Key, Put, Table
from tessera.stores.tiers import Tiers
from tessera.tokens.keyring import new_ring
from tessera.wiring import Graph
from tests.support.fakes import FakeEvents, FakeLetters
from tests.template.policed import (
    KEYS,
    REALTIME,
    WEBHOOK,
    PolicedAthena,
    PolicedBucket,
    PolicedClient,
    PolicedEvents,
    PolicedFacts,
    PolicedLetters,
    PolicedPosts,
    PolicedTable,
    Policy,
)
from tests.template.reading import ROOT, TEMPLATE, Function, Json, parse

FUNCTIONS = {
    f"{function.context}/{function.operation}": function for function in parse(TEMPLATE.read_text()).functions()
}
VAPID = json.dumps(new_vapid())
SERVICE = Caller(service="test", scopes=frozenset({Scope.ADMIN}))
DAY = 86_400_000
DEMANDED = {"present": ["/data/form/a"]}
"""Of a move: what lies in the bucket that every session here has."""

FORM = {"steps": [1, 2], "demands": [{"to": 2, **DEMANDED}], "finish": {}}
FUNNEL = {"steps": ["cart", "pay", "offer", "end"], "paying": "pay", "demands": [{"to": "pay", **DEMANDED}]}
SETTINGS = Settings.of(
    {
        "TABLE_NAME": "tessera-test",
        "KEYS_SECRET": "keys",
        "ARCHIVE_BUCKET": "Archive",
        "ANALYTICS_BUCKET": "Analytics",
        "ISSUER": "tessera-test",
        "AUDIENCE": "tessera",
        "LOG_SALT": "salt",
        "CLEANUP_SHARDS": "2",
        "REALTIME_TABLE": "RealtimeTable",
        "HISTORY_MESSAGES": "10",
        "FRAMES_PER_MINUTE": "50",  # few enough for each frame to be counted by itself
        "PUSH_HOSTS": "push.example",
        "METRICS_FLUSH_SECONDS": "0",
        "PAYMENT_PROVIDER": "sandbox",
        "KINDS": json.dumps({"form": {"flow": FORM}, "checkout": {"flow": FUNNEL}}),
        "BITRIX24": "on",
        "EXPERIMENTS": json.dumps({"button": {"variations": ["blue", "green"]}}),
    }
)


@dataclass(frozen=True)
class Made:
    """A session that exists: its id, an id that it had elsewhere, its caller and its tokens."""

    id: str
    alias: str
    caller: Caller
    tokens: Json


class GonePushService:
    """Knows no browser any more."""

    def post(self, _endpoint: str, _body: bytes, _headers: Mapping[str, str]) -> int:
        return 410


@dataclass
class World:
    """One table, two buckets and one ring for all functions, each under its own policy."""

    now: int = field(default_factory=system_clock)  # PyJWT knows no other
    table: Table = field(default_factory=MemoryTable)
    realtime: Table = field(default_factory=MemoryTable)
    buckets: dict[str, Bucket] = field(
        default_factory=lambda: {name: MemoryBucket() for name in ("Archive", "Analytics")}
    )
    facts: MemoryFacts = field(default_factory=MemoryFacts)
    events: FakeEvents = field(default_factory=FakeEvents)
    letters: FakeLetters = field(default_factory=FakeLetters)
    webhook: str = ""
    ring: str = field(default_factory=lambda: json.dumps(new_ring(system_clock())))
    keys: Iterator[str] = field(default_factory=lambda: map(str, count()))
    policies: dict[str, Policy] = field(default_factory=dict)

    @property
    def sessions(self) -> Sessions:
        """The store without any policy, to look and to prepare."""
        return Sessions(self.table, lambda: self.now, SETTINGS.cleanup_shards)

    def invoke(self, name: str, event: Json) -> Any:
        """Run a function under its policy."""
        handler = handler_of(FUNCTIONS[name])
        handler.container.wire(self._graph(self.policies.setdefault(name, Policy(FUNCTIONS[name]))))
        return handler(event, SimpleNamespace(get_remaining_time_in_millis=lambda: 300_000))

    def call(
        self,
        name: str,
        caller: Caller,
        body: Json = None,
        /,
        *,
        key: str | None = None,
        method: str | None = None,
        ends: str = "",
        query: Mapping[str, str] | None = None,
        **path: str,
    ) -> Json:
        """Call a function over HTTP, under a new Idempotency-Key by default; return its JSON."""
        routes = FUNCTIONS[name].events("HttpApi")
        fitting = (r for r in routes if method in (None, r["Method"]) and _named(r["Path"]) == path.keys())
        route = next(r for r in fitting if r["Path"].endswith(ends))
        event = _http(route["Method"], route["Path"], caller, body, path)
        event["headers"]["idempotency-key"] = key or next(self.keys)
        event |= {"rawQueryString": urlencode(query or {}), "queryStringParameters": dict(query or {})}
        answer = self.invoke(name, event)
        assert answer["statusCode"] < 300, answer
        return json.loads(answer["body"]) if "json" in answer["headers"].get("Content-Type", "") else None

    def create(self, customer_id: str | None = None, kind: str = "chat") -> Made:
        """Create a session with a bucket, through its function; it has an alias."""
        customer = {"customer": {"customerId": customer_id}} if customer_id else {}
        made = self.call("sessions/create", SERVICE, {"kind": kind, "data": {"form": {"a": 1}}, **customer})
        record = self.sessions.find(made["session"]["id"])
        alias = f"old-{next(self.keys)}"
        self.table.transact([Put({**alias_key(alias)._asdict(), "id": record.id})])
        self.table.update(child_key(record.id, MARKER), Change({("aliases",): [alias]}))
        return Made(record.id, alias, Caller(session_id=record.id, epoch=record.epoch), made["tokens"])

    def say(self, made: Made, *messages: Json) -> Json:
        """Append messages, through the function."""
        return self.call("conversations/append", made.caller, {"messages": messages}, sessionId=made.id)

    def archive(self, made: Made) -> None:
        """Archive the messages of a session, as the stream has it done."""
        records = [_record("INSERT", item) for item in self.segments(made)]
        assert self.invoke("conversations/archive", {"Records": records}) == {"batchItemFailures": []}

    def segments(self, made: Made) -> list[Item]:
        """Return what of a session's messages is in the table."""
        return [*self.table.query(partition(made.id), SEGMENT)]

    def forget(self, made: Made) -> Json:
        """Take the messages out of the table, as TTL does; return what the stream says of it."""
        gone = self.segments(made)
        self.table.delete_many([Key(item["pk"], item["sk"]) for item in gone])
        return {"Records": [_record("REMOVE", item) for item in gone]}

    def order(self) -> Json:
        """Complete an order, through the functions; return what the stream says of it."""
        body = {"kind": "checkout", "amount": 100, "currency": "EUR"}
        session_id = self.call("sessions/create", SERVICE, body)["session"]["id"]
        for status in ("processing", "completed"):
            self.call("sessions/update", SERVICE, {"status": status}, sessionId=session_id)
        (item,) = self.table.query(outbox_key(session_id).pk)
        return {"Records": [_record("INSERT", item)]}

    def born(self, made: Made) -> Json:
        """Return what the stream says of a session that is new."""
        (core,) = self.table.query(partition(made.id), CORE)
        return {"Records": [_record("INSERT", core)]}

    def connect(self, name: str, ticket: str) -> Json:
        """Open a socket of that name."""
        protocols = {"Sec-WebSocket-Protocol": f"tessera.v1, ticket.{ticket}"}
        event = {"headers": protocols, "requestContext": {"connectionId": name}}
        return self.invoke("realtime/connect", event)

    def send(self, name: str, frame: Json) -> Json:
        """Send a frame over a socket; return the answer."""
        event = {"requestContext": {"connectionId": name}, "body": json.dumps(frame)}
        return json.loads(self.invoke("realtime/message", event)["body"])

    def core(self, made: Made) -> Item:
        """Return the item of a session."""
        (core,) = self.table.query(partition(made.id), CORE)
        return core

    def changed(self, old: Item, new: Item | None) -> Json:
        """Return what the stream says of a change."""
        record = _record("MODIFY" if new else "REMOVE", old)
        record["eventID"] = next(self.keys)
        if new:
            record["dynamodb"]["NewImage"] = encode_item(new)
        return record

    def born_messages(self, made: Made) -> list[Json]:
        """Return what the stream says of a session's messages."""
        return [_record("INSERT", item) | {"eventID": next(self.keys)} for item in self.segments(made)]

    def sweep_at(self, name: str, at: int) -> None:
        """Have the sweep look at a socket at a time."""
        key = Key(f"CONNECTION#{name}", "CONNECTION")
        self.realtime.update(key, Change({("dueAt",): at, ("endsAt",): at}))

    def streamed(self, *prefixes: str) -> Json:
        """Return what the stream of the live table says of its items whose partition or sort key begins so."""
        items = [
            item
            for item in _all(self.realtime)
            if item["pk"].startswith(prefixes) or item["sk"].startswith(prefixes)
        ]
        return {"Records": [_record("INSERT", item) for item in items]}

    def _graph(self, policy: Policy) -> Graph:
        def fetch_keys(_fresh: bool) -> str:
            policy.require("secretsmanager:GetSecretValue", KEYS)
            return self.ring

        def fetch_webhook(_fresh: bool) -> str:
            policy.require("secretsmanager:GetSecretValue", WEBHOOK)
            return json.dumps({"webhook": self.webhook})

        def fetch_push_keys() -> str:
            policy.require("secretsmanager:GetSecretValue", {"Ref": "PushKeys"})
            return VAPID

        graph = Graph(
            settings=SETTINGS,
            table=PolicedTable(self.table, policy),
            tiers=Tiers(),
            fetch_keys=fetch_keys,
            clock=lambda: self.now,
            client=PolicedClient(policy),
            open_bucket=lambda name: PolicedBucket(self.buckets[name], name, policy),
            fetch_push_keys=fetch_push_keys,
            push_service=GonePushService(),
            open_table=lambda _: PolicedTable(self.realtime, policy, REALTIME),
            fetch_webhook=fetch_webhook,
        )
        graph.posts = PolicedPosts(policy)
        live = graph.connections, graph.topics, graph.realtime_table, graph.posts, graph.clock
        graph.delivery = Delivery(*live, page=1)
        graph.events, graph.letters = PolicedEvents(self.events, policy), PolicedLetters(self.letters, policy)
        graph.facts = PolicedFacts(self.facts, policy)
        graph.query_engine = Athena(PolicedAthena(policy), "workgroup", "database", graph.tiers, graph.clock)
        return graph


def _all(table: Table) -> list[Item]:
    assert isinstance(table, MemoryTable)
    return [*table._items.values()]


def _named(path: str) -> set[str]:
    return set(re.findall(r"{(\w+)}", path))


def handler_of(function: Function) -> Any:
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
    return {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": raw_path,
        "headers": {"content-type": "application/json"} if body is not None else {},
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


def _record(name: str, item: Item) -> Json:
    """Return a record of the table's stream."""
    keys = {"pk": {"S": item["pk"]}, "sk": {"S": item["sk"]}}
    image = {"NewImage" if name == "INSERT" else "OldImage": encode_item(item)}
    return {"eventName": name, "dynamodb": {"Keys": keys, "SequenceNumber": item["sk"], **image}}
