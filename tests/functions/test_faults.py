"""Whatever table and bucket do wrong, and whenever: a change is whole or not there; what was acknowledged stays.

A state machine asks for every operation while calls fail by a schedule. After each it looks at what is stored,
through another container without faults: the state is the one before or the one after, nothing between; after if
the answer said so, before unless a call that failed had been done all the same. In the end the faults are over:
the archive has each message in one object, the clean-up leaves nothing behind, a customer's memory has all.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tessera.archive import objects
from tessera.errors import Unavailable
from tessera.model.clock import HOUR_SECONDS
from tests.functions.conftest import Output
from tests.functions.faulty import CACHED, FaultMachine, run, schedules
from tests.functions.service import Answer, Context
from tests.functions.talking import recall, said, sweep
from tests.support.faults import Fault

ADA = "ada"
alive = precondition(lambda self: self.state.live)


@dataclass(frozen=True)
class State:
    """What is stored of a session, as far as the operations change it. `remembered` is what its customer reads."""

    live: bool = True
    metadata: frozenset[tuple[str, int]] = frozenset()
    messages: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    cart: str | None = None
    actions: frozenset[str] = frozenset()
    views: tuple[str, ...] = ()
    bucket: frozenset[tuple[str, int]] = frozenset()
    customer: str | None = None
    events: int = 0

    @property
    def remembered(self) -> list[str]:
        return sorted(self.messages + self.ended) if self.customer else []


class UnderFaults(FaultMachine):
    """A session that is a chat, a cart and a form."""

    state: State

    @initialize(kind=st.sampled_from(["chat", CACHED]))
    def begin(self, kind: str) -> None:
        self.empty()
        self.kind, self.state, self.popped, self.purged = kind, State(), set[str](), False
        self.owner = self.truth.create(kind=kind)
        self.refresh_token = self.owner.refresh_token

    # --- changes -------------------------------------------------------------------------------------

    @alive
    @rule(schedule=schedules, conditional=st.booleans())
    def patch(self, schedule: list[Fault | None], conditional: bool) -> None:
        number = next(self.numbers)
        both = {f"a{number}": number, f"b{number}": number}
        headers = {
            "if-match": f'"{self.truth.call("sessions/get", self.owner.id, token=self.token).json["version"]}"'
        }
        after = replace(self.state, metadata=self.state.metadata | both.items())
        how = {"headers": headers} if conditional else {}
        answer = self.ask(schedule, "sessions/update", body={"metadata": both}, **how)
        self.settle(answer, after, unless={412})

    @alive
    @rule(schedule=schedules, size=st.integers(1, 3), again=st.booleans())
    def append(self, schedule: list[Fault | None], size: int, again: bool) -> None:
        ids = [f"m{next(self.numbers)}" for _ in range(size)]
        messages = [said(f"content of {name}", messageId=name) for name in ids]
        after = replace(self.state, messages=(*self.state.messages, *ids))
        self.settle(self.ask(schedule, "conversations/append", body={"messages": messages}), after)
        if again:  # as a client does that got no answer
            answer = self.truth.call(
                "conversations/append", self.owner.id, token=self.token, body={"messages": messages}
            )
            self.settle(answer, after)

    @alive
    @rule(schedule=schedules, keyed=st.booleans())
    def pop(self, schedule: list[Fault | None], keyed: bool) -> None:
        newest = self.state.messages[-1:]
        after = replace(self.state, messages=self.state.messages[:-1])
        for answer in self.until_done(schedule, "conversations/pop", after, keyed=keyed):
            if answer.status == 200:
                message = answer.json["message"]
                assert (message and message["messageId"], *newest[1:]) == (newest[0] if newest else None,)
        self.popped |= {*newest} - {*self.state.messages}

    @alive
    @rule(schedule=schedules)
    def clear(self, schedule: list[Fault | None]) -> None:
        after = replace(self.state, messages=(), ended=self.state.ended + self.state.messages)
        self.settle(self.ask(schedule, "conversations/clear"), after)

    @alive
    @rule(schedule=schedules)
    def name_cart(self, schedule: list[Fault | None]) -> None:
        cart = f"cart-{next(self.numbers)}"
        after = replace(self.state, cart=cart, actions=self.state.actions | {cart})
        answer = self.ask(schedule, "activity/cart", route="PUT /sessions/{sessionId}/cart", body={"cartId": cart})
        self.settle(answer, after)

    @alive
    @precondition(lambda self: self.state.cart)
    @rule(schedule=schedules, size=st.integers(1, 3), keyed=st.booleans())
    def act(self, schedule: list[Fault | None], size: int, keyed: bool) -> None:
        names = [f"item-{next(self.numbers)}" for _ in range(size)]
        body = {"actions": [{"action": "item_added", "details": {"name": name}} for name in names]}
        after = replace(self.state, actions=self.state.actions | {*names})
        how = {"route": "POST /sessions/{sessionId}/cart/actions", "body": body}
        for answer in self.until_done(schedule, "activity/cart", after, keyed=keyed, **how):
            if answer.status == 201:
                assert [action["details"]["name"] for action in answer.json["actions"]] == names

    @alive
    @rule(calls=st.integers(1, 4))
    def repeat(self, calls: int) -> None:
        """Often the answer that is lost is that of the call that does the work."""
        schedule = [*[None] * calls, Fault.LOST]
        self.append([], 2, again=False)
        self.pop(schedule, keyed=True)
        self.name_cart([])
        self.act(schedule, 2, keyed=True)

    @alive
    @rule(schedule=schedules)
    def view(self, schedule: list[Fault | None]) -> None:
        product = f"p{next(self.numbers)}"
        after = replace(self.state, views=(product, *self.state.views)[:10])
        self.settle(self.ask(schedule, "activity/views", body={"views": [{"productId": product}]}), after)

    @alive
    @rule(schedule=schedules)
    def collect(self, schedule: list[Fault | None]) -> None:
        names = [f"e{next(self.numbers)}" for _ in range(2)]
        events = [{"id": name, "name": "page_viewed", "timestamp": "2026-11-20T10:00:00Z"} for name in names]
        after = replace(self.state, events=self.state.events + len(names))
        self.settle(self.ask(schedule, "activity/collect", named=False, body={"events": events}), after)

    @alive
    @rule(schedule=schedules, name=st.sampled_from(["data/save", "data/patch"]))
    def keep(self, schedule: list[Fault | None], name: str) -> None:
        number = next(self.numbers)
        path: dict[str, Any] = {"pathParameters": {"sessionId": self.owner.id, "bucket": "form"}}
        path["rawPath"] = f"/sessions/{self.owner.id}/data/form"
        both = {f"a{number}": number, f"b{number}": number}
        kept = both.items() if name == "data/save" else {*self.state.bucket, *both.items()}
        answer = self.ask(schedule, name, named=False, query={}, body=both, **path)
        self.settle(answer, replace(self.state, bucket=frozenset(kept)))

    @alive
    @rule(schedule=schedules)
    def extend(self, schedule: list[Fault | None]) -> None:
        self.settle(self.ask(schedule, "sessions/extend", body={}), self.state)

    @alive
    @rule(schedule=schedules)
    def log_in(self, schedule: list[Fault | None]) -> None:
        self.settle(
            self.ask(schedule, "sessions/login", body={"customerId": ADA}), replace(self.state, customer=ADA)
        )
        if self.state.customer:
            self.refresh_token = self.truth.login(self.owner, ADA).refresh_token

    @alive
    @rule(schedule=schedules)
    def refresh(self, schedule: list[Fault | None]) -> None:
        """An answer that was lost logs nobody out: the same token has the same successor."""
        body = {"refreshToken": self.refresh_token}
        answer = self.ask(schedule, "tokens/refresh", named=False, by_service=False, body=body)
        self.settle(answer, self.state)
        same = self.truth.call("tokens/refresh", body=body)
        assert same.status == 200, same.text
        assert answer.status != 200 or answer.json["refreshToken"] == same.json["refreshToken"]
        self.refresh_token = same.json["refreshToken"]

    @alive
    @precondition(lambda self: self.state.customer)
    @rule(schedule=schedules)
    def revoke(self, schedule: list[Fault | None]) -> None:
        """Who hears that a token is dead can rely on it; who hears nothing asks again."""
        token = self.truth.login(self.owner, ADA).token
        answer = self.ask(schedule, "tokens/revoke", named=False, token=token, body={"scope": "this"})
        took_effect = self.faults.took_effect
        self.settle(answer, self.state)
        dead = self.truth.call("sessions/get", "me", token=token).status == 401
        assert dead if answer.status == 200 else (not dead or took_effect)
        self.refresh_token = self.truth.login(self.owner, ADA).refresh_token

    @precondition(lambda self: self.state.live and len(self.state.messages) > 3)  # late: little is left to do then
    @rule(schedule=schedules, purge=st.booleans())
    def delete(self, schedule: list[Fault | None], purge: bool) -> None:
        answer = self.ask(schedule, "sessions/delete", query={"purge": "true"} if purge else {})
        self.faults.took_effect = True  # it has several steps, and the clean-up takes those that were not taken
        self.settle(answer, replace(self.state, live=False), unless={404})
        self.purged = purge and not self.state.live

    @rule(schedule=schedules)
    def create(self, schedule: list[Fault | None]) -> None:
        """What of it was left by a failure, the clean-up finds: see `teardown`."""
        answer = self.ask(
            schedule, "sessions/create", named=False, by_service=False, body={"data": {"a": {"b": 1}}}
        )
        if answer.status == 201:
            found = self.truth.call(
                "sessions/get", answer.json["session"]["id"], token=self.token, query={"include": "data"}
            )
            assert (found.status, found.json["data"]) == (200, {"a": {"b": 1}})

    # --- reads ---------------------------------------------------------------------------------------

    @alive
    @rule(schedule=schedules, include=st.sampled_from(["", "data", "messages", "activity", "messages,activity"]))
    def read(self, schedule: list[Fault | None], include: str) -> None:
        answer = self.ask(schedule, "sessions/get", query={"include": include} if include else {})
        if answer.status == 200 and self.kind != CACHED:
            assert self.seen_in(answer.json).items() <= vars(self.state).items()

    @alive
    @rule(schedule=schedules)
    def read_messages(self, schedule: list[Fault | None]) -> None:
        answer = self.ask(schedule, "conversations/read", query={"limit": "1000"})
        if answer.status == 200 and self.kind != CACHED:
            assert ids(answer.json) == [*self.state.messages]

    @alive
    @rule(schedule=schedules)
    def recall(self, schedule: list[Fault | None]) -> None:
        self.faults.come(*schedule)
        answer = self.judged("conversations/recall", recall(self.service, ADA, token=self.token, limit=1000))
        if answer.status == 200:
            assert sorted(ids(answer.json)) == self.state.remembered

    @alive
    @rule(schedule=schedules, name=st.sampled_from(["sessions/validate", "sessions/list"]))
    def look(self, schedule: list[Fault | None], name: str) -> None:
        named = name == "sessions/validate"
        answer = self.ask(schedule, name, named=named, query={} if named else {"customerId": ADA})
        if answer.status == 200:
            found = answer.json["valid"] if named else [each["id"] for each in answer.json["sessions"]]
            assert found == (True if named else [self.owner.id] if self.state.customer else [])

    # --- what runs by itself -------------------------------------------------------------------------

    @rule(schedule=schedules, minutes=st.sampled_from([0, 1, 6]))
    def archive(self, schedule: list[Fault | None], minutes: int) -> None:
        self.clock.forward(minutes * 60)
        self.faults.come(*schedule)
        with suppress(Unavailable):  # Lambda runs it again
            sweep(self.service)
        self.faults.come()
        self.check(self.state)

    @rule(schedule=schedules)
    def clean_up(self, schedule: list[Fault | None]) -> None:
        self.faults.come(*schedule)
        with suppress(Unavailable):  # same
            self.service.handler("lifecycle/cleanup")({}, Context(300_000))
        self.faults.come()
        self.check(self.state)

    @rule(seconds=st.sampled_from([1, 3]))
    def wait(self, seconds: int) -> None:
        self.clock.forward(seconds)

    # --- what holds ----------------------------------------------------------------------------------

    def until_done(
        self, schedule: list[Fault | None], name: str, after: State, *, keyed: bool, **how: Any
    ) -> Iterator[Answer]:
        """Call what does a thing once more at each call; repeat it under its key, where it has one."""
        headers = {"headers": {"idempotency-key": f"key-{next(self.numbers)}"}} if keyed else {}
        answer = self.ask(schedule, name, **headers, **how)
        self.settle(answer, after)
        yield answer
        if keyed and answer.status == 503:
            answer = self.truth.call(name, self.owner.id, token=self.token, **headers, **how)
            assert answer.status < 300, answer.text
            self.settle(answer, after)
            yield answer

    def seen(self) -> State:
        """Return what is stored, as the other container reads it."""
        answer = self.truth.call(
            "sessions/get", self.owner.id, token=self.token, query={"include": "data,messages,activity"}
        )
        memory = sorted(ids(recall(self.truth, ADA, token=self.token, limit=1000).json))
        if answer.status != 200:
            return replace(self.state, live=False)
        known = self.state.ended + self.state.messages
        state = State(ended=self.state.ended, events=self.events(), **self.seen_in(answer.json))
        if not state.messages and known != state.ended and answer.json["conversationId"] != self.conversation:
            state = replace(state, ended=known)
        self.conversation = answer.json["conversationId"]
        assert memory == state.remembered
        return state

    conversation: str | None = None

    def seen_in(self, session: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parts of the state that an answer shows."""
        found: dict[str, Any] = {
            "metadata": frozenset((session["metadata"] or {}).items()),
            "cart": session["cartId"],
            "customer": (session["customer"] or {}).get("customerId"),
        }
        if "messages" in session:
            found["messages"] = tuple(ids(session))
        if "data" in session:
            found["bucket"] = frozenset(session["data"].get("form", {}).items())
        if "activity" in session:
            actions = session["activity"]["cartActions"]
            names = [(action["details"] or {}).get("name", action["cartId"]) for action in actions]
            assert len(names) == len(set(names)), "an action was recorded twice"
            found |= {
                "actions": frozenset(names),
                "views": tuple(view["productId"] for view in session["activity"]["views"]),
            }
        return found

    def events(self) -> int:
        return len({json.loads(line)["id"] for line in self.facts.lines})

    def teardown(self) -> None:
        if not hasattr(self, "table"):
            return
        self.faults.come()
        if self.state.live:
            ended = self.truth.call("sessions/extend", self.owner.id, token=self.token, body={"seconds": 1})
            assert ended.status == 200, ended.text
        self.clock.forward(HOUR_SECONDS)  # also over the ends of those whose creation went wrong
        for _ in range(3):
            sweep(self.truth)
            done = self.truth.handler("lifecycle/cleanup")({}, Context(300_000))["done"]
        assert done
        archived = Counter(
            line["messageId"]
            for key in self.bucket.keys("archive/")
            for line in objects.decode(self.bucket.get(key) or b"")
        )
        kept = Counter(() if self.purged else self.state.messages + self.state.ended)
        assert archived - Counter(self.popped) == kept - Counter(self.popped)
        assert max(archived.values(), default=1) == 1
        left = [key for key in self.table._items if key.pk.startswith("SESSION#") and key.sk != "CORE"]
        assert left == []


def ids(page: Mapping[str, Any]) -> list[str]:
    return [message["messageId"] for message in page["messages"]]


def test_nothing_acknowledged_is_lost_and_nothing_is_half_done(output: Output, client: Any, records: str) -> None:
    run(UnderFaults, steps=25, kinds={CACHED: {"cacheSeconds": 2}}, client=client, TABLE_NAME=records)
    assert output.capsys.readouterr().err == ""
