"""What docs/operations.md says an operation costs is what it costs, by an engine that counts as DynamoDB does."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import boto3
import pytest

from local.paths import ROOT
from tessera.model.topics import Topic
from tessera.stores.dynamodb import DynamoTable
from tessera.stores.tiers import Tiers
from tessera.stores.topics import Place
from tests.functions.live import Socket, plug, ticket_of
from tests.functions.service import Answer, Context, Owner, Service, sample
from tests.support.fakes import FakeClock
from tests.support.tables import new_table

ROW = re.compile(r"^\| ([\w ,`=-]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", re.MULTILINE)
ROWS = ROW.findall((ROOT / "docs" / "operations.md").read_text())
TABLE = {name: (float(reads), float(writes), float(indexed)) for name, reads, writes, indexed in ROWS}
READS = ("GetItem", "BatchGetItem", "Query")
TEN = 10
KINDS = '{"chat": {"cacheSeconds": 2}}'
KEY = {"idempotency-key": "order-4711"}


@dataclass
class Meter:
    """Adds up the units that a client's calls have taken: reads, writes, and those of the writes in an index."""

    units: list[tuple[str, float, float]] = field(default_factory=list)

    def watch(self, client: Any) -> None:
        client.meta.events.register("provide-client-params.dynamodb.*", self._ask)
        client.meta.events.register("after-call.dynamodb.*", self._note)

    def taken(self) -> tuple[float, float, float]:
        """Return the sums since the last look."""
        reads = sum(units for name, units, _ in self.units if name in READS)
        writes = sum(units for name, units, _ in self.units if name not in READS)
        indexed = sum(indexed for name, _, indexed in self.units if name not in READS)
        self.units.clear()
        return reads, writes, indexed

    @staticmethod
    def _ask(params: dict[str, Any], model: Any, **_: Any) -> None:
        if "ReturnConsumedCapacity" in model.input_shape.members:
            params["ReturnConsumedCapacity"] = "INDEXES"

    def _note(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        said = parsed.get("ConsumedCapacity", [])
        for part in said if isinstance(said, list) else [said]:
            indexes = part.get("GlobalSecondaryIndexes", {}).values()
            indexed = sum(index["CapacityUnits"] for index in indexes)
            self.units.append((model.name, part["CapacityUnits"], indexed))


class Scene:
    """A service on an empty table, and what each operation needs before it is measured."""

    def __init__(self, service: Service, clock: FakeClock, meter: Meter) -> None:
        self.service, self.clock, self.meter = service, clock, meter
        self.admin = service.service_token()

    def measure(self, name: str) -> tuple[float, float, float]:
        act = OPERATIONS[name](self)
        self.clock.forward(1)
        self.meter.taken()
        act()
        return self.meter.taken()

    def clean(self) -> None:
        answer = self.service.handler("lifecycle/cleanup")(sample("lifecycle/cleanup"), Context(300_000))
        assert answer["done"]

    def customer(self, count: int) -> list[dict[str, Any]]:
        body = {"customer": {"customerId": "customer-1"}}
        return [self.service.call("sessions/create", token=self.admin, body=body).json for _ in range(count)]


def on_session(name: str, **request: Any) -> Callable[[Scene], Callable[[], Any]]:
    """An operation of a session on itself; `data` gives it buckets, `kind` makes it of that kind."""

    def prepared(scene: Scene) -> Callable[[], Any]:
        made = {part: request[part] for part in ("data", "kind") if part in request}
        owner = scene.service.create(**made)
        sent = {part: value for part, value in request.items() if part not in made}
        return lambda: scene.service.call(name, owner.id, token=owner.token, **sent)

    return prepared


def from_memory(scene: Scene) -> Callable[[], Any]:
    service = scene.service.another(KINDS=KINDS)
    owner = service.create(kind="chat")

    def read() -> Answer:
        return service.call("sessions/get", owner.id, token=owner.token, query={})

    read()
    return read


def login(scene: Scene) -> Callable[[], Any]:
    owner = scene.service.create()
    return lambda: scene.service.login(owner, "customer-1")


def refresh(scene: Scene) -> Callable[[], Any]:
    owner = scene.service.create()
    return lambda: scene.service.call("tokens/refresh", body={"refreshToken": owner.refresh_token})


def revoke_others(scene: Scene) -> Callable[[], Any]:
    token = scene.customer(2)[0]["tokens"]["accessToken"]
    return lambda: scene.service.call("tokens/revoke", token=token, body={"scope": "others"})


def list_ten(scene: Scene) -> Callable[[], Any]:
    scene.customer(TEN)
    query = {"customerId": "customer-1"}
    return lambda: scene.service.call("sessions/list", token=scene.admin, query=query)


def idle_run(scene: Scene) -> Callable[[], Any]:
    scene.clean()
    return scene.clean


def moving(scene: Scene) -> None:
    owner = scene.service.create(ttlSeconds=1)
    scene.service.call("sessions/extend", owner.id, token=owner.token, body={"seconds": 36_000})


def same_cart(scene: Scene) -> Callable[[], Any]:
    act = on_session("activity/cart", body={"cartId": "cart-1"})(scene)
    act()
    return act


def cart_actions(scene: Scene, **how: Any) -> Callable[[], Any]:
    route = "POST /sessions/{sessionId}/cart/actions"
    owner = scene.service.create(cartId="cart-1")
    body = {"actions": [{"action": "item_added", "details": {"productId": "p-1"}}] * 3}
    return lambda: scene.service.call("activity/cart", owner.id, route=route, token=owner.token, body=body, **how)


def with_activity(scene: Scene) -> Callable[[], Any]:
    owner = scene.service.create(cartId="cart-1")
    for name in ("activity/cart", "activity/views"):
        scene.service.call(name, owner.id, token=owner.token)
    return lambda: scene.service.call("sessions/get", owner.id, token=owner.token, query={"include": "activity"})


def events(scene: Scene) -> Callable[[], Any]:
    token = scene.service.create().token
    return lambda: scene.service.call("activity/collect", token=token)


ORDER = {"sessionId": "me", "products": [{"productId": "p-1"}], "amount": 3998, "currency": "EUR"}
OFFER = {"offerId": "warranty", "amount": 990}


def paying(*, paid: bool = False, first: bool = False) -> Callable[[Scene], Callable[[], Any]]:
    """A checkout; `paid`: a second tap on it; `first`: the container has seen no other for five seconds."""

    def prepared(scene: Scene) -> Callable[[], Any]:
        owner = buyer(scene, paid=paid)
        if not first:
            buyer(scene)
        return lambda: checked_out(scene, owner)

    return prepared


def buyer(scene: Scene, *, paid: bool = True) -> Owner:
    owner = scene.service.create(kind="checkout")
    body = {"upsells": {"offers": [OFFER]}}
    scene.service.call("sessions/update", owner.id, token=scene.admin, body=body)
    if paid:
        checked_out(scene, owner)
    return owner


def checked_out(scene: Scene, owner: Owner, by: str = "tok_visa") -> None:
    body = ORDER | {"paymentToken": by}
    assert scene.service.call("flows/checkout", token=owner.token, body=body).status == 200


def deciding(decision: str) -> Callable[[Scene], Callable[[], Any]]:
    def prepared(scene: Scene) -> Callable[[], Any]:
        owner, body = buyer(scene), {"sessionId": "me", "offerId": "warranty", "decision": decision}
        return lambda: scene.service.call("flows/upsell", token=owner.token, body=body)

    return prepared


def finishing(scene: Scene) -> Callable[[], Any]:
    owner = scene.service.create(kind="form", data={"draft": {"name": "Engine"}})
    body = {"currentStep": 2, "completedSteps": [1]}
    for step in (2, 3, 4):
        body = {"currentStep": step, "completedSteps": [*range(1, step)]}
        scene.service.call("sessions/update", owner.id, token=owner.token, body=body)
    route = "POST /sessions/{sessionId}/finish"
    return lambda: scene.service.call("flows/advance", owner.id, route=route, token=owner.token, body={})


def reconciling(*tokens: str) -> Callable[[Scene], Callable[[], Any]]:
    """A run of the reconciler that finds charges which were begun with these tokens."""

    def prepared(scene: Scene) -> Callable[[], Any]:
        for token in tokens:
            checked_out(scene, buyer(scene, paid=False), token)
        scene.clock.forward(60)
        return lambda: scene.service.handler("flows/reconcile")({}, Context(300_000))

    return prepared


MESSAGE = {"role": "user", "content": "Where is my order?"}


def appending(said: int = 1, **ids: str) -> Callable[[Scene], Callable[[], Any]]:
    """An append in a container that has made `said` appends to the conversation."""

    def prepared(scene: Scene) -> Callable[[], Any]:
        owner = scene.service.create(kind="chat")

        def append(message: dict[str, str]) -> Answer:
            body = {"messages": [message]}
            return scene.service.call("conversations/append", owner.id, token=owner.token, body=body)

        for _ in range(said):
            append(MESSAGE)
        return lambda: append(MESSAGE | ids)

    return prepared


def appending_elsewhere(scene: Scene) -> Callable[[], Any]:
    """The first append of a container to a conversation that another one has begun."""
    owner = talker(scene, 1)
    other = scene.service.another()
    other.call("conversations/read", owner.id, token=owner.token, query={})  # its first metrics are written here
    body = {"messages": [MESSAGE]}
    return lambda: other.call("conversations/append", owner.id, token=owner.token, body=body)


def talker(scene: Scene, messages: int, customer_id: str | None = None) -> Owner:
    owner = scene.service.create(kind="chat")
    if customer_id is not None:
        owner = scene.service.login(owner, customer_id)
    body = {"messages": [MESSAGE] * messages}
    scene.service.call("conversations/append", owner.id, token=owner.token, body=body)
    return owner


def talking(name: str, messages: int, **request: Any) -> Callable[[Scene], Callable[[], Any]]:
    """An operation on a conversation of so many messages."""

    def prepared(scene: Scene) -> Callable[[], Any]:
        owner = talker(scene, messages)
        return lambda: scene.service.call(name, owner.id, token=owner.token, **request)

    return prepared


def recalling(scene: Scene) -> Callable[[], Any]:
    talker(scene, TEN, "customer-1")
    event = {"pathParameters": {"customerId": "customer-1"}, "rawPath": "/customers/customer-1/messages"}
    return lambda: scene.service.call("conversations/recall", token=scene.admin, query={}, **event)


def archiving(scene: Scene) -> Callable[[], Any]:
    owner = talker(scene, TEN)
    session = scene.service.call("sessions/get", owner.id, token=owner.token, query={}).json
    return lambda: scene.service.graph.archiver.tend(owner.id, session["conversationId"])


class Portal:
    """Makes every deal at once."""

    def ready(self) -> bool:
        return True

    def add_deal(self, _fields: Any) -> str:
        return "1"


def completing(scene: Scene) -> Callable[[], Any]:
    service = scene.service.another(BITRIX24="on")
    owner = service.create(kind="checkout", amount=4_900, currency="EUR")
    update = partial(service.call, "sessions/update", owner.id, token=scene.admin)
    update(body={"status": "processing"})
    return lambda: update(body={"status": "completed"})


def delivering(scene: Scene) -> Callable[[], Any]:
    completing(scene)()
    service = scene.service.another(BITRIX24="on")
    service.graph.bitrix24 = Portal()
    (item,) = service.graph.outbox.due(scene.clock.now + 86_400_000)
    return lambda: service.graph.order_delivery.deliver(item["pk"].removeprefix("OUTBOX#"), 0)


def nothing_to_deliver(scene: Scene) -> Callable[[], Any]:
    event = {"detail-type": "Scheduled Event"}
    return lambda: scene.service.handler("integrations/bitrix24")(event, Context(60_000))


def drafting(name: str, saves: int = 2, **request: Any) -> Callable[[Scene], Callable[[], Any]]:
    """An operation on a bucket that this container has saved so many times; `elsewhere` in another container."""

    def prepared(scene: Scene) -> Callable[[], Any]:
        sent, service = dict(request), scene.service
        owner = service.create(kind="form")
        for number in range(saves):
            scene.clock.forward(1)
            service.call("data/save", owner.id, token=owner.token, body={"projectName": f"Engine {number}"})
        if sent.pop("elsewhere", False):
            service = service.another()
            service.call("conversations/read", owner.id, token=owner.token, query={})  # writes its first metrics
        return lambda: service.call(name, owner.id, token=owner.token, **sent)

    return prepared


def socket(scene: Scene) -> Socket:
    """Open a socket that subscribes to a topic of its own session and to one of all."""
    opened = plug(scene.service, ticket_of(scene.service, scene.service.create(kind="chat")))
    opened.subscribe("app:lobby")
    return opened


def connecting(scene: Scene) -> Callable[[], Any]:
    ticket = ticket_of(scene.service, scene.service.create())
    return lambda: plug(scene.service, ticket)


def framing(frame: dict[str, Any]) -> Callable[[Scene], Callable[[], Any]]:
    """Return how a frame is prepared: the topic is known, and the container has published there before."""

    def prepared(scene: Scene) -> Callable[[], Any]:
        opened = socket(scene)
        assert opened.publish("app:lobby", "before")["type"] == "ack"
        return lambda: opened.ask(frame)

    return prepared


def disconnecting(scene: Scene) -> Callable[[], Any]:
    return socket(scene).disconnect


def delivering_ten(scene: Scene) -> Callable[[], Any]:
    for _ in range(TEN):
        opened = socket(scene)
    opened.publish("app:lobby", "m")
    graph = scene.service.graph
    lobby = Topic.parse("app:lobby")
    head = graph.topics.head(lobby)
    (message,) = graph.topics.between(lobby, Place(head.place.epoch, 0), 1)
    return lambda: graph.delivery.deliver(lobby, [message])


PUBLISH = {"type": "publish", "id": 1, "topic": "app:lobby", "messageId": "m-1", "data": {"hello": "world"}}


def seeing(times: int) -> Callable[[Scene], Callable[[], Any]]:
    """A variation that is seen for that time."""

    def prepared(scene: Scene) -> Callable[[], Any]:
        service = scene.service.another(EXPERIMENTS='{"button": {"variations": ["blue", "green"]}}')
        owner = service.create()
        see = partial(service.call, "experiments/assign", owner.id, token=owner.token)
        for _ in range(times - 1):
            see()
        return see

    return prepared


TWO_BUCKETS = {"a": {}, "b": {}}
OPERATIONS: dict[str, Callable[[Scene], Callable[[], Any]]] = {
    "create": lambda scene: scene.service.create,
    "create, for a customer": lambda scene: lambda: scene.customer(1),
    "create, with two buckets": lambda scene: lambda: scene.service.create(data=TWO_BUCKETS),
    "get": on_session("sessions/get", query={}),
    "get, `include=data`": on_session("sessions/get", data=TWO_BUCKETS, query={"include": "data"}),
    "get, `include=activity`": with_activity,
    "get, answered by L1": from_memory,
    "validity": on_session("sessions/validate"),
    "change": on_session("sessions/update", body={"cartId": "cart-1"}),
    "extend, to later": on_session("sessions/extend", body={"seconds": 7_200}),
    "extend, to earlier": on_session("sessions/extend", body={"seconds": 60}),
    "login": login,
    "refresh": refresh,
    "revoke this": on_session("tokens/revoke", body={"scope": "this"}),
    "revoke others, one other": revoke_others,
    "list ten, by a service": list_ten,
    "delete": on_session("sessions/delete", query={}),
    "delete, with two buckets": on_session("sessions/delete", data=TWO_BUCKETS, query={}),
    "save or patch a bucket, while one container writes": drafting("data/save", body={"projectName": "Mill"}),
    "save or patch a bucket, the first of a container": drafting(
        "data/patch", body={"budget": 1}, query={"baseVersion": "2"}, elsewhere=True
    ),
    "the same again": drafting("data/save", body={"projectName": "Engine 1"}),
    "patch, from ten versions back": drafting("data/patch", 12, body={"budget": 1}, query={"baseVersion": "2"}),
    "a new bucket": drafting("data/save", 0, body={"projectName": "Mill"}),
    "load a bucket": drafting("data/load"),
    "remove a bucket, of two versions": drafting("data/remove"),
    "append, while one container writes": appending(),
    "append, with a `messageId`": appending(messageId="question-1"),
    "append, the first of a conversation": appending(said=0),
    "append, the first of a container": appending_elsewhere,
    "read a hundred messages": talking("conversations/read", 100, query={}),
    "pop": talking("conversations/pop", 2),
    "pop, leaving a receipt": talking("conversations/pop", 2, headers=KEY),
    "clear": talking("conversations/clear", 1),
    "recall, ten messages": recalling,
    "archive, for each object": archiving,
    "advance a step": on_session("flows/advance", kind="form", body={"to": 2}),
    "finish a form, with its draft": finishing,
    "checkout": paying(),
    "checkout, the first in five seconds of a container": paying(first=True),
    "checkout, a second tap": paying(paid=True),
    "accept an offer": deciding("accepted"),
    "decline an offer": deciding("declined"),
    "reconcile, nothing to do": reconciling(),
    "reconcile, one charge": reconciling("tok_timeout"),
    "a new cart": on_session("activity/cart"),
    "the same cart": same_cart,
    "three cart actions": cart_actions,
    "three cart actions, leaving a receipt": partial(cart_actions, headers=KEY),
    "views": on_session("activity/views"),
    "events": events,
    "ticket": on_session("tokens/ticket"),
    "connect": connecting,
    "disconnect, with one subscription": disconnecting,
    "ping": framing({"type": "ping"}),
    "subscribe": framing({"type": "subscribe", "id": 1, "topic": "app:lobby"}),
    "publish, while one container does": framing(PUBLISH),
    "deliver, to ten subscribers": delivering_ten,
    "see a variation, the first time": seeing(1),
    "see it again": seeing(2),
    "complete an order": completing,
    "make its deal": delivering,
    "deliver, nothing to do": nothing_to_deliver,
    "health": lambda scene: lambda: scene.service.call("operations/health"),
    "clean-up, nothing to do": idle_run,
}
CLEANED: dict[str, Callable[[Scene], Any]] = {
    "clean-up, for each expired session": lambda scene: scene.service.create(ttlSeconds=1),
    "clean-up, for each with a bucket": lambda scene: scene.service.create(ttlSeconds=1, data={"a": {}}),
    "clean-up, for each whose marker moves": moving,
}


def client_of(url: str) -> Any:
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return boto3.client("dynamodb", endpoint_url=url, region_name="eu-central-1", **keys)


@pytest.fixture
def scene(dynoxide: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "tessera-test")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Tessera")
    client, records = client_of(dynoxide), client_of(dynoxide)  # what the records of answers cost the text says
    meter, clock = Meter(), FakeClock()
    meter.watch(client)
    with new_table(client) as name, new_table(client, "RealtimeTable") as live:
        table, realtime = (DynamoTable(client, each, Tiers()) for each in (name, live))
        # Counters are written once at the start, and never again as far as this test goes.
        environment = {"METRICS_FLUSH_SECONDS": "1000000"}
        service = Service(
            clock,
            table=table,
            realtime_table=realtime,
            client=records,
            environment=environment | {"TABLE_NAME": name},
        )
        yield Scene(service, clock, meter)


def test_the_page_lists_what_is_measured() -> None:
    assert TABLE.keys() == OPERATIONS.keys() | CLEANED.keys()


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_costs_what_the_page_says(scene: Scene, name: str) -> None:
    scene.service.create()  # the first request writes the counters
    assert scene.measure(name) == TABLE[name]


@pytest.mark.parametrize("name", CLEANED)
def test_cleaning_up_a_session_costs_what_the_page_says(scene: Scene, name: str) -> None:
    scene.clean()
    for _ in range(TEN):
        CLEANED[name](scene)
    scene.clock.forward(5)
    scene.meter.taken()
    scene.clean()
    idle = TABLE["clean-up, nothing to do"]
    each = tuple((units - run) / TEN for units, run in zip(scene.meter.taken(), idle, strict=True))
    assert each == TABLE[name]
