"""Reading: whatever lies in the table and whatever in the archive alone, a reader sees one conversation."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tessera.archive.history import MAX_PAGE_BYTES, weight
from tessera.errors import PoisonedItem, Unavailable
from tessera.model.conversations import is_gone
from tessera.stores.bucket import Bucket, MemoryBucket
from tessera.stores.dynamodb import DynamoTable
from tessera.stores.keys import conversation_of
from tessera.stores.memory import MemoryTable
from tessera.stores.table import Item, Key, Table
from tessera.stores.tiers import Tiers
from tests.support.chats import SHARDS, House, said, several
from tests.support.fakes import Crash, CrashingStore, FailingStore, FakeClock, OvertakenStore
from tests.support.tables import new_table


@pytest.fixture
def house(table: Table, bucket: Bucket, clock: FakeClock) -> House:
    return House(table, bucket, clock)


def seqs(house: House, session_id: str, **which: Any) -> list[int]:
    page = house.history.page(house.sessions.get(session_id), **which)
    return [message.seq for message in page.messages]


class Seen:
    """A table and a bucket that count what was taken out of them, item by item and object by object."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.taken = 0
        self.calls = 0

    def __getattr__(self, verb: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            answer = getattr(self._store, verb)(*arguments, **options)
            if verb in {"query_between", "get_many"}:
                return self._counted(answer)
            self.taken += 1
            return answer

        return call

    def _counted(self, answers: Iterable[Any]) -> Iterator[Any]:
        for answer in answers:
            self.taken += 1
            yield answer


# --- pages -------------------------------------------------------------------------------------------


def test_there_is_nothing_before_the_first_message(house: House) -> None:
    session_id = house.begin()
    page = house.history.page(house.sessions.get(session_id))
    assert (page.conversation_id, page.messages, page.before) == (None, [], None)


def test_pages_lead_backwards_and_forwards_through_table_and_archive(house: House) -> None:
    session_id = house.begin()
    for count in (3, 1, 5, 2, 4):
        house.say(session_id, *several(count))
        house.tend(session_id)
    for segment in house.hot(session_id)[:3:2]:
        house.ttl_takes(segment)
    assert seqs(house, session_id) == list(range(1, 16))
    back: list[int] = []
    before = None
    while True:
        page = house.history.page(house.sessions.get(session_id), limit=4, before=before)
        back = [m.seq for m in page.messages] + back
        before = page.before
        if before is None:
            break
    assert back == list(range(1, 16))
    assert seqs(house, session_id, limit=4, after=0) == [1, 2, 3, 4]
    assert seqs(house, session_id, limit=4, after=4) == [5, 6, 7, 8]
    assert seqs(house, session_id, limit=4, after=13) == [14, 15]
    assert seqs(house, session_id, after=15) == seqs(house, session_id, before=1) == []
    assert seqs(house, session_id, before=10**10 - 1, limit=1) == [15]
    assert seqs(house, session_id, after=10**10 - 1) == []


def test_a_page_ends_where_an_answer_would_be_too_large(house: House) -> None:
    session_id = house.begin()
    for n in range(5):
        house.say(session_id, said("x" * (MAX_PAGE_BYTES * 2 // 5) + f"{n}"))
    assert seqs(house, session_id) == [4, 5]
    assert seqs(house, session_id, after=0) == [1, 2]
    escaped = "\x01" * (MAX_PAGE_BYTES // 4)  # JSON writes each of them in six bytes
    house.say(session_id, said(escaped))
    assert weight({"content": escaped}) > MAX_PAGE_BYTES
    assert seqs(house, session_id) == [6], "one at least, however large"
    assert seqs(house, session_id, before=6) == [4, 5]


def test_an_object_that_is_missing_is_passed_over(house: House) -> None:
    session_id = house.begin()
    for _ in range(3):
        house.say(session_id, *several(5))
        house.tend(session_id)
    for segment in house.hot(session_id):
        house.ttl_takes(segment)
    house.bucket.delete_many([*house.bucket.keys(f"archive/{session_id}/{house.conversation(session_id)}/6-")])
    assert seqs(house, session_id) == [*range(1, 6), *range(11, 16)]
    assert seqs(house, session_id, limit=7) == [4, 5, *range(11, 16)]


def test_what_was_popped_is_shown_nowhere(house: House) -> None:
    session_id = house.begin()
    house.say(session_id, *several(5))
    house.tend(session_id)
    house.pop(session_id)
    house.ttl_takes(house.hot(session_id)[0])
    house.pop(session_id)
    plan = house.say(session_id, said("new"))
    house.pop(session_id)
    house.say(session_id, said("newer"))
    assert seqs(house, session_id) == [1, 2, 3, 7]
    assert house.history.get(session_id, plan.places[0]) is None
    assert seqs(house, session_id, after=3) == seqs(house, session_id, limit=1) == [7]
    assert seqs(house, session_id, before=6) == [1, 2, 3]


# --- what it costs -----------------------------------------------------------------------------------


def test_the_newest_hundred_are_read_and_no_more(fast_table: Table, clock: FakeClock) -> None:
    house = House(fast_table, MemoryBucket(), clock)
    session_id = house.begin()
    for _ in range(250):
        house.say(session_id)
    record, table, bucket = house.sessions.get(session_id), Seen(fast_table), Seen(house.bucket)
    house.beside(table, bucket).history.page(record)
    assert (table.calls, table.taken, bucket.calls) == (1, 100, 0)


def test_of_large_batches_as_many_are_taken_as_are_wanted(fast_table: Table, clock: FakeClock) -> None:
    house = House(fast_table, MemoryBucket(), clock)
    session_id = house.begin()
    for _ in range(10):
        house.say(session_id, *several(100))
    record, table = house.sessions.get(session_id), Seen(fast_table)
    assert len(house.beside(table).history.page(record, limit=150).messages) == 150
    assert (table.calls, table.taken) == (1, 2)


@pytest.mark.parametrize(("size", "objects"), [(5, 20), (50, 2), (100, 1)])
def test_of_the_archive_no_more_objects_are_fetched_than_hold_a_hundred(
    fast_table: Table, clock: FakeClock, size: int, objects: int
) -> None:
    house = House(fast_table, MemoryBucket(), clock)
    session_id = house.begin()
    for _ in range(400 // size):
        house.say(session_id, *several(size))
        house.tend(session_id)
    for segment in house.hot(session_id):
        house.ttl_takes(segment)
    record, table, bucket = house.sessions.get(session_id), Seen(fast_table), Seen(house.bucket)
    assert len(house.beside(table, bucket).history.page(record).messages) == 100
    assert bucket.taken == objects
    assert table.calls <= 4
    assert table.taken <= objects + 3


def test_one_message_is_found_at_once_popped_or_not(fast_table: Table, clock: FakeClock) -> None:
    house = House(fast_table, MemoryBucket(), clock)
    session_id = house.begin()
    plans = [house.say(session_id) for _ in range(150)]
    house.pop(session_id)
    for plan, found in ((plans[120], True), (plans[149], False)):
        table = Seen(fast_table)
        message = house.beside(table).history.get(session_id, plan.places[0])
        assert (message is not None, table.calls) == (found, 1)


# --- all of it ---------------------------------------------------------------------------------------


class Reference:
    """A conversation as a list: number → content, None once it was popped."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def shown(self, low: int, high: int) -> list[tuple[int, Any]]:
        found = enumerate(self.messages, 1)
        return [(seq, content) for seq, content in found if low <= seq <= high and content is not None]


class Talking(RuleBasedStateMachine):
    """Two containers talk, archive, die and pop; TTL takes what is archived. It reads like a list."""

    new_table: Callable[[], Table] = MemoryTable

    @initialize()
    def begin(self) -> None:
        self.house = House(self.new_table(), MemoryBucket(), FakeClock())
        self.containers = [self.house, self.house.beside()]
        self.session_id = self.house.begin()
        self.reference = Reference()
        self.known: dict[str, tuple[str | None, int]] = {}
        self.ended: dict[str, Reference] = {}
        self.number = 0

    @rule(
        container=st.integers(0, 1),
        batch=st.lists(st.none() | st.integers(0, 30), min_size=1, max_size=7),
    )
    def append(self, container: int, batch: list[int | None]) -> None:
        """Numbers are ids of the client; many of them come again."""
        messages, expected, begun = [], [], len(self.reference.messages)
        for name in batch:
            self.number += 1
            message_id = None if name is None else f"id-{name}"
            messages.append(said(f"{self.number}", message_id))
            if message_id is not None and message_id in self.known:
                expected.append(self.known[message_id])
                continue
            self.reference.messages.append(f"{self.number}")
            place = (None, len(self.reference.messages))
            expected.append(place)
            if message_id is not None:
                self.known[message_id] = place
        self.house.clock.forward(ms=1)
        plan = self.containers[container].say(self.session_id, *messages)
        open_one = self.house.conversation(self.session_id)
        assert [(place.conversation_id, place.seq) for place in plan.places] == [
            (conversation_id or open_one, seq) for conversation_id, seq in expected
        ]
        assert len(plan.messages) == len(self.reference.messages) - begun

    @rule(container=st.integers(0, 1))
    def pop(self, container: int) -> None:
        found = self.containers[container].pop(self.session_id)
        left = self.reference.shown(1, len(self.reference.messages))
        assert (found and (found["seq"], found["content"])) == (left[-1] if left else None)
        if left:
            self.reference.messages[left[-1][0] - 1] = None

    @rule(container=st.integers(0, 1))
    def clear(self, container: int) -> None:
        self.containers[container].clear(self.session_id)
        if self.reference.messages:
            (ended,) = {head["sk"].removeprefix("HEAD#") for head in self.house.heads(self.session_id)} - {
                *self.ended
            }
            self.ended[ended] = self.reference
            self.known = {name: (where or ended, seq) for name, (where, seq) in self.known.items()}
            self.reference = Reference()

    @rule(seconds=st.sampled_from([1, 300]), call=st.none() | st.integers(0, 12), after=st.booleans())
    def archive(self, seconds: int, call: int | None, after: bool) -> None:
        self.house.clock.forward(seconds)
        if call is None:
            self.house.tend(self.session_id)
            return
        table = CrashingStore(self.house.table, call, after=after)
        try:
            self.house.beside(table, table.beside(self.house.bucket)).tend(self.session_id)
        except Crash:
            return

    @rule(which=st.sets(st.integers(0, 20)))
    def ttl(self, which: set[int]) -> None:
        marks = {
            head["sk"].removeprefix("HEAD#"): head["archivedSeq"] for head in self.house.heads(self.session_id)
        }
        for place, segment in enumerate(self.house.hot(self.session_id)):
            conversation_id = segment["sk"].split("#")[1]
            if place in which and max(map(int, segment["messages"])) <= marks[conversation_id]:
                self.house.ttl_takes(segment)

    @rule(limit=st.integers(1, 30), bound=st.integers(0, 40), way=st.sampled_from(["newest", "before", "after"]))
    def read(self, limit: int, bound: int, way: str) -> None:
        bounds = {} if way == "newest" else {way: bound}
        page = self.house.history.page(self.house.sessions.get(self.session_id), limit=limit, **bounds)
        found = [(message.seq, message.content) for message in page.messages]
        match way:
            case "after":
                assert found == self.reference.shown(bound + 1, 10**9)[:limit]
            case "before":
                assert found == self.reference.shown(1, bound - 1)[-limit:]
            case _:
                assert found == self.reference.shown(1, 10**9)[-limit:]

    @invariant()
    def pages_joined_are_the_whole(self) -> None:
        if not hasattr(self, "house"):
            return
        record, joined, before = self.house.sessions.get(self.session_id), [], None
        while True:
            page = self.house.history.page(record, limit=5, before=before)
            joined = [(message.seq, message.content) for message in page.messages] + joined
            before = page.before
            if before is None:
                break
        assert joined == self.reference.shown(1, 10**9)

    def teardown(self) -> None:
        for conversation_id, reference in self.ended.items():
            assert [*self.house.told(self.session_id, conversation_id).items()] == reference.shown(1, 10**9)
        self.house.sessions.delete(self.session_id)
        assert self.house.hot(self.session_id) == []
        for head in self.house.heads(self.session_id):
            conversation_id = head["sk"].removeprefix("HEAD#")
            reference = self.ended.get(conversation_id, self.reference)
            assert [*self.house.told(self.session_id, conversation_id).items()] == reference.shown(1, 10**9)
            lies_once(self.house, self.session_id, conversation_id, len(reference.messages))


def lies_once(house: House, session_id: str, conversation_id: str, last: int) -> None:
    found = house.objects(session_id, conversation_id)
    assert [*found] == house.ranges(session_id, conversation_id)
    assert [seq for low, high in found for seq in range(low, high + 1)] == list(range(1, last + 1))
    assert house.head(session_id, conversation_id)["archivedSeq"] == last


def test_a_reader_sees_what_a_list_would_show() -> None:
    run_state_machine_as_test(Talking, settings=settings(max_examples=100, stateful_step_count=40, deadline=None))


def test_and_on_an_engine(dynoxide_client: Any) -> None:
    with new_table(dynoxide_client) as name:

        class OnEngine(Talking):
            @staticmethod
            def new_table() -> Table:
                return DynamoTable(dynoxide_client, name, Tiers(), sleep=lambda _: None)

        run_state_machine_as_test(
            OnEngine, settings=settings(max_examples=8, stateful_step_count=30, deadline=None)
        )


# --- the archive under everything that may happen to it ----------------------------------------------------


class Archiving(RuleBasedStateMachine):
    """Runs die, overtake each other and find S3 down; TTL takes what is not archived, and the stream brings it.

    It brings it later, again, and in another order. In the end each message lies in one object.
    """

    @initialize()
    def begin(self) -> None:
        self.house = House(MemoryTable(), MemoryBucket(), FakeClock())
        self.session_id = self.house.begin()
        self.counts: dict[str, int] = {}
        self.contents: dict[tuple[str, int], str] = {}
        self.stream: list[Item] = []

    @rule(count=st.integers(1, 6))
    def append(self, count: int) -> None:
        self.house.clock.forward(ms=1)
        plan = self.house.say(self.session_id, *(said(f"{count} {n}") for n in range(count)))
        self.counts[plan.conversation_id] = plan.places[-1].seq
        for place, n in zip(plan.places, range(count), strict=True):
            self.contents[place.conversation_id, place.seq] = f"{count} {n}"

    @rule()
    def pop(self) -> None:
        self.house.pop(self.session_id)

    @rule()
    def clear(self) -> None:
        self.house.clear(self.session_id)

    @rule(seconds=st.sampled_from([1, 60, 300]))
    def time_passes(self, seconds: int) -> None:
        self.house.clock.forward(seconds)

    @rule(call=st.integers(0, 14), after=st.booleans(), rescue=st.booleans())
    def die(self, call: int, after: bool, rescue: bool) -> None:
        table = CrashingStore(self.house.table, call, after=after)
        with suppress(Crash):
            self.tend(self.house.beside(table, table.beside(self.house.bucket)), self.stream if rescue else ())

    @rule(call=st.integers(0, 6), inner=st.integers(0, 6), count=st.integers(0, 3))
    def overtake(self, call: int, inner: int, count: int) -> None:
        """Another run comes between two steps of ours, after some messages, and dies itself perhaps."""

        def other() -> None:
            if count:
                self.append(count)
            self.die(inner, after=True, rescue=False)

        table = OvertakenStore(self.house.table, call, other)
        self.tend(self.house.beside(table, table.beside(self.house.bucket)))

    @rule()
    def fail(self) -> None:
        down = FailingStore(self.house.bucket)
        down.down = True
        with suppress(Unavailable):
            self.tend(self.house.beside(bucket=down))

    @rule(which=st.integers(0, 9))
    def ttl(self, which: int) -> None:
        segments = self.house.hot(self.session_id)
        if which < len(segments):
            self.stream.append(self.house.ttl_takes(segments[which]))

    @rule(data=st.data())
    def bring(self, data: st.DataObject) -> None:
        self.tend(self.house, data.draw(st.lists(st.sampled_from(self.stream), max_size=5)) if self.stream else ())

    @rule()
    def schedule(self) -> None:
        for shard in range(SHARDS):
            for item in self.house.archiver.due(shard, self.house.clock()):
                with suppress(PoisonedItem):
                    self.house.archiver.tend(*conversation_of(Key(item["pk"], item["sk"])))

    def tend(self, house: House, batch: Sequence[Item] = ()) -> None:
        """Tend as the function does: a conversation with a gap waits, and holds up no other."""
        for head in house.heads(self.session_id):
            conversation_id = head["sk"].removeprefix("HEAD#")
            with suppress(PoisonedItem):
                house.archiver.tend(
                    self.session_id, conversation_id, [image for image in batch if conversation_id in image["sk"]]
                )

    @invariant()
    def what_is_archived_does_not_overlap(self) -> None:
        for conversation_id in getattr(self, "counts", {}):
            head = self.house.head(self.session_id, conversation_id)
            ranges = self.house.ranges(self.session_id, conversation_id)
            assert [seq for low, high in ranges for seq in range(low, high + 1)] == [
                *range(1, head["archivedSeq"] + 1)
            ]
            extra = self.house.objects(self.session_id, conversation_id).keys() - {*ranges}
            assert extra <= {(head["archivedSeq"] + 1, head.get("archivingSeq"))}

    def teardown(self) -> None:
        for image in reversed(self.stream):
            self.tend(self.house, [image])
        self.house.clock.forward(300)
        self.house.sessions.delete(self.session_id)
        assert self.house.hot(self.session_id) == []
        for conversation_id, last in self.counts.items():
            lies_once(self.house, self.session_id, conversation_id, last)
            gone = self.house.head(self.session_id, conversation_id).get("popped", [])
            assert self.house.told(self.session_id, conversation_id) == {
                seq: text
                for (where, seq), text in self.contents.items()
                if where == conversation_id and not is_gone(seq, gone)
            }


def test_whatever_happens_each_message_lies_in_one_object() -> None:
    run_state_machine_as_test(
        Archiving, settings=settings(max_examples=250, stateful_step_count=40, deadline=None)
    )


# --- any layout --------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=8),
    archived=st.integers(0, 8),
    taken=st.sets(st.integers(0, 7)),
    bounds=st.tuples(st.integers(0, 60), st.integers(0, 60)),
    newest_first=st.booleans(),
    chunk=st.integers(1, 5),
)
def test_any_stretch_of_any_layout_is_read_in_order(  # noqa: PLR0917 - what a layout has
    sizes: list[int], archived: int, taken: set[int], bounds: tuple[int, int], newest_first: bool, chunk: int
) -> None:
    house = House(MemoryTable(), MemoryBucket(), FakeClock())
    session_id = house.begin()
    for place, size in enumerate(sizes):
        house.say(session_id, *several(size))
        if place < archived:
            house.clock.forward(300)
            house.tend(session_id)
    for place, segment in enumerate(house.hot(session_id)):
        if place in taken and place < archived:
            house.ttl_takes(segment)
    low, high = sorted(bounds)
    walked = house.history.walk(
        session_id, house.conversation(session_id), max(1, low), high, newest_first=newest_first, chunk=chunk
    )
    expected = [*range(max(1, low), min(high, sum(sizes)) + 1)]
    assert [message["seq"] for message in walked] == (expected[::-1] if newest_first else expected)
