"""What each function is made to do, so that it does all its work."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from local.bitrix24 import Portal, running
from tessera.model.caller import Caller
from tessera.model.changes import Change
from tessera.model.life import extended
from tessera.payments.payments import CHARGE
from tessera.stores.keys import COMPACTION, HEAD, circuit_key, conversations, core_key
from tessera.stores.table import MAX_ITEM_BYTES, Item, Key, Table
from tests.support.fakes import FailingStore, InterruptedStore
from tests.template.reading import Json
from tests.template.world import DAY, SERVICE, Made, World

type Scenario = Callable[[World], object]

HELLO = {"messageId": "hello", "role": "user", "content": "Which size is the blue one?"}
BROWSER = {
    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
}
"""The keys of the browser in RFC 8291, appendix A."""
LARGE = {"messageId": "large", "role": "user", "content": "x" * 400_000}
"""Too large for an item."""
LARGE_DATA = {"drawing": "x" * 400_000}
"""Same."""


def _on_a_session(name: str, body: Json = None) -> Scenario:
    """A service names a session as another system did."""

    def scenario(world: World) -> None:
        world.call(name, SERVICE, body, sessionId=world.create().alias)

    return scenario


def _on_a_conversation(name: str, **how: Json) -> Scenario:
    """Its beginning is in the archive alone, its end is too large for the table."""

    def scenario(world: World) -> None:
        world.call(name, SERVICE, **how, sessionId=_talk(world).alias)

    return scenario


def _talk(world: World, customer_id: str | None = None) -> Made:
    made = world.create(customer_id)
    world.say(made, HELLO, *({"role": "user", "content": str(number)} for number in range(5)))
    world.archive(made)
    world.forget(made)
    world.say(made, LARGE)
    return made


def _create(world: World) -> None:
    """The second time the answer was lost, so that the session is there already."""
    for _ in range(2):
        world.call("sessions/create", Caller(), {"kind": "form", "data": {"plan": LARGE_DATA}}, key="the same")


def _get(world: World) -> None:
    made = _talk(world)
    _draw(world, made)
    world.call("sessions/get", SERVICE, query={"include": "data,messages,activity"}, sessionId=made.alias)


def _draw(world: World, made: Made, data: Json = LARGE_DATA) -> None:
    world.call("data/save", SERVICE, data, sessionId=made.alias, bucket="drawing")


def _on_a_bucket(name: str, body: Json = None) -> Scenario:
    """It was saved twice, and is too large for an item."""

    def scenario(world: World) -> None:
        made = world.create()
        _draw(world, made, {})
        _draw(world, made)
        world.call(name, SERVICE, body, sessionId=made.alias, bucket="drawing")
        if body is not None:
            world.call(name, SERVICE, body, sessionId=made.alias, bucket="another")

    return scenario


def _delete(world: World) -> None:
    """A session reads itself before it goes, a service need not. One is purged; for the last, S3 is down."""
    one, other, third, last = _talk(world), _talk(world), _archived_halfway(world), _talk(world)
    _draw(world, one)
    world.call("sessions/delete", one.caller, sessionId=one.id)
    world.call("sessions/delete", SERVICE, sessionId=other.alias, query={"purge": "true"})
    world.call("sessions/delete", SERVICE, sessionId=third.alias)
    world.buckets["Archive"] = down = FailingStore(world.buckets["Archive"])
    down.down = True
    world.call("sessions/delete", SERVICE, sessionId=last.alias)


def _login(world: World) -> None:
    made = _talk(world)
    world.call("sessions/login", SERVICE, {"customerId": "c1"}, sessionId=made.alias)


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


def _append(world: World) -> None:
    """A message comes again, when only the archive has it; another one at the same time as we send it."""
    made = _talk(world)
    repeated = world.call("conversations/append", SERVICE, {"messages": [HELLO]}, sessionId=made.alias)
    assert repeated["messages"][0]["content"] == HELLO["content"]
    large = LARGE | {"messageId": "raced"}
    world.table = InterruptedStore(world.table, "transact", lambda: world.say(made, large))
    world.say(made, large)


def _pop(world: World) -> None:
    """The newest message is a large one, the one before is in the archive alone."""
    made = _talk(world)
    popped = [world.call("conversations/pop", SERVICE, sessionId=made.alias)["message"] for _ in range(2)]
    assert [message["content"] for message in popped] == [LARGE["content"], "4"]


def _recall(world: World) -> None:
    """A session asks for its own customer, with a conversation that has ended and one that has not."""
    made = _talk(world, "c1")
    world.call("conversations/clear", made.caller, sessionId=made.id)
    world.say(made, HELLO | {"messageId": "again"})
    found = world.call("conversations/recall", made.caller, query={"query": "blue"}, customerId="c1")
    assert len(found["messages"]) == 2


def _archive(world: World) -> None:
    """By the stream and by the schedule; what TTL took before; what is over; what others had no time to finish."""
    large = _talk(world)
    world.now += DAY
    world.archive(large)
    halfway = _archived_halfway(world)
    world.say(halfway, HELLO | {"messageId": "later"})
    world.archive(halfway)
    taken = world.create()
    world.say(taken, HELLO)
    assert world.invoke("conversations/archive", world.forget(taken)) == {"batchItemFailures": []}
    _purged_halfway(world)
    world.now += 400 * DAY
    world.invoke("conversations/archive", {})


def _purged_halfway(world: World) -> Made:
    made = _talk(world)
    due = Change({("purgingAt",): world.now, ("expiryBucket",): "ARCHIVE#00", ("expiresAt",): world.now})
    world.table.update(_head_of(world, made), due)
    return made


def _archived_halfway(world: World) -> Made:
    """A run has said what it would archive, and died; then TTL came."""
    made = _talk(world)
    world.table.update(_head_of(world, made), Change({("archivingSeq",): 7}))
    world.forget(made)
    return made


def _head_of(world: World, made: Made) -> Key:
    (head,) = world.table.query(conversations(made.id), HEAD)
    return Key(head["pk"], head["sk"])


def _advance(world: World) -> None:
    made = world.create(kind="form")
    _save_large(world, made)
    assert world.call("flows/advance", SERVICE, {"to": 2}, sessionId=made.alias)["currentStep"] == 2
    world.call("data/save", made.caller, {"a": 2}, sessionId=made.id, bucket="form")
    draft = {"buckets": ["form"]}
    done = world.call("flows/advance", SERVICE, draft, ends="/finish", sessionId=made.alias)
    assert done["completedSteps"] == [1, 2]


def _save_large(world: World, made: Made) -> None:
    """The bucket that moves demand lies in S3."""
    world.call("data/save", made.caller, {"a": "x" * MAX_ITEM_BYTES}, sessionId=made.id, bucket="form")


def _pay(world: World, made: Made, by: str = "tok_success") -> Json:
    order = {"products": [{}], "amount": 100, "currency": "EUR", "paymentToken": by, "sessionId": made.alias}
    return world.call("flows/checkout", SERVICE, order)


def _was_down(world: World) -> None:
    """The provider was down for a while: whoever comes next finds out whether it still is, and tells all."""
    opened = {("state",): "OPEN", ("failures",): 5, ("openedAt",): world.now // 1000 - 60, ("leaseUntil",): 0}
    world.table.update(circuit_key(CHARGE), Change(opened))


def _checkout(world: World) -> None:
    """The second session is deleted while the provider is asked, which was down before."""
    _was_down(world)
    made = world.create(kind="checkout")
    _save_large(world, made)
    assert _pay(world, made)["status"] == "completed"
    made, table = world.create(kind="checkout"), world.table
    world.table = _OnceCharged(table, lambda: world.sessions.delete(made.id))
    _refused(lambda: _pay(world, made))
    world.table = table


def _upsell(world: World) -> None:
    """Same."""
    for end in (lambda _: None, lambda made: world.sessions.delete(made.id)):
        made = world.create(kind="checkout")
        _pay(world, made)
        _was_down(world)
        offers = Change({("upsells", "offers"): [{"offerId": "o", "amount": 1}]})
        world.table.update(core_key(made.id), offers)
        table, said = world.table, {"offerId": "o", "decision": "accepted", "sessionId": made.alias}
        world.table = _OnceCharged(table, lambda: end(made))  # noqa: B023 - called here
        _refused(lambda: world.call("flows/upsell", SERVICE, said))  # noqa: B023 - same
        world.table = table


def _refused(call: Callable[[], object]) -> None:
    """Call it, and let it find the session gone."""
    with suppress(AssertionError):
        call()


class _OnceCharged:
    """A table where somebody else acts as soon as the sandbox has charged."""

    def __init__(self, table: Table, meanwhile: Callable[[], object]) -> None:
        self._table, self._meanwhile = table, meanwhile

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._table, verb)

    def update(self, key: Key, change: Change) -> Item:
        item = self._table.update(key, change)
        if key.pk.startswith("SANDBOX#"):
            self._meanwhile()
        return item


def _reconcile(world: World) -> None:
    """One was charged, one was not, of one the session is gone; the provider was down before."""
    for by in ("tok_timeout", "tok_error", "tok_timeout"):
        made = world.create(kind="checkout")
        assert _pay(world, made, by)["status"] == "processing"
    world.sessions.delete(made.id)
    _was_down(world)
    world.now += 60_000
    done = world.invoke("flows/reconcile", {})
    assert (done["settled"], done["flagged"]) == (2, 1)


def _set_and_fill_cart(world: World) -> None:
    made = world.create()
    world.call("activity/cart", SERVICE, {"cartId": "cart"}, method="PUT", sessionId=made.alias)
    actions = {"actions": [{"action": "item_added"}]}
    world.call("activity/cart", made.caller, actions, method="POST", sessionId=made.id)


def _assign(world: World) -> None:
    made = world.create()
    seen = world.call("experiments/assign", SERVICE, sessionId=made.alias, experiment="button")
    assert seen["variation"] in ("blue", "green")


def _collect(world: World) -> None:
    event = {"id": "e", "name": "page_viewed", "timestamp": "2026-11-20T10:00:00Z"}
    world.call("activity/collect", world.create().caller, {"events": [event]})
    assert world.facts.lines


def _record(world: World) -> None:
    made = world.create()
    world.invoke("insights/record", world.born(made))
    world.invoke("insights/record", world.order())
    assert world.facts.lines
    assert world.events.told


def _update(world: World) -> None:
    """As another system named it; one that moves a step; and one that completes an order."""
    world.call("sessions/update", SERVICE, {"email": "a@example.com"}, sessionId=world.create().alias)
    made = world.create(kind="form")
    _save_large(world, made)
    assert world.call("sessions/update", SERVICE, {"currentStep": 2}, sessionId=made.id)["currentStep"] == 2
    world.order()


def _deliver(world: World) -> None:
    """An order by its event; one that has waited too long; more while the portal is down, up to the last."""
    with running(Portal()) as portal:
        world.webhook = portal.webhook
        world.invoke("insights/record", world.order())
        event = {"detail-type": "OrderCompleted", "detail": {"session": world.events.told[0]}}
        assert world.invoke("integrations/bitrix24", event) == {"delivered": 1}
        world.order()
        world.now += 4 * DAY
        portal.faults.append("refusal")
        assert world.invoke("integrations/bitrix24", {})["given up"] == 1
        for _ in range(6):
            world.order()
        world.now += 3_600_000
        portal.faults += ["outage"] * 6
        assert world.invoke("integrations/bitrix24", {})["busy"] == 1


def _cleanup(world: World) -> None:
    """Of four sessions three have expired with conversations in different states, one was extended in time."""
    _draw(world, _talk(world))
    _purged_halfway(world)
    _archived_halfway(world)
    living = world.create()
    world.sessions.change(living.id, lambda record: extended(record, 60 * DAY // 1000, world.now))
    world.now += 30 * DAY + 60_000
    assert world.invoke("lifecycle/cleanup", {})["moved"] == 1


def _compact(world: World) -> None:
    """A batch, then one whose run died before its end."""
    _talk(world)
    world.now += 60_000
    assert world.invoke("lifecycle/compact", {})["rows"] == 6
    _talk(world)
    world.now += 60_000
    world.table.update(COMPACTION, Change({("pending",): True}))
    world.buckets["Analytics"].put("manifests/0000000002.json", b'{"batch": 2, "inputs": []}')
    assert world.invoke("lifecycle/compact", {})["rows"] == 6


def _ticket(world: World, made: Made | None = None) -> str:
    """A session asks by an id of another system; a service asks for itself."""
    if made is None:
        return world.call("tokens/ticket", SERVICE)["ticket"]
    return world.call("tokens/ticket", made.caller, sessionId=made.alias)["ticket"]


def _tickets(world: World) -> None:
    assert _ticket(world)
    assert _ticket(world, world.create())


def _connect(world: World) -> None:
    """One gets in; the session of the other has gone meanwhile."""
    one, other = world.create(), world.create()
    assert world.connect("one", _ticket(world, one))["statusCode"] == 200
    ticket = _ticket(world, other)
    world.call("sessions/delete", other.caller, sessionId=other.id)
    assert world.connect("other", ticket)["statusCode"] == 401


def _socket(world: World, name: str) -> None:
    """Open a socket that subscribes to a topic and publishes there."""
    assert world.connect(name, _ticket(world, world.create()))["statusCode"] == 200
    answer = world.send(name, {"type": "subscribe", "id": 1, "topic": "app:lobby", "presence": True})
    assert answer["type"] == "subscribed"
    frame = {"type": "publish", "id": 2, "topic": "app:lobby", "messageId": name, "data": "x" * 20_000}
    assert world.send(name, frame)["type"] == "ack"


def _disconnect(world: World) -> None:
    _socket(world, "one")
    assert world.invoke("realtime/disconnect", {"requestContext": {"connectionId": "one"}}) == {"statusCode": 200}


def _message(world: World) -> None:
    """A ping after a silence; a subscription with more to catch up than fits a frame, and its end."""
    for name in ("one", "two", "three"):
        _socket(world, name)
    world.now += 60_000
    assert world.invoke("realtime/sweep", {})["silent"] == 3
    assert world.send("one", {"type": "ping"}) == {"type": "pong"}
    epoch = world.send("one", {"type": "subscribe", "id": 3, "topic": "app:lobby"})["epoch"]
    since = {"epoch": epoch, "offset": 0}
    found = world.send("one", {"type": "subscribe", "id": 3, "topic": "app:lobby", "since": since})
    assert found["recovered"]
    assert world.send("one", {"type": "unsubscribe", "id": 4, "topic": "app:lobby"})["type"] == "unsubscribed"


def _fanout(world: World) -> None:
    """Messages, work that was left, and connections that take nothing."""
    for name in ("one", "gone", "dead"):
        _socket(world, name)
    epoch = world.send("one", {"type": "subscribe", "id": 3, "topic": "app:lobby"})["epoch"]
    world.send("one", {"type": "subscribe", "id": 3, "topic": "app:lobby", "since": {"epoch": epoch, "offset": 0}})
    for _ in range(2):
        assert world.invoke("realtime/fanout", world.streamed("LOG#", "WORK#", "SUB#")) == {
            "batchItemFailures": []
        }
    _changes(world)


def _changes(world: World) -> None:
    """A session that is live somewhere is changed, gets a message, ends sooner, and is deleted."""
    made = world.create()
    assert world.connect("own", _ticket(world, made))["statusCode"] == 200
    assert world.send("own", {"type": "subscribe", "id": 1, "topic": f"session:{made.id}"})["type"] == "subscribed"
    away = world.create()
    _register(world, away)
    world.say(away, HELLO)
    assert world.invoke("realtime/fanout", {"Records": world.born_messages(away)}) == {"batchItemFailures": []}
    before = world.core(made)
    world.call("sessions/update", made.caller, {"email": "a@example.com"}, sessionId=made.id)
    world.say(made, HELLO)
    world.call("sessions/extend", made.caller, {"seconds": 60}, sessionId=made.id)
    changed = [world.changed(before, world.core(made)), *world.born_messages(made)]
    assert world.invoke("realtime/fanout", {"Records": changed}) == {"batchItemFailures": []}
    gone = {"Records": [world.changed(before, None)]}
    assert world.invoke("realtime/fanout", gone) == {"batchItemFailures": []}


def _register(world: World, made: Made) -> str:
    """Register a browser; return its id."""
    browser = {"endpoint": "https://push.example/1", "keys": BROWSER}
    return world.call("realtime/push", made.caller, browser, method="POST", sessionId=made.alias)["id"]


def _push(world: World) -> None:
    made = world.create()
    subscription = _register(world, made)
    assert world.call("realtime/push", made.caller, method="GET", sessionId=made.id)["publicKey"]
    path = {"sessionId": made.id, "subscriptionId": subscription}
    world.call("realtime/push", made.caller, method="DELETE", **path)


def _sweep(world: World) -> None:
    """One has fallen silent, one must move, one's session has ended."""
    for name in ("silent", "ended", "gone"):
        _socket(world, name)
    made = world.create()
    assert world.connect("moving", _ticket(world, made))["statusCode"] == 200
    world.now += 116 * 60_000
    ended = world.create()
    assert world.connect("ended", _ticket(world, ended))["statusCode"] == 200
    world.call("sessions/extend", ended.caller, {"seconds": 1}, sessionId=ended.id)
    world.sweep_at("ended", world.now)
    world.now += 2_000
    assert world.invoke("realtime/sweep", {}) == {
        "ended": 1,
        "gone": 0,
        "silent": 2,
        "rotated": 3,
        "kept": 3,
    }


