"""The open conversation, on every engine: messages are numbered without a gap, each id once, whoever writes."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from tessera.errors import (
    Contended,
    Invalid,
    PreconditionFailed,
    SessionExpired,
    SessionNotFound,
    TesseraError,
    TokenRevoked,
)
from tessera.model.caller import Caller
from tessera.model.changes import Admitted, Clause
from tessera.model.clock import SECOND
from tessera.model.conversations import MAX_SKEW
from tessera.model.credentials import logged_in, revoked
from tessera.model.life import extended
from tessera.model.messages import NewMessage
from tessera.model.record import Record, Refresh
from tessera.stores.attributes import size
from tessera.stores.bucket import Bucket, MemoryBucket
from tessera.stores.conversations import TRIES
from tessera.stores.keys import MESSAGE_ID, partition
from tessera.stores.table import BY_CUSTOMER, MAX_ITEM_BYTES, Table
from tests.support.chats import House, said, several
from tests.support.fakes import START, FailingStore, FakeClock, InterruptedStore

THREADS = 50


def holder(house: House, session_id: str) -> Callable[[Record], Admitted]:
    """Return how the holder of a token that was issued now is let in, from now on."""
    caller = Caller(session_id=session_id, epoch=house.sessions.find(session_id).epoch)

    def admit(record: Record) -> Admitted:
        caller.admit(record).live(house.clock())
        return Admitted(house.clock())

    return admit


def stored(house: House, session_id: str) -> Any:
    """Return all that lies in the table of a session, to be compared."""
    return [*house.table.query(partition(session_id)), *house.heads(session_id)]


def seqs(house: House, session_id: str, *messages: NewMessage) -> list[int]:
    return [place.seq for place in house.say(session_id, *messages).places]


# --- numbers -----------------------------------------------------------------------------------------


def test_messages_are_numbered_from_one_without_a_gap(house: House) -> None:
    session_id = house.begin()
    first = house.say(session_id, said("a"))
    second = house.say(session_id, said("b"), said("c"))
    third = house.say(session_id, said("d"))
    assert [p.seq for plan in (first, second, third) for p in plan.places] == [1, 2, 3, 4]
    assert (first.begins, second.begins, third.begins) == (True, False, False)
    assert first.conversation_id == second.conversation_id == house.conversation(session_id)
    assert house.shown(session_id) == {1: "a", 2: "b", 3: "c", 4: "d"}


def test_a_message_comes_back_as_it_was_said(house: House) -> None:
    session_id = house.begin()
    content = {"text": "Wo?", "list": [1, 1.5, None, True]}
    house.say(session_id, said(content, "m-1", START - 5_000, role="tool", metadata={"a": {"b": None}}), said(""))
    first, second = house.history.page(house.sessions.get(session_id)).messages
    assert (first.message_id, first.role, first.content, first.created_at) == (
        "m-1",
        "tool",
        content,
        START - 5_000,
    )
    assert first.metadata == {"a": {"b": None}}
    assert second.message_id == f"{house.conversation(session_id)}.2"
    assert (second.content, second.created_at, second.metadata) == ("", START, None)


@pytest.mark.parametrize("prefix", ["", "id-"], ids=["no ids", "ids of the client"])
def test_a_hundred_go_at_once_or_not_at_all(house: House, prefix: str) -> None:
    session_id = house.begin()
    for _ in range(2):
        before = stored(house, session_id)
        late = said("late", at=house.clock() + MAX_SKEW + 1)
        with pytest.raises(Invalid) as refused:
            house.say(session_id, *several(99, prefix and "other-"), late)
        assert refused.value.members["errors"][0]["pointer"] == "/messages/99/createdAt"
        assert stored(house, session_id) == before
        house.say(session_id, *several(100, prefix and f"{prefix}{len(before)}-"))
    assert list(house.shown(session_id)) == list(range(1, 201))


def test_two_containers_alternate(house: House) -> None:
    session_id, other = house.begin(), house.beside()
    places = [place for n in range(6) for place in seqs(house if n % 2 else other, session_id, said(f"{n}"))]
    assert places == [1, 2, 3, 4, 5, 6]
    assert list(house.shown(session_id).values()) == [*"012345"]


def test_one_append_is_one_call_and_costs_the_same_later_on(fast_table: Table, clock: FakeClock) -> None:
    session_id = House(fast_table, MemoryBucket(), clock).begin()
    written: list[int] = []

    class Weighed(FailingStore):
        def __getattr__(self, verb: str) -> Any:
            call = super().__getattr__(verb)

            def weighed(writes: Any) -> Any:
                written.append(sum(size(getattr(write, "item", {})) for write in writes))
                return call(writes)

            return weighed if verb == "transact" else call

    table = Weighed(fast_table)
    house = House(table, MemoryBucket(), clock)
    house.say(session_id, said("first", "id-000"))
    table.calls.clear()
    for n in range(1, 200):
        house.say(session_id, said("again", f"id-{n:03}"))
    assert table.calls == {"transact": 199}
    assert max(written[1:]) - written[1] <= 3, "what is written grows by the digits of the number"


def test_what_a_container_remembers_is_bounded_and_bare(house: House) -> None:
    """Nobody can fill it with a large session, and it is not a copy of what is personal."""
    session_id = house.begin(email="ada@example.com", metadata={"a": "x" * 1_000}, customer={"firstName": "Ada"})
    house.say(session_id)
    remembered = repr(vars(vars(house.conversations)["_remembered"])).lower()
    assert session_id in remembered
    assert not any(text in remembered for text in ("ada@", "'ada'", "xxx"))


# --- ids ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [97, 98, 99, 100])
def test_batches_full_of_ids_are_all_known_afterwards(house: House, count: int) -> None:
    """A transaction has room for 97 or 98 of them; the others wait on the core until the next append."""
    session_id = house.begin()
    first, second = several(count, "a-"), several(count, "b-")
    assert seqs(house, session_id, *first) == list(range(1, count + 1))
    assert seqs(house, session_id, *second) == list(range(count + 1, 2 * count + 1))
    assert seqs(house, session_id, *reversed(second)) == list(range(2 * count, count, -1))
    assert seqs(house.beside(), session_id, *first) == list(range(1, count + 1))
    house.say(session_id, said("last", "c"))
    ids = {item["sk"].removeprefix(MESSAGE_ID) for item in house.table.query(partition(session_id), MESSAGE_ID)}
    assert ids == {message.message_id for message in (*first, *second)} | {"c"}
    assert house.sessions.find(session_id).spare_ids == {}
    assert list(house.shown(session_id)) == list(range(1, 2 * count + 2))


@pytest.mark.parametrize("fresh", [0, 1, 50, 96, 97, 98, 99], ids=lambda count: f"{count} others")
@pytest.mark.parametrize("place", ["first", "last"])
def test_a_repeated_id_stays_where_it_was_in_any_batch(house: House, fresh: int, place: str) -> None:
    session_id = house.begin()
    house.say(session_id, said("before"), said("once", "x"))
    others, again = several(fresh, "new-"), said("twice", "x")
    plan = house.say(session_id, *([again, *others] if place == "first" else [*others, again]))
    assert sorted(p.seq for p in plan.places) == list(range(2, 3 + fresh))
    assert house.shown(session_id)[2] == "once"
    assert list(house.shown(session_id)) == list(range(1, 3 + fresh))
    shown = [message["content"] for message in house.history.appended(session_id, plan)]
    assert shown[0 if place == "first" else -1] == "once"


def test_an_id_that_comes_twice_in_one_batch_is_one_message(house: House) -> None:
    session_id = house.begin()
    assert seqs(house, session_id, said("a", "x"), said("b"), said("c", "x"), said("d")) == [1, 2, 1, 3]
    assert house.shown(session_id) == {1: "a", 2: "b", 3: "d"}


def test_a_repetition_alone_writes_nothing(house: House) -> None:
    session_id = house.begin()
    house.say(session_id, *several(100, "a-"))
    house.say(session_id, *several(100, "a-"))  # which moves the ids that found no room
    before = stored(house, session_id)
    for container in (house, house.beside()):
        container.say(session_id, *several(100, "a-"))
        container.say(session_id, said("?", "a-99"))
    assert stored(house, session_id) == before


def test_an_id_is_known_after_its_conversation_ended(house: House) -> None:
    session_id = house.begin()
    first = house.say(session_id, said("once", "x"))
    house.clear(session_id)
    for container in (house, house.beside()):
        again = container.say(session_id, said("twice", "x"))
        assert (again.places, again.messages) == (first.places, {})
    mixed = house.say(session_id, said("twice", "x"), said("new"))
    assert mixed.places[0] == first.places[0]
    assert (mixed.places[1].seq, mixed.places[1].conversation_id) == (1, house.conversation(session_id))
    assert [message["content"] for message in house.history.appended(session_id, mixed)] == ["once", "new"]
    assert house.shown(session_id) == {1: "new"}


def test_an_id_is_known_though_it_was_popped(house: House) -> None:
    """A retry must not bring back what the user has taken away."""
    session_id = house.begin()
    house.say(session_id, said("a"), said("b", "x"))
    house.pop(session_id)
    again = house.say(session_id, said("b", "x"))
    assert (again.places[0].seq, again.messages) == (2, {})
    assert house.history.appended(session_id, again) == []
    assert house.shown(session_id) == {1: "a"}


def test_a_container_whose_core_is_old_knows_the_ids_of_others(house: House) -> None:
    session_id, other = house.begin(), house.beside()
    house.say(session_id, said("a", "a"))
    other.say(session_id, *several(100, "b-"))
    assert seqs(house, session_id, said("again", "b-99"), said("new", "c"), said("again", "b-0")) == [101, 102, 2]
    assert list(house.shown(session_id)) == list(range(1, 103))


def test_spare_ids_that_another_container_moves_at_this_moment_are_known(house: House) -> None:
    session_id = house.begin()
    house.say(session_id, *several(100, "a-"))
    late = house.beside(InterruptedStore(house.table, "transact", lambda: house.say(session_id, said("b", "b"))))
    assert seqs(late, session_id, said("?", "a-99"), said("c", "c"), said("?", "b")) == [100, 102, 101]


def test_ids_of_the_services_own_form_name_their_messages(house: House) -> None:
    session_id = house.begin()
    house.say(session_id, said("a"), said("b"))
    conversation_id, other = house.conversation(session_id), house.beside()
    house.say(session_id)
    other.say(session_id)
    for container in (house, other):
        assert seqs(container, session_id, said("?", f"{conversation_id}.2")) == [2]
        assert seqs(container, session_id, said("?", f"{conversation_id}.4")) == [4]
    with pytest.raises(Invalid) as refused:
        house.say(session_id, said("new"), said("?", f"{conversation_id}.5"))
    assert refused.value.members["errors"][0]["pointer"] == "/messages/1/messageId"
    assert seqs(house, session_id, said("mine", f"{conversation_id}.05"), said("mine too", "cnv_x.1")) == [5, 6]


def test_an_own_id_of_an_ended_conversation_still_names_its_message(house: House) -> None:
    session_id = house.begin()
    house.say(session_id, said("a"), said("b"))
    ended = house.conversation(session_id)
    house.clear(session_id)
    for container in (house, house.beside()):
        plan = container.say(session_id, said("?", f"{ended}.2"))
        assert [(place.conversation_id, place.seq) for place in plan.places] == [(ended, 2)]


def test_the_own_id_of_another_sessions_message_is_an_id_like_any_other(house: House) -> None:
    """So a history can be copied from one session to another, ids and all, and more than once."""
    source, target = house.begin(), house.begin()
    house.say(source, said("a"))
    copied = f"{house.conversation(source)}.1"
    for container in (house, house.beside()):
        assert seqs(container, target, said("a", copied)) == [1]
    assert list(house.shown(target).values()) == ["a"]


# --- times -------------------------------------------------------------------------------------------


def test_a_clock_may_be_five_minutes_ahead_and_any_time_behind(house: House) -> None:
    session_id = house.begin()
    house.say(session_id, said("old", at=0), said("soon", at=START + MAX_SKEW))
    with pytest.raises(Invalid):
        house.say(session_id, said("later", at=START + MAX_SKEW + 1))
    house.clock.forward(ms=1)
    house.say(session_id, said("later", at=START + MAX_SKEW + 1))
    assert list(house.shown(session_id).values()) == ["old", "soon", "later"]


def test_appending_keeps_a_session_alive_and_changes_its_version(house: House) -> None:
    session_id = house.begin(kind="form", ttlSeconds=60)
    for n in range(5):
        assert house.sessions.get(session_id).session.version == 1 + n
        house.say(session_id)
        now = house.clock.forward(50)
        assert house.sessions.get(session_id).session.last_activity_at == now - 50 * SECOND


# --- what another does between two appends --------------------------------------------------------------


type Event = Callable[[House, str], None]


def login(house: House, session_id: str) -> None:
    def decide(record: Record) -> Any:
        return logged_in(record, "c-1", {}, Refresh("hash", "family"), house.clock())

    house.sessions.change(session_id, decide)


def revoke(house: House, session_id: str) -> None:
    house.sessions.change(session_id, lambda record: revoked(record, house.clock()))


def expire(house: House, _: str) -> None:
    house.clock.forward(3_601)


def bury(house: House, session_id: str) -> None:
    expire(house, session_id)
    house.clean_up()


def delete(house: House, session_id: str) -> None:
    house.sessions.delete(session_id)


SHUT_OUT = [(login, TokenRevoked), (revoke, TokenRevoked), (bury, SessionExpired), (delete, SessionNotFound)]


@pytest.mark.parametrize(("event", "error"), [*SHUT_OUT, (expire, SessionExpired)])
@pytest.mark.parametrize("batch", [["new"], ["old"], ["old", "new"]], ids=" ".join)
def test_who_was_shut_out_writes_nothing_and_is_told_why(
    house: House, event: Event, error: type[TesseraError], batch: Sequence[str]
) -> None:
    """Also where the container remembers the session as it was when the token was good."""
    session_id = house.begin(ttlSeconds=3_600)
    admit = holder(house, session_id)
    house.conversations.append(session_id, [said("once", "old")], admit)
    event(house.beside(), session_id)
    before = stored(house, session_id)
    for container in (house, house.beside()):
        with pytest.raises(error):
            container.conversations.append(session_id, [said("?", name) for name in batch], admit)
    assert stored(house, session_id) == before


@pytest.mark.parametrize(("event", "error"), SHUT_OUT)
@pytest.mark.parametrize("batch", [["new"], ["old", "new"]], ids=" ".join)
@pytest.mark.parametrize("remembered", [True, False], ids=["remembered", "read"])
def test_who_is_shut_out_at_this_moment_writes_nothing_either(
    house: House, event: Event, error: type[TesseraError], batch: Sequence[str], remembered: bool
) -> None:
    session_id, writes = house.begin(ttlSeconds=3_600), int(remembered)
    admit = holder(house, session_id)
    house.conversations.append(session_id, [said("once", "old")], admit)

    class Overtaken:
        def __getattr__(self, verb: str) -> Any:
            nonlocal writes
            if verb == "transact":
                writes -= 1
                if writes == -1:
                    event(house, session_id)
            return getattr(house.table, verb)

    late = house.beside(Overtaken()).conversations
    if remembered:
        late.append(session_id, [said("twice")], admit)
    with pytest.raises(error):
        late.append(session_id, [said("?", name) for name in batch], admit)
    assert "?" not in repr(house.hot(session_id))
    assert all(not item["sk"].endswith("new") for item in house.table.query(partition(session_id)))


@pytest.mark.parametrize("event", [login, revoke])
def test_a_container_that_remembers_an_earlier_login_lets_the_new_token_in(house: House, event: Event) -> None:
    session_id = house.begin()
    house.say(session_id)
    event(house.beside(), session_id)
    plan = house.conversations.append(session_id, [said("after")], holder(house, session_id))
    assert plan.first_seq == 2


def test_a_container_that_remembers_a_shorter_life_lets_the_session_live(house: House) -> None:
    session_id = house.begin(kind="form", ttlSeconds=60)
    house.say(session_id)
    house.beside().sessions.change(session_id, lambda record: extended(record, 3_600, house.clock()))
    house.clock.forward(600)
    assert seqs(house, session_id) == [2]


def test_after_a_clear_elsewhere_messages_go_to_the_new_conversation(house: House) -> None:
    session_id = house.begin()
    house.say(session_id, said("a"))
    house.beside().clear(session_id)
    plan = house.say(session_id, said("b"))
    assert (plan.begins, plan.conversation_id) == (True, house.conversation(session_id))
    assert house.shown(session_id) == {1: "b"}
    assert len(house.heads(session_id)) == 2


def test_a_clear_at_this_moment_too(house: House) -> None:
    session_id = house.begin()
    house.say(session_id, said("a"))
    late = house.beside(InterruptedStore(house.table, "transact", lambda: house.clear(session_id)))
    plan = late.say(session_id, said("b"))
    assert (plan.begins, plan.conversation_id) == (True, house.conversation(session_id))
    assert house.shown(session_id) == {1: "b"}


def test_if_match_is_decided_on_the_session_as_it_is(house: House) -> None:
    session_id = house.begin()
    house.say(session_id)
    house.beside().say(session_id)

    def matching(version: int) -> Callable[[Record], Admitted]:
        def admit(record: Record) -> Admitted:
            if record.session.version != version:
                raise PreconditionFailed(version=record.session.version)
            return Admitted(house.clock(), (Clause(("version",), "is", version),))

        return admit

    with pytest.raises(PreconditionFailed) as failed:
        house.conversations.append(session_id, [said()], matching(2), exactly=True)
    assert failed.value.members == {"version": 3}
    plan = house.conversations.append(session_id, [said()], matching(3), exactly=True)
    assert plan.first_seq == 3
    meanwhile = house.beside(InterruptedStore(house.table, "transact", lambda: house.pop(session_id)))
    with pytest.raises(PreconditionFailed):
        meanwhile.conversations.append(session_id, [said()], matching(4), exactly=True)


def test_whose_conversation_it_is_the_login_decides_before_and_after_it_begins(house: House) -> None:
    """A login that comes while the first message is written is seen by it, or sees the head itself."""
    known, later, meanwhile = house.begin(customer={"customerId": "c-1"}), house.begin(), house.begin()
    house.say(known)
    house.say(later)
    house.link(later, "c-1")
    late = house.beside(InterruptedStore(house.table, "transact", lambda: login(house, meanwhile)))
    late.say(meanwhile)
    for session_id in (known, later, meanwhile):
        (head,) = house.heads(session_id)
        assert head[BY_CUSTOMER.pk] == "MEMORY#c-1"


def test_nothing_is_said_to_a_session_that_is_not_there(house: House) -> None:
    with pytest.raises(SessionNotFound):
        house.say("ses_unknown")
    with pytest.raises(SessionNotFound):
        house.pop("ses_unknown")
    with pytest.raises(SessionNotFound):
        house.clear("ses_unknown")


# --- many at once ------------------------------------------------------------------------------------


def test_of_many_writers_none_is_lost_and_each_keeps_its_order(fast_table: Table, clock: FakeClock) -> None:
    house = House(fast_table, MemoryBucket(), clock)
    session_id = house.begin()
    start, rounds = Barrier(THREADS), 2

    def write(writer: int) -> None:
        own = House(fast_table, MemoryBucket(), clock)
        start.wait()
        for n in range(rounds):
            while True:
                try:
                    own.say(session_id, said(f"{writer} {n}", f"{writer}-{n}"), said(f"{writer} {n}b"))
                except Contended:
                    continue
                break

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(write, range(THREADS)))
    contents = house.shown(session_id)
    assert list(contents) == list(range(1, THREADS * rounds * 2 + 1))
    for writer in range(THREADS):
        own = [text for text in contents.values() if text.startswith(f"{writer} ")]
        assert own == [f"{writer} {n}{b}" for n in range(rounds) for b in ("", "b")]


def test_one_message_from_many_at_once_is_one_message(fast_table: Table, clock: FakeClock) -> None:
    house = House(fast_table, MemoryBucket(), clock)
    session_id, start = house.begin(), Barrier(20)

    def write(_: int) -> int:
        own = House(fast_table, MemoryBucket(), clock)
        start.wait()
        while True:
            try:
                return own.say(session_id, said("once", "x")).places[0].seq
            except Contended:
                continue

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(write, range(20))) == {1}
    assert house.shown(session_id) == {1: "once"}


def test_who_loses_every_race_is_told_to_come_again(fast_house: House) -> None:
    house = fast_house
    session_id = house.begin()
    house.say(session_id)

    class Losing:
        tries = 0

        def __getattr__(self, verb: str) -> Any:
            if verb == "transact":
                self.tries += 1
                raise Contended
            return getattr(house.table, verb)

    table = Losing()
    for act in (
        lambda late: late.say(session_id),
        lambda late: late.pop(session_id),
        lambda late: late.clear(session_id),
    ):
        table.tries = 0
        with pytest.raises(Contended):
            act(house.beside(table))
        assert table.tries == TRIES


# --- contents that are too large for an item ---------------------------------------------------------------


def test_large_contents_come_back_whole(house: House, bucket: Bucket) -> None:
    house = house.beside(bucket=bucket)
    session_id = house.begin()
    texts = [f"{n}" + "ä" * (60_000 * n) for n in range(4)]
    house.say(
        session_id, *(said(text, metadata={"n": n}) for n, text in enumerate(texts)), said({"a": "x" * 290_000})
    )
    assert len(list(bucket.keys(f"overflow/{session_id}/"))) == 3
    assert max(map(size, house.hot(session_id))) <= MAX_ITEM_BYTES + 1_000
    page = house.history.page(house.sessions.get(session_id))
    assert [m.content for m in page.messages] == [*texts, {"a": "x" * 290_000}]
    assert [m.metadata for m in page.messages] == [{"n": 0}, {"n": 1}, {"n": 2}, {"n": 3}, None]
    assert house.pop(session_id)["content"] == {"a": "x" * 290_000}
    house.tend(session_id)
    popped = house.pop(session_id)
    assert (popped["content"], popped["metadata"], popped["seq"]) == (texts[3], {"n": 3}, 4)


def test_a_large_content_stays_with_its_message_when_another_came_first(house: House) -> None:
    """The number, and with it the id, that it nearly had is another's then."""
    session_id = house.begin()
    house.say(session_id)
    late = house.beside(InterruptedStore(house.table, "transact", lambda: house.say(session_id, said("between"))))
    large = [letter * 400_000 for letter in "abc"]
    late.say(session_id, *map(said, large))
    assert list(house.shown(session_id).values()) == ["…", "between", *large]
    assert len(list(house.bucket.keys("overflow/"))) == 3, "each went to S3 once"


