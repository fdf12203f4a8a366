"""The whole service in this process: every handler on one graph of fakes, called with the sample events.

A call goes the way of a request: the authorizer judges it, its context goes into the event, the handler answers.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from local.openapi.handlers import load
from local.paths import EVENTS, FUNCTIONS
from tessera.insights.results import QueryEngine, Result
from tessera.realtime.pushes import PushService
from tessera.realtime.webpush import new_vapid
from tessera.settings import Settings
from tessera.stores.bucket import Bucket, MemoryBucket
from tessera.stores.facts import MemoryFacts
from tessera.stores.memory import MemoryTable
from tessera.stores.table import Table
from tessera.stores.tiers import L2, L3, Tiers
from tessera.tokens.cookie import NAME
from tessera.wiring import Graph
from tests.functions.documented import undocumented
from tests.support.fakes import FakeClock, FakeEvents, FakeLetters, FakeSecret, FakeWebhook
from tests.support.sockets import MemoryPosts

ENVIRONMENT = {
    "TABLE_NAME": "tessera-test",
    "KEYS_SECRET": "tessera-test-keys",
    "ARCHIVE_BUCKET": "tessera-test-archive",
    "ANALYTICS_BUCKET": "tessera-test-analytics",
    "ISSUER": "tessera-test",
    "AUDIENCE": "tessera",
    "ALLOWED_ORIGINS": "https://shop.example,http://localhost:*",
    "RATE_LIMITS": "off",
    "LOG_SALT": "salt",
    "METRICS_FLUSH_SECONDS": "0",
    "REALTIME_TABLE": "tessera-test-realtime",
    "PUSH_HOSTS": "push.example,*.push.services.mozilla.com",
    "PAYMENT_PROVIDER": "sandbox",
    "EXPERIMENTS": '{"button": {"variations": ["blue", "green"]}}',  # the one of the sample event
}
PUSH_KEYS = json.dumps(new_vapid())
BROWSER_KEY = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
ORIGIN = "https://shop.example"
CSRF = {"origin": ORIGIN, "x-tessera-csrf": "1"}
UNKNOWN = "ses_k3v7q2m5x4n6b7c2d3f4g5h6j7"
"""The session id of the sample events: well-formed and of nobody."""

_SAMPLE: Any = object()


@dataclass(frozen=True)
class Answer:
    """What API Gateway would pass on."""

    status: int
    headers: Mapping[str, str]
    text: str
    cookies: list[str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def slug(self) -> str:
        """Return what kind of problem it is; asserts that it is a proper one."""
        problem = self.json
        assert self.headers["Content-Type"] == "application/problem+json", self.headers
        assert problem["status"] == self.status
        assert problem["title"]
        return problem["type"].removeprefix("/problems/")

    @property
    def problem(self) -> tuple[int, str]:
        return self.status, self.slug


class Context:
    """Lambda's context, with some time left."""

    def __init__(self, milliseconds: int = 10_000) -> None:
        self.milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


class TimedStore:
    """A table or bucket whose time counts to its tier, as that of DynamoDB and S3 does."""

    def __init__(self, store: Table | Bucket, tiers: Tiers, tier: str) -> None:
        self._store, self._tiers, self._tier = store, tiers, tier

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with self._tiers.timed(self._tier):
                return getattr(self._store, verb)(*arguments, **options)

        return call


class Console:
    """The standard output of the moment: pytest has another one for each phase of a test, the logger keeps one."""

    def write(self, text: str) -> int:
        return sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


class NoRows:
    """A query engine over nothing."""

    def run(self, sql: str) -> Result:
        assert "SELECT" in sql
        return Result([], [])


