"""Sockets: who gets in, what frames are answered with, what is delivered, and how they end."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessera.model.caller import Caller
from tessera.model.clock import rfc3339
from tessera.model.frames import MAX_DATA, MAX_FRAME, compact
from tessera.model.live import LONGEST, Connection
from tessera.model.topics import Topic
from tessera.realtime.delivery import PAGE
from tests.functions.live import Socket, Stream, connecting, plug, service_ticket, ticket_of
from tests.functions.service import Context, Service, sample
from tests.support.fakes import FailingStore, FakeClock

LOBBY = "app:lobby"

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_TYPES = st.sampled_from(["subscribe", "unsubscribe", "publish", "ping"])
ANY_FRAME = st.fixed_dictionaries(
    {"type": _TYPES | ANY_JSON},
    optional=dict.fromkeys(("id", "topic", "messageId", "data", "priority", "since", "presence"), ANY_JSON),
)
_KINDS = st.sampled_from(["app:", "agent:", "session:", "customer:", "system:", "queue:"])
LIKELY = st.fixed_dictionaries(
    {
        "type": _TYPES,
        "id": st.integers() | st.text(max_size=20),
        "topic": st.tuples(_KINDS, st.text()).map("".join),
    },
    optional={
        "messageId": st.text(max_size=210),
        "data": ANY_JSON,
        "priority": st.integers(-1, 11),
        "presence": st.booleans(),
        "since": st.fixed_dictionaries({"epoch": st.text(max_size=20), "offset": st.integers()}),
    },
)


def crowd(service: Service, count: int, *, presence: bool = False) -> None:
    """Have so many connections subscribe to the lobby."""
    connections, now = service.graph.connections, service.graph.clock()
    for number in range(count):
        caller = Caller(session_id=f"ses_{number:026}", epoch=1)
        connection = Connection(f"crowd-{number:05}", f"member-{number}", caller, now, now, now + LONGEST)
        connections.open(connection)
        connections.subscribe(connection, Topic.parse(LOBBY), presence=presence)


@pytest.fixture
def stream(service: Service) -> Stream:
    return Stream(service)


@pytest.fixture
def ada(service: Service) -> Socket:
    return plug(service, ticket_of(service, service.create(kind="chat")))


@pytest.fixture
def bob(service: Service) -> Socket:
    return plug(service, ticket_of(service, service.create(kind="chat")))


def slug(answer: Any) -> str:
    assert answer["type"] == "error", answer
    return answer["problem"]["type"].removeprefix("/problems/")


class TestTickets:
    def test_a_ticket_opens_one_connection_and_each_is_another(self, service: Service) -> None:
        """Also under an Idempotency-Key: a ticket that came twice would open twice."""
        owner = service.create()
        keyed = {"idempotency-key": "same"}
        tickets = {
            service.call("tokens/ticket", "me", token=owner.token, headers=keyed).json["ticket"] for _ in range(2)
        }
        assert len(tickets) == 2
        ticket = tickets.pop()
        plug(service, ticket)
        assert connecting(service, f"tessera.v1, ticket.{ticket}", "again")["statusCode"] == 401

    def test_a_ticket_lasts_a_minute(self, service: Service, clock: FakeClock) -> None:
        tickets = [ticket_of(service, service.create()) for _ in range(2)]
        clock.forward(59)
        plug(service, tickets[0])
        clock.forward(1)
        assert connecting(service, f"tessera.v1, ticket.{tickets[1]}", "late")["statusCode"] == 401

    @pytest.mark.parametrize("end", ["this", "all", "others", "login", "delete", "expiry"])
    def test_it_is_dead_with_the_token_that_got_it(self, service: Service, clock: FakeClock, end: str) -> None:
        owner = service.login(service.create(ttlSeconds=50), "c1")
        ticket = ticket_of(service, owner)
        if end == "expiry":
            clock.forward(50)
        elif end == "login":
            service.login(owner, "c1")
        elif end == "delete":
            service.call("sessions/delete", "me", token=owner.token)
        else:
            by = service.login(service.create(), "c1") if end == "others" else owner
            service.call("tokens/revoke", token=by.token, body={"scope": end})
        assert connecting(service, f"tessera.v1, ticket.{ticket}", "late")["statusCode"] in (401, 404)
        assert list(service.realtime_table.query("CONNECTION#late")) == []

    def test_it_says_until_when_it_is_good(self, service: Service, clock: FakeClock) -> None:
        owner = service.create()
        answer = service.call("tokens/ticket", "me", token=owner.token).json
        assert answer.keys() == {"ticket", "expiresAt"}
        assert answer["expiresAt"] == rfc3339(clock() + 60_000)

    def test_a_sessions_ticket_is_its_owners_alone(self, service: Service) -> None:
        owner, other = service.create(), service.create()
        admin = service.service_token()
        route = "POST /socket-ticket"
        assert service.call("tokens/ticket", owner.id, token=other.token).problem == (403, "not-yours")
        assert service.call("tokens/ticket", owner.id, token=admin).problem == (403, "not-yours")
        answer = service.call("tokens/ticket", token=owner.token, route=route, pathParameters={})
        assert answer.problem == (403, "service-only")

    @pytest.mark.parametrize(
        "protocols", ["", "tessera.v1", "ticket.x", "tessera.v2, ticket.x", "tessera.v1, ticket.a, ticket.b"]
    )
    def test_without_protocol_and_ticket_nobody_gets_in(self, service: Service, protocols: str) -> None:
        assert connecting(service, protocols, "c")["statusCode"] == 400

    @pytest.mark.parametrize(
        ("origin", "status"),
        [
            ("https://shop.example", 200),
            ("http://localhost:5173", 200),
            ("https://evil.example", 403),
            ("null", 403),
            ("", 403),
            ("https://shop.example.evil.example", 403),
            ("https://shop.example:8443", 403),
            ("http://shop.example", 403),
            ("https://shop.example/", 403),
        ],
    )
    def test_a_page_needs_an_allowed_origin(self, service: Service, origin: str, status: int) -> None:
        protocols = f"tessera.v1, ticket.{ticket_of(service, service.create())}"
        assert connecting(service, protocols, "c", Origin=origin)["statusCode"] == status
        if status != 200:  # the ticket was not used up by a page that may not use it
            assert connecting(service, protocols, "again")["statusCode"] == 200


class TestFrames:
    def test_they_have_the_members_that_the_contract_names(
        self, ada: Socket, bob: Socket, service: Service, stream: Stream
    ) -> None:
        subscribed = ada.ask({"type": "subscribe", "id": "s", "topic": LOBBY, "presence": True})
        (member,) = subscribed.pop("presence")
        epoch = subscribed.pop("epoch")
        assert subscribed == {
            "type": "subscribed",
            "id": "s",
            "topic": LOBBY,
            "offset": 0,
            "recovered": False,
            "messages": [],
        }
        assert member.keys() == {"member", "sessionId", "joinedAt"}
        assert ada.publish(LOBBY, "m", {"n": 1}, priority=3) == {
            "type": "ack",
            "id": 2,
            "epoch": epoch,
            "offset": 1,
        }
        bob.subscribe(LOBBY, presence=True)
        bob.disconnect()
        bob.disconnect()
        stream.flow()
        frames = {frame["type"]: frame for frame in ada.sent}
        assert frames["message"].keys() == {
            *("type", "topic", "epoch", "offset", "messageId", "data", "publishedAt"),
        }
        assert frames["presence"].keys() == {"type", "topic", "joined", "left"}
        assert ada.ask({"type": "unsubscribe", "id": 4, "topic": LOBBY}) == {
            "type": "unsubscribed",
            "id": 4,
            "topic": LOBBY,
        }
        error = ada.ask({"type": "subscribe", "id": 5, "topic": f"session:{service.create().id}"})
        assert error.keys() == {"type", "id", "problem"}
        assert error["problem"]["status"] == 403
        assert "id" not in ada.ask("{")

    @pytest.mark.parametrize(
        ("frame", "problem"),
        [
            ("{", "malformed-json"),
            ([], "invalid"),
            ({"type": "nonsense", "id": 1}, "invalid"),
            ({"type": "subscribe", "id": 1, "topic": "queue:a"}, "forbidden"),
            ({"type": "subscribe", "id": 1, "topic": "customer:c1"}, "not-yours"),
            ({"type": "publish", "id": 1, "topic": "agent:a", "messageId": "m", "data": 1}, "scope-missing"),
        ],
    )
    def test_what_is_wrong_is_told_and_the_connection_lives_on(
        self, ada: Socket, frame: Any, problem: str
    ) -> None:
        assert slug(ada.ask(frame)) == problem
        assert ada.ask({"type": "ping", "id": 7}) == {"type": "pong", "id": 7}

    @pytest.mark.parametrize("route", ["connect", "disconnect"])
    def test_a_frame_that_is_called_like_a_route_of_the_gateway_is_an_unknown_one(
        self, service: Service, ada: Socket, route: str
    ) -> None:
        """`$request.body.type` chooses the route, which is the client's: it opens and closes nothing."""
        event = sample("realtime/message") | {"body": f'{{"type": "${route}", "id": 1}}'}
        event["requestContext"] |= {"routeKey": f"${route}", "connectionId": ada.id}
        answer = json.loads(service.handler(f"realtime/{route}")(event, Context())["body"])
        assert (slug(answer), answer["id"]) == ("invalid", 1)
        assert ada.subscribe(LOBBY)["type"] == "subscribed"

    @pytest.mark.parametrize("topic", ["", "app", "app:", f"app:{'x' * 201}", "x" * 1_000, "queue:a", "APP:a"])
    def test_what_is_no_topic_is_forbidden(self, ada: Socket, topic: str) -> None:
        assert slug(ada.subscribe(topic)) == slug(ada.publish(topic, "m")) == "forbidden"

    def test_too_many_frames_are_refused_for_a_while(self, service: Service, clock: FakeClock) -> None:
        limited = service.another(RATE_LIMITS="on", FRAMES_PER_MINUTE="3")
        socket = plug(limited, ticket_of(limited, limited.create()))
        answers = [socket.ask({"type": "ping"}) for _ in range(4)]
        assert [answer["type"] for answer in answers] == ["pong"] * 3 + ["error"]
        assert slug(answers[3]) == "too-many-requests"
        over = [socket.publish(LOBBY, "m"), socket.ask({"type": "nonsense", "id": 7}), socket.ask("{")]
        assert [(slug(answer), answer.get("id")) for answer in over] == [
            ("too-many-requests", number) for number in (2, 7, None)
        ]
        assert all(answer["problem"]["retryAfter"] > 0 for answer in over)
        clock.forward(60)
        assert socket.ask({"type": "ping"}) == {"type": "pong"}

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(frame=st.one_of(LIKELY, ANY_FRAME, ANY_JSON, st.text()))
    def test_whatever_is_sent_one_frame_comes_back_and_the_connection_lives_on(
        self, ada: Socket, frame: Any
    ) -> None:
        text = ada.answer(frame)
        answer = json.loads(text)
        assert len(text.encode()) <= MAX_FRAME
        assert answer["type"] in {"subscribed", "unsubscribed", "ack", "pong", "error"}
        assert answer["type"] != "error" or 400 <= answer["problem"]["status"] < 500
        assert ada.ask({"type": "ping"}) == {"type": "pong"}

    def test_a_session_that_is_over_reads_and_publishes_nothing(self, service: Service, clock: FakeClock) -> None:
        """Whatever has not closed its socket yet."""
        socket = plug(service, ticket_of(service, service.create(ttlSeconds=60)))
        clock.forward(60)
        for topic in (LOBBY, "agent:a", "customer:c1"):
            assert slug(socket.subscribe(topic)) == "session-ended"
        assert slug(socket.publish(LOBBY, "m")) == "session-ended"
        assert list(service.realtime_table.query(f"TOPIC#{LOBBY}")) == []

    def test_a_message_id_is_the_sessions_whatever_the_connection(self, service: Service, bob: Socket) -> None:
        owner = service.create()
        sockets = [plug(service, ticket_of(service, owner)) for _ in range(2)]
        places = [socket.publish(LOBBY, "m", n)["offset"] for n, socket in enumerate([*sockets, bob])]
        assert places == [1, 1, 2]
        assert sockets[0].publish("app:other", "m")["offset"] == 1

    def test_all_containers_count_the_frames_of_a_socket_together(
        self, service: Service, clock: FakeClock
    ) -> None:
        """Soft by a thirtieth of the limit for each of them, for the price of a write every so many frames."""
        limited = service.another(RATE_LIMITS="on", FRAMES_PER_MINUTE="60")
        ada, bob = (plug(limited, ticket_of(limited, limited.create())) for _ in range(2))
        containers = [limited.another() for _ in range(5)]
        answers = [replace(ada, service=each).ask({"type": "ping"}) for _ in range(20) for each in containers]
        let_through = [answer["type"] for answer in answers].count("pong")
        assert 60 <= let_through <= 60 + 5 * 2
        assert slug(answers[-1]) == "too-many-requests"
        assert answers[-1]["problem"]["policy"] == "frames"
        (counted,) = service.table.query(f"RATE#frames#{ada.id}")
        assert counted["count"] == 100
        assert bob.ask({"type": "ping"}) == {"type": "pong"}
        clock.forward(60)
        assert ada.ask({"type": "ping"}) == {"type": "pong"}

    def test_the_customers_topic_opens_with_the_login(self, service: Service) -> None:
        owner = service.create()
        service.login(owner, "c1")
        assert service.call("sessions/get", owner.id, token=service.service_token(), query={}).status == 200
        linked = service.login(owner, "c1")
        socket = plug(service, ticket_of(service, linked))
        assert socket.subscribe("customer:c1")["type"] == "subscribed"
        assert slug(socket.subscribe("customer:c2")) == "not-yours"

    def test_a_service_speaks_to_all_sessions_of_a_customer(self, service: Service, stream: Stream) -> None:
        devices = [plug(service, ticket_of(service, service.login(service.create(), "c1"))) for _ in range(2)]
        for device in devices:
            device.subscribe("customer:c1")
        shop, agent = (
            plug(service, service_ticket(service, scope)) for scope in ("customers:write", "agents:write")
        )
        assert shop.publish("customer:c1", "m", "hello")["offset"] == 1
        assert slug(agent.publish("customer:c1", "n")) == "scope-missing"
        assert slug(devices[0].publish("customer:c1", "o")) == "scope-missing"
        assert slug(shop.publish(f"session:{service.create().id}", "p")) == "forbidden"
        stream.flow()
        assert [[frame["data"] for frame in device.sent] for device in devices] == [["hello"], ["hello"]]

    @pytest.mark.parametrize("name", ["a b", "ü 🎉", "a#b", "a:b:c", "a/b?c=d&e", '"\\', "'; --", "*", "x" * 200])
    def test_a_topic_may_have_odd_characters(self, ada: Socket, bob: Socket, stream: Stream, name: str) -> None:
        topic = f"app:{name}"
        epoch = ada.subscribe(topic)["epoch"]
        assert bob.publish(topic, name, name)["type"] == "ack"
        stream.flow()
        assert [(frame["topic"], frame["messageId"]) for frame in ada.sent] == [(topic, name)]
        found = ada.subscribe(topic, since={"epoch": epoch, "offset": 0})
        assert [message["data"] for message in found["messages"]] == [name]

    @pytest.mark.parametrize("text", ["ä", "🎉", "x", '"', "\n"])
    def test_the_largest_data_fits_a_frame_whatever_it_is_written_in(
        self, ada: Socket, stream: Stream, text: str
    ) -> None:
        """28 KB as JSON in UTF-8, in a topic and under an id that are as long as they may be."""
        each = len(compact(text).encode()) - 2
        data = text * ((MAX_DATA - 2) // each)
        topic, message_id = f"app:{'🎉' * 200}", "ü" * 200
        ada.subscribe(topic)
        frame = {"type": "publish", "id": 1, "topic": topic, "messageId": message_id, "data": data}
        assert ada.ask(compact(frame))["type"] == "ack"
        assert slug(ada.ask(compact({**frame, "data": data + text}))) == "invalid"
        stream.flow()
        assert [sent["data"] for sent in ada.sent] == [data]
        assert len(compact(ada.sent[0]).encode()) <= MAX_FRAME


class TestDelivery:
    def test_messages_go_to_all_who_subscribe_in_their_order(
        self, ada: Socket, bob: Socket, stream: Stream
    ) -> None:
        """The publisher gets its own too, if it subscribes; publishing needs no subscription."""
        ada.subscribe(LOBBY)
        for number in range(3):
            assert bob.publish(LOBBY, f"m-{number}", number)["offset"] == number + 1
        bob.publish(LOBBY, "m-1", "another")
        stream.flow()
        assert [(frame["offset"], frame["data"]) for frame in ada.sent] == [(1, 0), (2, 1), (3, 2)]
        assert bob.sent == []
        ada.ask({"type": "unsubscribe", "id": 1, "topic": LOBBY})
        ada.publish(LOBBY, "m-9")
        stream.flow()
        assert len(ada.sent) == 3

    @pytest.mark.parametrize("epoch", ["", "unknown", "e" * 10_000])
    def test_an_unknown_epoch_is_nothing_to_recover_from(self, ada: Socket, bob: Socket, epoch: str) -> None:
        bob.publish(LOBBY, "m")
        answer = ada.subscribe(LOBBY, since={"epoch": epoch, "offset": 0})
        assert (answer["recovered"], answer["messages"], answer["offset"]) == (False, [], 1)

    def test_what_does_not_fit_one_frame_follows(self, ada: Socket, bob: Socket, stream: Stream) -> None:
        epoch = ada.subscribe(LOBBY)["epoch"]
        for number in range(5):
            bob.publish(LOBBY, f"m-{number}", "x" * 20_000)
        stream.flow()
        bob.publish(LOBBY, "m-5", "later")
        ada.sent.clear()
        answer = ada.subscribe(LOBBY, since={"epoch": epoch, "offset": 1})
        assert (answer["recovered"], answer["offset"]) == (True, 6)
        stream.flow()
        followed = [frame["offset"] for frame in ada.sent]
        assert [message["offset"] for message in answer["messages"]] == [2]
        assert {*followed} >= {3, 4, 5, 6}

    def test_what_did_not_fit_follows_each_time_that_it_is_asked_for(
        self, ada: Socket, bob: Socket, stream: Stream
    ) -> None:
        epoch = ada.subscribe(LOBBY)["epoch"]
        for number in range(4):
            bob.publish(LOBBY, f"m-{number}", "x" * 20_000)
        stream.flow()
        for _ in range(2):
            ada.sent.clear()
            answer = ada.subscribe(LOBBY, since={"epoch": epoch, "offset": 0})
            stream.flow()
            told = [*answer["messages"], *ada.sent]
            assert [message["offset"] for message in told] == [1, 2, 3, 4]

    def test_a_position_of_the_future_is_none(self, ada: Socket, bob: Socket) -> None:
        epoch = bob.publish(LOBBY, "m")["epoch"]
        for offset in (2, 10**6, 2**63):
            answer = ada.subscribe(LOBBY, since={"epoch": epoch, "offset": offset})
            assert (answer["recovered"], answer["messages"], answer["offset"]) == (False, [], 1)
        assert ada.subscribe(LOBBY, since={"epoch": epoch, "offset": 1})["recovered"] is True

    def test_a_large_topic_is_served_page_by_page(self, service: Service, ada: Socket, stream: Stream) -> None:
        """Each page leaves the next one to another invocation; nobody is left out, and nobody hears twice."""
        graph, count = service.graph, 2 * PAGE + 100
        crowd(service, count)
        epoch = ada.publish(LOBBY, "m", "for all")["epoch"]
        for _ in range(3):
            assert stream.deliver(stream.records("realtime_table")) == {"batchItemFailures": []}
        assert stream.records("realtime_table") == []
        heard = {name: frames for name, frames in service.posts.sent.items() if name.startswith("crowd-")}
        assert len(heard) == count
        assert {(frame["epoch"], frame["offset"]) for frames in heard.values() for frame in frames} == {(epoch, 1)}
        assert max(map(len, heard.values())) == 1
        assert len(list(graph.connections.subscribers(Topic.parse(LOBBY)))) == count

    def test_urgent_messages_go_first(self, ada: Socket, bob: Socket, stream: Stream) -> None:
        for topic in ("app:a", "app:b"):
            ada.subscribe(topic)
        bob.publish("app:a", "m")
        bob.publish("app:b", "m", priority=10)
        stream.flow()
        assert [frame["topic"] for frame in ada.sent] == ["app:b", "app:a"]

    def test_who_is_gone_is_forgotten_and_who_takes_nothing_is_closed(
        self, ada: Socket, bob: Socket, service: Service, stream: Stream
    ) -> None:
        """Closed, it comes back and resumes: nothing is lost in silence."""
        for socket in (ada, bob):
            socket.subscribe(LOBBY)
        service.posts.gone, service.posts.silent = {ada.id}, {bob.id}
        ada.publish(LOBBY, "m")
        stream.flow()
        assert service.posts.closed == {bob.id}
        assert list(service.realtime_table.query("TOPIC#app:lobby", "SUB#")) == []
        assert slug(bob.ask({"type": "ping"})) == "connection-unknown"

    def test_a_batch_comes_again_when_the_table_fails(self, service: Service, ada: Socket, stream: Stream) -> None:
        ada.subscribe(LOBBY)
        ada.publish(LOBBY, "m")
        records = stream.records("realtime_table")
        failing = service.another()
        failing.realtime_table = down = FailingStore(service.realtime_table)
        down.down = True
        answer = failing.handler("realtime/fanout")({"Records": records}, Context())
        assert answer["batchItemFailures"] == [{"itemIdentifier": records[0]["dynamodb"]["SequenceNumber"]}]
        assert ada.sent == []

    def test_a_record_that_cannot_be_read_holds_up_no_other(self, ada: Socket, stream: Stream) -> None:
        ada.subscribe(LOBBY)
        ada.publish(LOBBY, "m")
        records = [{"eventID": "broken"}, {"dynamodb": {"NewImage": {"sk": 7}}}, *stream.records("realtime_table")]
        assert stream.deliver(records) == {"batchItemFailures": []}
        assert [frame["messageId"] for frame in ada.sent] == ["m"]

    def test_an_empty_system_delivers_the_sample_to_nobody(self, service: Service) -> None:
        assert service.handler("realtime/fanout")(sample("realtime/fanout"), Context()) == {
            "batchItemFailures": []
        }


class TestPresence:
    def test_where_more_are_present_than_fit_a_frame_the_others_follow(
        self, service: Service, ada: Socket, bob: Socket, stream: Stream
    ) -> None:
        """Beside messages that did not fit either, and the last word of an agent that fills a frame alone."""
        count = 700
        crowd(service, count, presence=True)
        epoch = ada.subscribe(LOBBY)["epoch"]
        for number in range(3):
            bob.publish(LOBBY, f"m-{number}", "x" * 20_000)
        stream.flow()
        ada.sent.clear()
        since = {"epoch": epoch, "offset": 0}
        text = ada.answer({"type": "subscribe", "id": 1, "topic": LOBBY, "presence": True, "since": since})
        answer = json.loads(text)
        assert len(text.encode()) <= MAX_FRAME
        assert 100 < len(answer["presence"]) < count
        stream.flow()
        (joined,) = ([frame["joined"] for frame in ada.sent if frame["type"] == "presence"],)
        assert all(len(compact(frame).encode()) <= MAX_FRAME for frame in ada.sent)
        members = [member["member"] for some in (answer["presence"], *joined) for member in some]
        assert {f"member-{number}" for number in range(count)} <= {*members}
        told = [*answer["messages"], *(frame for frame in ada.sent if frame["type"] == "message")]
        assert [message["offset"] for message in told] == [1, 2, 3]

    def test_who_comes_and_goes_is_told_to_those_who_watch(self, ada: Socket, bob: Socket, stream: Stream) -> None:
        assert len(ada.subscribe(LOBBY, presence=True)["presence"]) == 1
        stream.flow()
        ada.sent.clear()
        found = bob.subscribe(LOBBY, presence=True)["presence"]
        assert len(found) == 2
        stream.flow()
        bob.subscribe(LOBBY, presence=True)
        stream.flow()
        bob.disconnect()
        stream.flow()
        news = [(frame["joined"], frame["left"]) for frame in ada.sent]
        (joined,) = [member for member in found if member["sessionId"] in str(news[0])]
        assert [len(came) + len(went) for came, went in news] == [1, 1]
        assert news[0][0][0]["member"] == news[1][1][0]["member"] == joined["member"]

    def test_a_subscriber_without_presence_neither_sees_nor_is_seen(
        self, ada: Socket, bob: Socket, stream: Stream
    ) -> None:
        assert "presence" not in bob.subscribe(LOBBY)
        assert len(ada.subscribe(LOBBY, presence=True)["presence"]) == 1
        stream.flow()
        assert bob.sent == []

    def test_a_silent_connection_is_missed_within_two_minutes(
        self, ada: Socket, bob: Socket, service: Service, stream: Stream, clock: FakeClock
    ) -> None:
        """The sweep comes each minute; who gives a sign of life stays. A socket that only listens stays open."""
        for socket in (ada, bob):
            socket.subscribe(LOBBY, presence=True)
        stream.flow()
        ada.sent.clear()
        for _ in range(2):
            clock.forward(30)
            ada.ask({"type": "ping"})
            clock.forward(30)
            service.handler("realtime/sweep")(sample("realtime/sweep"), Context(60_000))
        stream.flow()
        assert [(len(frame["joined"]), len(frame["left"])) for frame in ada.sent] == [(0, 1)]
        ada.publish(LOBBY, "m", "still heard")
        stream.flow()
        assert bob.sent[-1]["data"] == "still heard"
        assert len(ada.subscribe(LOBBY, presence=True)["presence"]) == 1
        assert service.posts.closed == set()

    def test_who_was_missed_is_back_with_the_next_frame(
        self, ada: Socket, bob: Socket, service: Service, stream: Stream, clock: FakeClock
    ) -> None:
        """Also two that were silent at once hear of each other, and newcomers see those who are there."""
        for socket in (ada, bob):
            socket.subscribe(LOBBY, presence=True)
            socket.subscribe("app:kitchen", presence=True)
        stream.flow()
        ada.sent.clear()
        clock.forward(60)
        for _ in range(2):
            service.handler("realtime/sweep")(sample("realtime/sweep"), Context(60_000))
        stream.flow()
        left = {frame["topic"]: len(frame["left"]) for frame in ada.sent}
        assert (left, service.posts.closed) == ({LOBBY: 2, "app:kitchen": 2}, set())
        carol = plug(service, ticket_of(service, service.create(kind="chat")))
        assert len(carol.subscribe(LOBBY, presence=True)["presence"]) == 1
        stream.flow()
        ada.sent.clear()
        assert bob.ask({"type": "unsubscribe", "id": 1, "topic": "app:none"})["type"] == "unsubscribed"
        stream.flow()
        assert {frame["topic"]: len(frame["joined"]) for frame in ada.sent} == {LOBBY: 1, "app:kitchen": 1}
        assert len(carol.subscribe(LOBBY, presence=True)["presence"]) == 2

    def test_who_subscribes_again_has_joined_when_it_came(self, ada: Socket, clock: FakeClock) -> None:
        first = ada.subscribe(LOBBY, presence=True)["presence"]
        clock.forward(5)
        assert ada.subscribe(LOBBY, presence=True)["presence"] == first
        ada.subscribe(LOBBY)
        assert ada.subscribe(LOBBY, presence=True)["presence"] != first

    def test_who_goes_on_without_presence_has_left(self, ada: Socket, bob: Socket, stream: Stream) -> None:
        for socket in (ada, bob):
            socket.subscribe(LOBBY, presence=True)
        stream.flow()
        ada.sent.clear()
        bob.subscribe(LOBBY)
        stream.flow()
        assert [(len(frame["joined"]), len(frame["left"])) for frame in ada.sent] == [(0, 1)]


class TestEnds:
    def test_a_logout_closes_the_sockets_of_that_session_alone(self, service: Service, stream: Stream) -> None:
        owner = service.create()
        mine, another = (
            plug(service, ticket_of(service, owner)),
            plug(service, ticket_of(service, service.create())),
        )
        stream.records("table")
        service.call("tokens/revoke", token=owner.token, body={"scope": "this"})
        stream.flow()
        assert slug(mine.sent[-1]) == "session-ended"
        assert service.posts.closed == {mine.id}
        assert another.ask({"type": "ping"}) == {"type": "pong"}

    def test_revoking_the_others_closes_theirs(self, service: Service, stream: Stream) -> None:
        owners = [service.login(service.create(), "c1") for _ in range(2)]
        sockets = [plug(service, ticket_of(service, owner)) for owner in owners]
        stream.records("table")
        service.call("tokens/revoke", token=owners[0].token, body={"scope": "others"})
        stream.flow()
        assert service.posts.closed == {sockets[1].id}

    def test_a_deletion_closes_them_and_forgets_the_topic(self, service: Service, stream: Stream) -> None:
        owner = service.create()
        socket = plug(service, ticket_of(service, owner))
        socket.subscribe(f"session:{owner.id}")
        stream.records("table")
        service.call("sessions/update", "me", token=owner.token, body={"email": "ada@example.org"})
        stream.flow()
        service.call("sessions/delete", "me", token=owner.token)
        stream.flow()
        assert slug(socket.sent[-1]) == "session-ended"
        assert list(service.realtime_table.query(f"TOPIC#session:{owner.id}")) == []
        assert "ada@example.org" not in str(service.realtime_table)

    def test_a_login_closes_the_sockets_of_older_tokens(self, service: Service, stream: Stream) -> None:
        owner = service.create()
        socket = plug(service, ticket_of(service, owner))
        stream.records("table")
        linked = service.login(owner, "c1")
        newer = plug(service, ticket_of(service, linked))
        stream.flow()
        assert slug(socket.sent[-1]) == "token-revoked"
        assert service.posts.closed == {socket.id}
        assert newer.ask({"type": "ping"}) == {"type": "pong"}

    def test_an_expiry_closes_them_at_the_next_sweep(
        self, service: Service, stream: Stream, clock: FakeClock
    ) -> None:
        """Also one that was moved to an earlier time; one that was extended stays open."""
        owners = [service.create(ttlSeconds=100), service.create(ttlSeconds=100), service.create(ttlSeconds=5_000)]
        sockets = [plug(service, ticket_of(service, owner)) for owner in owners]
        stream.records("table")
        service.call("sessions/extend", owners[1].id, token=service.service_token(), body={"seconds": 900})
        service.call("sessions/extend", owners[2].id, token=service.service_token(), body={"seconds": 50})
        stream.flow()
        clock.forward(100)
        swept = service.handler("realtime/sweep")(sample("realtime/sweep"), Context(60_000))
        assert swept == {"ended": 2, "gone": 0, "silent": 0, "rotated": 0, "kept": 1}
        assert service.posts.closed == {sockets[0].id, sockets[2].id}
        assert slug(sockets[0].sent[-1]) == "session-ended"

    def test_a_socket_moves_five_minutes_before_its_limit(self, service: Service, clock: FakeClock) -> None:
        socket = plug(service, ticket_of(service, service.create(kind="chat")))
        sweep = service.handler("realtime/sweep")
        clock.forward(115 * 60 - 1)
        assert sweep({}, Context(60_000))["rotated"] == 0
        clock.forward(1)
        assert sweep({}, Context(60_000))["rotated"] == 1
        assert socket.sent == [{"type": "rotate", "before": "2026-11-20T12:03:20.000Z"}]
        clock.forward(60)
        assert sweep({}, Context(60_000)) == {"ended": 0, "gone": 0, "silent": 0, "rotated": 0, "kept": 0}
        clock.forward(300)
        assert sweep({}, Context(60_000))["gone"] == 1

    def test_an_empty_system_has_nothing_to_sweep(self, service: Service) -> None:
        found = service.handler("realtime/sweep")(sample("realtime/sweep"), Context(60_000))
        assert found == {"ended": 0, "gone": 0, "silent": 0, "rotated": 0, "kept": 0}


class TestAgents:
    def test_the_last_word_is_kept_for_newcomers(self, service: Service, ada: Socket, clock: FakeClock) -> None:
        agent = plug(service, service_ticket(service, "agents:write"))
        for word in ("idle", "busy"):
            assert agent.publish("agent:receipts", word, word)["type"] == "ack"
        assert slug(agent.publish("system:metrics", "m")) == "scope-missing"
        clock.forward(60 * 86_400)
        newcomer = plug(service, ticket_of(service, service.create(kind="chat")))
        answer = newcomer.subscribe("agent:receipts")
        assert (answer["retained"]["data"], answer["retained"]["offset"], answer["offset"]) == ("busy", 2, 2)
        assert ada.id != newcomer.id