def test_what_is_refused_in_the_end_leaves_nothing_in_s3(house: House) -> None:
    session_id = house.begin()
    house.say(session_id, said("x" * 400_000, "once"))
    (kept,) = house.bucket.keys("overflow/")
    late = house.beside(
        InterruptedStore(house.table, "transact", lambda: house.say(session_id, said("between", "twice")))
    )
    late.say(session_id, said("y" * 400_000, "twice"))
    assert list(house.bucket.keys("overflow/")) == [kept]
    gone = house.beside(InterruptedStore(house.table, "transact", lambda: house.sessions.delete(session_id)))
    with pytest.raises(SessionNotFound):
        gone.say(session_id, said("z" * 400_000))
    assert list(house.bucket.keys("overflow/")) == [kept]


# --- pop ---------------------------------------------------------------------------------------------


def test_the_newest_goes_first_and_numbers_are_not_given_again(house: House) -> None:
    session_id = house.begin()
    assert house.pop(session_id) is None
    house.say(session_id, said("a"), said("b"))
    house.say(session_id, said("c"))
    assert house.pop(session_id)["content"] == "c"
    assert house.pop(session_id)["content"] == "b"
    assert seqs(house, session_id, said("d")) == [4]
    assert house.shown(session_id) == {1: "a", 4: "d"}
    assert [house.pop(session_id)["content"] for _ in range(2)] == ["d", "a"]
    assert house.pop(session_id) is None
    assert house.shown(session_id) == {}
    assert seqs(house, session_id, said("e")) == [5]
    assert "c" not in [
        message and message["content"] for s in house.hot(session_id) for message in s["messages"].values()
    ]


