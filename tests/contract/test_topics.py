"""The contract of topics and connections, on every table: dense offsets, resume, repeats, presence, tickets.

Named after what others' clients and servers were caught at: a recovery before the first event, a second recovery,
an expired position, an epoch mixed with another's offset.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tessera.errors import TokenInvalid
from tessera.model.caller import Caller
from tessera.model.live import LONGEST, Connection
from tessera.model.topics import Topic
from tessera.stores.connections import SHARDS, Connections, present
from tessera.stores.dynamodb import DynamoTable
from tessera.stores.memory import MemoryTable
from tessera.stores.table import Table
from tessera.stores.tiers import Tiers
from tessera.stores.topics import Head, Place, Published, Topics, Window
from tests.support.fakes import FakeClock
from tests.support.tables import new_table

LOBBY, AGENT = Topic.parse("app:lobby"), Topic.parse("agent:receipts")
WINDOW = Window(messages=5, seconds=100)
ADA = Caller(session_id="ses_ada", epoch=1)


@pytest.fixture(params=["memory", "ministack", "dynoxide"])
def live_table(request: pytest.FixtureRequest) -> Iterator[Table]:
    """An empty table of connections and topics on each engine."""
    if request.param == "memory":
        yield MemoryTable()
        return
    client = request.getfixturevalue(f"{request.param}_client")
    with new_table(client, "RealtimeTable") as name:
        yield DynamoTable(client, name, Tiers(), sleep=lambda _: None)


@pytest.fixture
def topics(live_table: Table, clock: FakeClock) -> Topics:
    return Topics(live_table, clock, WINDOW)


@pytest.fixture
def connections(live_table: Table, clock: FakeClock) -> Connections:
    return Connections(live_table, clock)


def said(topics: Topics, text: str, topic: Topic = LOBBY) -> Published:
    """Publish a message whose id and data are that text."""
    message, new = topics.publish(topic, "ada", text, f'"{text}"')
    assert new
    return message


def missed(topics: Topics, since: Place, topic: Topic = LOBBY) -> list[int] | None:
    found = topics.after(topic, topics.head(topic), since)
    return None if found is None else [message.place.offset for message in found]


def open_connection(connections: Connections, name: str, caller: Caller = ADA) -> Connection:
    now = connections._clock()
    connection = Connection(name, f"member-{name}", caller, now, now, now + LONGEST)
    connections.open(connection)
    return connection


class TestOrder:
    def test_offsets_are_dense_and_the_epoch_stays(self, topics: Topics) -> None:
        first = topics.head(LOBBY).place
        assert [said(topics, str(number)).place for number in (1, 2, 3)] == [(first.epoch, n) for n in (1, 2, 3)]
        assert topics.head(LOBBY).place == (first.epoch, 3)

    def test_publishers_at_once_lose_and_repeat_nothing(self, live_table: Table, clock: FakeClock) -> None:
        """Each in a container of its own, none of which knows of the others."""
        containers = [Topics(live_table, clock, Window(100, 100)) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            work = [pool.submit(said, containers[n % 4], f"m-{n}") for n in range(20)]
            offsets = [each.result().place.offset for each in work]
        assert sorted(offsets) == list(range(1, 21))

    def test_two_that_begin_a_topic_at_once_begin_one_epoch(self, live_table: Table, clock: FakeClock) -> None:
        with ThreadPoolExecutor(4) as pool:
            heads = [*pool.map(lambda _: Topics(live_table, clock, WINDOW).head(LOBBY), range(8))]
        assert len({head.place.epoch for head in heads}) == 1


class TestRepeats:
    def test_a_repeat_gets_the_first_offset_whatever_its_data(self, topics: Topics) -> None:
        first, other = said(topics, "a"), said(topics, "b")
        again, new = topics.publish(LOBBY, "ada", "a", '"changed"')
        assert (again.place, new) == (first.place, False)
        assert topics.publish(LOBBY, "bob", "a", "1")[0].place.offset == other.place.offset + 1

    def test_two_of_the_same_at_once_are_one(self, live_table: Table, clock: FakeClock) -> None:
        containers = [Topics(live_table, clock, WINDOW) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            found = [*pool.map(lambda each: each.publish(LOBBY, "ada", "same", "1"), containers)]
        assert {message.place.offset for message, _ in found} == {1}
        assert [new for _, new in found].count(True) == 1

    def test_an_id_is_free_again_after_the_window(self, topics: Topics, clock: FakeClock) -> None:
        """Also where no broom has been: DynamoDB deletes days late."""
        said(topics, "a")
        clock.forward(WINDOW.seconds)
        assert said(topics, "a").place.offset == 2


class TestResume:
    def test_a_recovery_before_the_first_event_is_one(self, topics: Topics) -> None:
        began = topics.head(LOBBY).place
        assert missed(topics, began) == []
        said(topics, "a")
        assert missed(topics, began) == [1]

    def test_a_second_recovery_is_like_the_first(self, topics: Topics) -> None:
        began = topics.head(LOBBY).place
        for text in ("a", "b"):
            said(topics, text)
        assert missed(topics, began) == missed(topics, began) == [1, 2]
        assert missed(topics, topics.head(LOBBY).place) == []

    def test_an_expired_position_is_none(self, topics: Topics, clock: FakeClock) -> None:
        began = topics.head(LOBBY).place
        said(topics, "a")
        clock.forward(WINDOW.seconds - 1)
        assert missed(topics, began) == [1]
        said(topics, "b")
        clock.forward(1)
        assert missed(topics, began) is None
        assert missed(topics, Place(began.epoch, 1)) == [2]

    def test_a_position_before_the_window_is_none(self, topics: Topics) -> None:
        began = topics.head(LOBBY).place
        for number in range(WINDOW.messages):
            said(topics, str(number))
        assert missed(topics, began) == [1, 2, 3, 4, 5]
        said(topics, "one more")
        assert missed(topics, began) is None

    def test_an_epoch_with_the_offset_of_another_is_none(self, topics: Topics) -> None:
        began = topics.head(LOBBY).place
        said(topics, "a")
        topics.forget(LOBBY)
        now = topics.head(LOBBY).place
        assert now.epoch != began.epoch
        assert now.offset == 0
        assert missed(topics, Place(began.epoch, 0)) is None
        assert missed(topics, Place(now.epoch, 1)) is None

    def test_a_head_that_nobody_used_for_a_month_begins_anew(self, topics: Topics, clock: FakeClock) -> None:
        began = said(topics, "a").place
        clock.forward(31 * 86_400)
        assert topics.head(LOBBY).place.epoch != began.epoch
        assert topics.exists(LOBBY)

    def test_a_last_word_is_kept_for_agents_alone(self, topics: Topics, clock: FakeClock) -> None:
        for topic in (LOBBY, AGENT):
            said(topics, "a", topic)
            said(topics, "b", topic)
        clock.forward(31 * 86_400)
        kept = topics.head(AGENT).retained
        assert kept is not None
        assert (kept.data, kept.place.offset) == ('"b"', 2)
        assert topics.head(LOBBY).retained is None


class TestConnections:
    def test_a_ticket_is_used_once_by_one_of_many(self, connections: Connections) -> None:
        ticket = connections.issue(ADA).text

        def use(_: int) -> Caller | None:
            try:
                return connections.redeem(ticket)
            except TokenInvalid:
                return None

        with ThreadPoolExecutor(4) as pool:
            found = [*pool.map(use, range(8))]
        assert sorted(map(str, found)) == sorted([str(ADA), *["None"] * 7])

    def test_a_ticket_lasts_a_minute(self, connections: Connections, clock: FakeClock) -> None:
        ticket = connections.issue(ADA)
        clock.forward(60)
        with pytest.raises(TokenInvalid):
            connections.redeem(ticket.text)
        with pytest.raises(TokenInvalid):
            connections.redeem("made up")

    def test_a_connection_is_found_by_its_session_and_forgotten_with_all_it_had(
        self, connections: Connections, live_table: Table
    ) -> None:
        mine, other = open_connection(connections, "one"), open_connection(connections, "two")
        for connection in (mine, other):
            assert connections.subscribe(connection, LOBBY, presence=True)
        assert {found for found, _ in connections.of_session("ses_ada")} == {"one", "two"}
        assert connections.get("one") == replace(mine, present=True)
        assert connections.close("one")
        assert not connections.close("one")
        assert [found for found, _ in connections.of_session("ses_ada")] == ["two"]
        assert [found.id for found in connections.subscribers(LOBBY)] == ["two"]
        assert [*live_table.query("CONNECTION#one")] == []

    def test_who_is_gone_subscribes_to_nothing(self, connections: Connections) -> None:
        mine = open_connection(connections, "one")
        connections.close("one")
        assert not connections.subscribe(mine, LOBBY, presence=False)
        assert [*connections.subscribers(LOBBY)] == []

    def test_who_is_away_is_seen_by_nobody_until_it_is_back(
        self, connections: Connections, clock: FakeClock
    ) -> None:
        """A frame and the sweep at once: who is first wins. All topics, however many, are marked."""
        opened = open_connection(connections, "one")
        for number in range(101):
            connections.subscribe(opened, Topic.parse(f"app:{number}"), presence=True)
        mine = replace(opened, present=True)
        last, away = Topic.parse("app:99"), replace(mine, away=True)

        def seen() -> int:
            return len(list(present(connections.subscribers(last))))

        connections.mark_away(replace(mine, seen_at=mine.seen_at - 1), away)
        assert (connections.get("one"), seen()) == (mine, 1)
        connections.mark_away(mine, away)
        assert (connections.get("one"), seen()) == (away, 0)
        clock.forward(1)
        connections.mark_away(away, replace(mine, seen_at=clock()))
        assert (connections.get("one"), seen()) == (replace(mine, seen_at=clock()), 1)
        connections.close("one")
        connections.mark_away(mine, away)
        assert connections.get("one") is None

    def test_what_others_write_of_a_connection_while_it_subscribes_stays(
        self, connections: Connections, clock: FakeClock
    ) -> None:
        """It is missed, and its session's end moves, after its frame has read it: the next frame sees both."""
        mine = open_connection(connections, "one")
        connections.subscribe(mine, LOBBY, presence=True)
        seen = connections.get("one")
        assert seen is not None
        missed = replace(seen, away=True, ends_at=seen.ends_at - 1)
        connections.mark_away(seen, missed)
        clock.forward(1)
        assert connections.subscribe(seen, Topic.parse("app:kitchen"), presence=True)
        assert connections.get("one") == replace(missed, seen_at=clock())
        assert [*present(connections.subscribers(LOBBY))] == []

    def test_subscribers_come_in_pages(self, connections: Connections) -> None:
        for name in ("a", "b", "c", "d"):
            connections.subscribe(open_connection(connections, name), LOBBY, presence=False)
        assert [found.id for found in connections.subscribers(LOBBY, after="b")] == ["c", "d"]

    def test_what_is_due_is_found_without_a_scan(self, connections: Connections, clock: FakeClock) -> None:
        mine = open_connection(connections, "one")
        assert [*_due(connections, mine.due() - 1)] == []
        assert [*_due(connections, mine.due())] == ["CONNECTION#one"]
        clock.forward(10)