@dataclass
class Service:
    """One container of every function, on one graph."""

    clock: FakeClock
    secret: FakeSecret = field(default_factory=FakeSecret)
    table: Table = field(default_factory=MemoryTable)
    client: Any = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    archive_bucket: Bucket = field(default_factory=MemoryBucket)
    analytics_bucket: Bucket = field(default_factory=MemoryBucket)
    facts: MemoryFacts = field(default_factory=MemoryFacts)
    query_engine: QueryEngine = field(default_factory=NoRows)
    realtime_table: Table = field(default_factory=MemoryTable)
    posts: MemoryPosts = field(default_factory=MemoryPosts)
    push_service: PushService | None = None
    events: FakeEvents = field(default_factory=FakeEvents)
    letters: FakeLetters = field(default_factory=FakeLetters)
    webhook: FakeWebhook = field(default_factory=FakeWebhook)

    def __post_init__(self) -> None:
        self._handlers: dict[str, Any] = {}

    @cached_property
    def graph(self) -> Graph:
        settings, tiers = Settings.of({**ENVIRONMENT, **self.environment}), Tiers()
        buckets = {
            settings.archive_bucket: self.archive_bucket,
            settings.analytics_bucket: self.analytics_bucket,
        }
        graph = Graph(
            settings=settings,
            table=TimedStore(self.table, tiers, L2),
            tiers=tiers,
            fetch_keys=self.secret.fetch,
            clock=self.clock,
            client=self.client,
            open_bucket=lambda name: TimedStore(buckets[name], tiers, L3),
            open_table=lambda _: self.realtime_table,
            fetch_push_keys=lambda: PUSH_KEYS,
            push_service=self.push_service,
            fetch_webhook=self.webhook.fetch,
            sleep=self.clock.forward,
        )
        graph.facts, graph.query_engine, graph.posts = self.facts, self.query_engine, self.posts
        graph.events, graph.letters = self.events, self.letters
        graph.telemetry.log.logger_handler.stream = Console()
        return graph

    def another(self, **environment: str) -> "Service":
        """Return other containers on the same table, buckets and keys."""
        return replace(self, environment={**self.environment, **environment})

    def handler(self, name: str) -> Any:
        """Return the handler of a function, loaded anew for this service and wired to its graph."""
        if name not in self._handlers:
            handler = load(FUNCTIONS / f"{name}.py").handler
            handler.container.wire(self.graph)
            self._handlers[name] = handler
        return self._handlers[name]

    def call(
        self,
        name: str,
        session_id: str | None = None,
        *,
        token: str | None = None,
        cookie: str | None = None,
        body: Any = _SAMPLE,
        text: str | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        authorizer: Mapping[str, Any] | None = _SAMPLE,
        context: Context | None = None,
        route: str | None = None,
        **event: Any,
    ) -> Answer:
        """Send the sample event of a function, with these things otherwise.

        `route` is another route of the function, e.g. `GET /sessions/{sessionId}`. `body` is JSON, `text` any text
        in its place; `authorizer` is a context in place of the authorizer's own.
        Whatever is answered must be in docs/openapi.json.
        """
        request = sample(name) | event
        if route is not None:
            _take_route(request, route)
        if session_id is not None:
            _name_session(request, session_id)
        request["headers"] |= ({"authorization": f"Bearer {token}"} if token else {}) | dict(headers or {})
        if cookie is not None:
            request["cookies"] = ["theme=dark", f"{NAME}={cookie}"]
        if query is not None:
            request |= {"queryStringParameters": dict(query), "rawQueryString": urlencode(query)}
        if text is not None or body is not _SAMPLE:
            request["body"] = json.dumps(body) if text is None else text
        if body is None:
            del request["body"]
        self._authorize(request, authorizer)
        raw = self.handler(name)(deepcopy(request), context or Context())
        answer = Answer(raw["statusCode"], raw["headers"], raw["body"] or "", raw["cookies"])
        unknown = None if "rawPath" in event else undocumented(request["routeKey"], answer)
        assert unknown is None, unknown
        return answer

    def authorize(self, cookies: Sequence[str] = (), **headers: str) -> dict[str, str]:
        """Return the context that the authorizer gives a request with these cookies and headers."""
        request = sample("tokens/authorize") | {"cookies": list(cookies)}
        request["headers"] |= headers
        return self.handler("tokens/authorize")(request, Context())["context"]

    def _authorize(self, request: dict[str, Any], authorizer: Mapping[str, Any] | None) -> None:
        """Public routes have no authorizer; all others have its word."""
        if authorizer is not _SAMPLE:
            request["requestContext"]["authorizer"] = authorizer
        elif "authorizer" in request["requestContext"]:
            asked = {"headers": request["headers"], "cookies": request.get("cookies", [])}
            judged = self.handler("tokens/authorize")(sample("tokens/authorize") | asked, Context())
            request["requestContext"]["authorizer"] = {"lambda": judged["context"]}

    def create(self, **body: Any) -> "Owner":
        """Create a session as a browser would."""
        answer = self.call("sessions/create", body=body)
        assert answer.status == 201, answer.text
        return Owner.of(answer)

    def login(self, owner: "Owner", customer_id: str) -> "Owner":
        """Link a session to a customer."""
        answer = self.call(
            "sessions/login", owner.id, token=self.service_token(), body={"customerId": customer_id}
        )
        assert answer.status == 200, answer.text
        return Owner.of(answer)

    def service_token(self, *scopes: str) -> str:
        """Mint a service token; an admin's by default."""
        return self.graph.access_tokens.for_service("shop", scopes or ("admin",), 900)