def test_what_is_archived_is_popped_too(house: House) -> None:
    session_id = house.begin()
    for n in range(6):
        house.say(session_id, said(f"{n}"))
    house.tend(session_id)
    for segment in house.hot(session_id)[::2]:
        house.ttl_takes(segment)
    assert [house.pop(session_id)["content"] for _ in range(3)] == ["5", "4", "3"]
    assert house.shown(session_id) == {1: "0", 2: "1", 3: "2"}


def test_ten_at_once_get_ten_different_ones(fast_house: House) -> None:
    house = fast_house
    session_id = house.begin()
    house.say(session_id, *(said(n) for n in range(8)))
    house.say(session_id, *(said(n) for n in range(8, 15)))
    start = Barrier(10)

    def pop(_: int) -> Any:
        own = house.beside()
        start.wait()
        while True:
            try:
                return own.pop(session_id)["content"]
            except Contended:
                continue

    with ThreadPoolExecutor(10) as pool:
        assert sorted(pool.map(pop, range(10))) == list(range(5, 15))
    assert list(house.shown(session_id).values()) == list(range(5))


def test_two_pops_at_once_of_what_only_the_archive_has_take_two(house: House) -> None:
    session_id = house.begin()
    house.say(session_id, *several(5))
    house.tend(session_id)
    house.ttl_takes(house.hot(session_id)[0])
    first: list[Any] = []
    late = house.beside(InterruptedStore(house.table, "transact", lambda: first.append(house.pop(session_id))))
    assert [late.pop(session_id)["content"], first[0]["content"]] == ["m3", "m4"]
    assert list(house.shown(session_id)) == [1, 2, 3]