SCENARIOS: Mapping[str, Scenario] = {
    "sessions/create": _create,
    "sessions/get": _get,
    "sessions/list": lambda world: world.call("sessions/list", world.create("c1").caller),
    "sessions/update": _update,
    "sessions/delete": _delete,
    "sessions/validate": _on_a_session("sessions/validate"),
    "sessions/extend": _on_a_session("sessions/extend", {"seconds": 60}),
    "sessions/login": _login,
    "tokens/authorize": _authorize,
    "tokens/refresh": _refresh,
    "tokens/revoke": _revoke,
    "tokens/keys": lambda world: world.call("tokens/keys", Caller()),
    "data/save": _on_a_bucket("data/save", {"small": 1}),
    "data/load": _on_a_bucket("data/load"),
    "data/patch": _on_a_bucket("data/patch", {"more": "y" * 1_000}),
    "data/remove": _on_a_bucket("data/remove"),
    "tokens/ticket": _tickets,
    "conversations/append": _append,
    "conversations/read": _on_a_conversation("conversations/read"),
    "conversations/clear": _on_a_conversation("conversations/clear"),
    "conversations/pop": _pop,
    "conversations/recall": _recall,
    "conversations/archive": _archive,
    "flows/advance": _advance,
    "flows/checkout": _checkout,
    "flows/upsell": _upsell,
    "flows/reconcile": _reconcile,
    "activity/cart": _set_and_fill_cart,
    "activity/views": _on_a_session("activity/views", {"views": [{"productId": "p-1"}]}),
    "activity/collect": _collect,
    "experiments/assign": _assign,
    "realtime/connect": _connect,
    "realtime/disconnect": _disconnect,
    "realtime/message": _message,
    "realtime/fanout": _fanout,
    "realtime/sweep": _sweep,
    "realtime/push": _push,
    "insights/record": _record,
    "insights/query": lambda world: world.call("insights/query", SERVICE, name="questions"),
    "lifecycle/cleanup": _cleanup,
    "lifecycle/compact": _compact,
    "integrations/bitrix24": _deliver,
    "operations/health": lambda world: world.call("operations/health", Caller()),
    "operations/metrics": lambda world: world.call("operations/metrics", SERVICE),
    "operations/openapi": lambda world: world.call("operations/openapi", Caller()),
}