@dataclass(frozen=True)
class Owner:
    """Who holds a session: its id and credentials."""

    id: str
    token: str
    refresh_token: str
    cookie: str
    session: dict[str, Any]

    @staticmethod
    def of(answer: Answer) -> "Owner":
        """Take them from the answer that gave them."""
        tokens, session = answer.json["tokens"], answer.json["session"]
        return Owner(
            session["id"],
            tokens["accessToken"],
            tokens["refreshToken"],
            cookie_value(answer.cookies[0]) if answer.cookies else "",
            session,
        )


def cookie_value(cookie: str) -> str:
    """Return the value of a Set-Cookie header of ours."""
    name, _, value = cookie.partition(";")[0].partition("=")
    assert name == NAME
    return value


def owners_body(name: str) -> Any:
    """Return what the owner of a session may send to an operation; None where it takes no body."""
    bodies = {
        "realtime/push": {
            "endpoint": "https://push.example/1",
            "keys": {
                "p256dh": BROWSER_KEY,
                "auth": "BTBZMqHH6r4Tts7J_aSIgg",
            },
        },
        "sessions/update": {"email": "b@example.com"},
        "sessions/extend": {},
        "tokens/revoke": {"scope": "this"},
        "data/save": {"name": "Ada"},
        "data/patch": {"name": "Ada"},
        "conversations/append": {"messages": [{"role": "user", "content": "Hello"}]},
        "flows/advance": {"to": 2},
        "activity/cart": {"cartId": "cart-1"},
        "activity/views": {"views": [{"productId": "p-1"}]},
        "activity/collect": {
            "events": [{"id": "e-1", "name": "page_viewed", "timestamp": "2026-11-20T10:00:00Z"}]
        },
    }
    return bodies.get(name)


def sample(name: str) -> dict[str, Any]:
    """Return the sample event of a function."""
    return json.loads((EVENTS / f"{name}.json").read_text())


def _take_route(request: dict[str, Any], route: str) -> None:
    method, _, path = route.partition(" ")
    request |= {"routeKey": route, "rawPath": path.replace("{sessionId}", UNKNOWN)}
    request["requestContext"]["routeKey"] = route
    request["requestContext"]["http"] |= {"method": method, "path": request["rawPath"]}


def _name_session(request: dict[str, Any], session_id: str) -> None:
    path = request["rawPath"].replace(UNKNOWN, session_id)
    request |= {"rawPath": path, "pathParameters": request.get("pathParameters", {}) | {"sessionId": session_id}}
    request["requestContext"]["http"]["path"] = path