def test_a_pop_and_an_append_at_once_both_count(house: House) -> None:
    """The pop that is overtaken takes what is the newest then."""
    session_id = house.begin()
    house.say(session_id, said("a"), said("b"))
    late = house.beside(InterruptedStore(house.table, "transact", lambda: house.say(session_id, said("c"))))
    assert late.pop(session_id)["content"] == "c"
    late = house.beside(InterruptedStore(house.table, "transact", lambda: house.pop(session_id)))
    assert seqs(late, session_id, said("d")) == [4]
    assert house.shown(session_id) == {1: "a", 4: "d"}


def test_a_pop_that_a_clear_overtakes_takes_nothing(house: House) -> None:
    session_id = house.begin()
    house.say(session_id, said("a"))
    ended = house.conversation(session_id)
    late = house.beside(InterruptedStore(house.table, "transact", lambda: house.clear(session_id)))
    assert late.pop(session_id) is None
    assert house.told(session_id, ended) == {1: "a"}


@pytest.mark.parametrize(("event", "error"), SHUT_OUT)
@pytest.mark.parametrize("verb", ["pop", "clear"])
def test_who_is_shut_out_meanwhile_neither_pops_nor_clears(
    house: House, event: Event, error: type[TesseraError], verb: str
) -> None:
    session_id = house.begin(ttlSeconds=3_600)
    house.say(session_id, said("a"))
    conversation_id, admit = house.conversation(session_id), holder(house, session_id)
    late = house.beside(InterruptedStore(house.table, "transact", lambda: event(house, session_id))).conversations
    verbs = {
        "pop": lambda: late.pop(session_id, admit, lambda _: None),
        "clear": lambda: late.clear(session_id, admit),
    }
    with pytest.raises(error):
        verbs[verb]()
    assert house.told(session_id, conversation_id) == {1: "a"}
    assert ("endedAt" in house.head(session_id, conversation_id)) == (event in {bury, delete})