def _due(connections: Connections, now: int) -> Iterator[str]:
    for shard in range(SHARDS):
        yield from (item["pk"] for item in connections.due(shard, now))


class Model(RuleBasedStateMachine):
    """One topic against a list: what was published stands there in its order, and nothing is told untruly."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        table = MemoryTable()
        self.containers = [Topics(table, self.clock, WINDOW) for _ in range(2)]
        self.log: list[tuple[str, int]] = []  # message id, published at
        self.known: dict[str, tuple[int, int]] = {}  # message id → offset, until
        self.epoch = ""

    @initialize()
    def begin(self) -> None:
        self.epoch = self.containers[0].head(LOBBY).place.epoch

    @rule(container=st.integers(0, 1), message_id=st.sampled_from("abcdef"))
    def publish(self, container: int, message_id: str) -> None:
        message, new = self.containers[container].publish(LOBBY, "ada", message_id, "1")
        before = self.known.get(message_id)
        if before is not None and before[1] > self.clock():
            assert (message.place.offset, new) == (before[0], False)
            return
        self.log.append((message_id, self.clock()))
        self.known[message_id] = (len(self.log), self.clock() + WINDOW.seconds * 1_000)
        assert (message.place, new) == ((self.epoch, len(self.log)), True)

    @rule(seconds=st.integers(0, 60))
    def wait(self, seconds: int) -> None:
        self.clock.forward(seconds)

    @rule(container=st.integers(0, 1), offset=st.integers(0, 12))
    def resume(self, container: int, offset: int) -> None:
        topics = self.containers[container]
        head: Head = topics.head(LOBBY)
        found = topics.after(LOBBY, head, Place(self.epoch, offset))
        held = self.log[offset:]
        told: Any = None if found is None else [message.message_id for message in found]
        fresh = all(at + WINDOW.seconds * 1_000 > self.clock() for _, at in held)
        if offset <= len(self.log) and len(held) <= WINDOW.messages and fresh:
            assert told == [message_id for message_id, _ in held]
        else:
            assert told is None

    @invariant()
    def the_head_counts(self) -> None:
        if self.epoch:
            assert self.containers[0].head(LOBBY).place == (self.epoch, len(self.log))


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