# --- clear -------------------------------------------------------------------------------------------


def test_a_clear_begins_a_new_conversation_and_keeps_the_old_one(house: House) -> None:
    session_id = house.begin(customer={"customerId": "c-1"})
    house.say(session_id, said("a"), said("b"))
    first = house.conversation(session_id)
    house.clock.forward(1)
    house.clear(session_id)
    second = house.conversation(session_id)
    assert second not in (first, "None")
    assert house.shown(session_id) == {}
    assert house.head(session_id, first)["endedAt"] == house.clock()
    assert house.told(session_id, first) == {1: "a", 2: "b"}
    assert [m["content"] for m in house.memory.newest("c-1", 10)[0]] == ["b", "a"]
    assert house.pop(session_id) is None
    assert seqs(house, session_id, said("c")) == [1]
    assert house.conversation(session_id) == second


def test_clearing_what_is_empty_changes_nothing(house: House) -> None:
    session_id = house.begin()
    for _ in range(2):
        before = stored(house, session_id)
        house.clear(session_id)
        house.clear(session_id)
        assert stored(house, session_id) == before
        house.say(session_id)
        house.clear(session_id)


def test_of_two_clears_at_once_one_ends_it(house: House) -> None:
    session_id = house.begin()
    house.say(session_id)
    late = house.beside(InterruptedStore(house.table, "transact", lambda: house.clear(session_id)))
    late.clear(session_id)
    assert len(house.heads(session_id)) == 1
    assert house.sessions.find(session_id).session.version == 3
