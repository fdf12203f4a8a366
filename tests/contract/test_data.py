"""Buckets, on every engine: whoever writes, in whatever order, nothing that was acknowledged is lost."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from tessera.errors import (
    ContentTooLarge,
    EditConflict,
    SessionExpired,
    SessionNotFound,
    TokenRevoked,
    TooManyBuckets,
    Unavailable,
)
from tessera.model.caller import Caller
from tessera.model.clock import SECOND
from tessera.model.credentials import revoked
from tessera.model.data import MAX_BUCKETS, MAX_DATA_BYTES, Held, Wanted
from tessera.model.life import extended
from tessera.model.threeway import UNKNOWN
from tessera.stores.bucket import Bucket, MemoryBucket
from tessera.stores.keys import PAST, VERSIONS_BACK, data_key, partition
from tessera.stores.table import MAX_ITEM_BYTES, Table
from tests.support.drafts import Desk
from tests.support.fakes import Crash, CrashingStore, FailingStore, FakeClock, InterruptedStore, OvertakenStore

THREADS = 20
LARGE = "x" * (MAX_ITEM_BYTES + 1)


@pytest.fixture
def desk(table: Table, clock: FakeClock) -> Desk:
    return Desk(table, MemoryBucket(), clock)


@pytest.fixture
def fast_desk(fast_table: Table, clock: FakeClock) -> Desk:
    return Desk(fast_table, MemoryBucket(), clock)


def stored(desk: Desk, session_id: str) -> Any:
    """Return all that is stored of a session, to be compared."""
    return [*desk.table.query(partition(session_id))], [*desk.bucket.keys("")]


def content(held: Held | None) -> Any:
    return None if held is None else dict(held.data)


# --- what lies in the table --------------------------------------------------------------------------


def test_a_bucket_is_an_item_of_its_own(desk: Desk) -> None:
    """Others read it out of the stream: what it was and what it is."""
    session_id = desk.begin()
    desk.save(session_id, {"a": 1, "n": None}, ttl=60)
    desk.patch(session_id, {"a": 2})
    item = desk.table.get(data_key(session_id, "form"))
    at = desk.clock()
    key = {"pk": f"SESSION#{session_id}", "sk": "DATA#form"}
    seconds = {"expiresAt": at + 60_000, "ttl": at // 1_000 + 60}
    assert item == {**key, "data": {"a": 2, "n": None}, "version": 2, "updatedAt": at, **seconds}
    assert [step["steps"] for step in desk.table.query(key["pk"], PAST)] == [[{"path": ["a"], "value": 1}]]
    assert desk.sessions.find(session_id).parts == ("data",)


def test_what_is_too_large_for_it_is_a_pointer(fast_desk: Desk) -> None:
    desk, session_id = fast_desk, fast_desk.begin()
    held = desk.save(session_id, {"text": LARGE})
    item = desk.table.get(data_key(session_id, "form")) or {}
    assert item.keys() == {"pk", "sk", "overflow", "overflowBytes", "version", "updatedAt", "ttl"}
    assert [*desk.bucket.keys(f"data/{session_id}/form/")] == [item["overflow"]]
    assert content(desk.load(session_id)) == content(held) == {"text": LARGE}
    assert desk.sessions.data(session_id) == {"form": {"text": LARGE}}


def test_the_same_again_leaves_it_where_it_is(fast_desk: Desk) -> None:
    desk, session_id = fast_desk, fast_desk.begin(data={"form": {"text": LARGE, "a": 1}})
    before = [*desk.bucket.keys("")]
    for held in (desk.patch(session_id, {"a": 1}), desk.save(session_id, {"text": LARGE, "a": 1})):
        assert held is not None
        assert held.version == 1
    assert [*desk.bucket.keys("")] == before
    assert content(desk.load(session_id)) == {"text": LARGE, "a": 1}


# --- round trips -------------------------------------------------------------------------------------


def test_who_writes_alone_needs_one_round_trip(fast_table: Table, clock: FakeClock) -> None:
    table = FailingStore(fast_table)
    desk = Desk(table, MemoryBucket(), clock)
    session_id = desk.begin()
    desk.save(session_id, {"n": 0})
    table.calls.clear()
    for number in range(1, 20):
        clock.forward(1)
        base = number
        desk.patch(session_id, {"n": number}, base)
    desk.save(session_id, {"n": 20})
    assert table.calls == {"transact": 20}
    assert content(desk.load(session_id)) == {"n": 20}


def test_a_container_that_knows_nothing_needs_two(fast_table: Table, clock: FakeClock) -> None:
    session_id = Desk(fast_table, MemoryBucket(), clock).begin(data={"form": {"a": 1}})
    table = FailingStore(fast_table)
    Desk(table, MemoryBucket(), clock).patch(session_id, {"b": 2})
    assert table.calls == {"get_many": 1, "transact": 1}
    Desk(table, MemoryBucket(), clock).load(session_id)
    assert table.calls == {"get_many": 2, "transact": 1}


def test_two_containers_that_take_turns_lose_nothing(desk: Desk) -> None:
    session_id, other = desk.begin(), desk.beside()
    for number in range(12):
        desk.clock.forward(1)
        (desk, other)[number % 2].patch(session_id, {f"f{number}": number})
    held = desk.load(session_id)
    assert content(held) == {f"f{number}": number for number in range(12)}
    assert held is not None
    assert held.version == 12
    assert desk.sessions.find(session_id).session.version == 13


def test_what_a_container_remembers_is_bounded(fast_desk: Desk) -> None:
    desk, session_id = fast_desk, fast_desk.begin(email="ada@example.com", customer={"firstName": "Ada"})
    desk.save(session_id, {"large": "y" * 20_000}, "large")
    desk.save(session_id, {"small": "z" * 100}, "small")
    remembered = repr(vars(vars(desk.data)["_remembered"]))
    assert "zzz" in remembered
    assert not any(text in remembered for text in ("yyy", "ada@", "Ada"))


# --- several at once ---------------------------------------------------------------------------------


@pytest.mark.parametrize("places", ["one bucket", "several buckets"])
def test_whoever_writes_at_once_loses_nothing(desk: Desk, places: str) -> None:
    """Different fields of one bucket, or different buckets: each writer from what it saw before."""
    session_id = desk.begin(data={"form": {"seen": True}})

    def write(number: int) -> None:
        name = "form" if places == "one bucket" else f"b{number % 10}"
        mine, base = (desk, desk.beside())[number % 2], 1 if places == "one bucket" else None
        mine.patch(session_id, {f"f{number}": number}, base, name)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(write, range(THREADS)))
    found: dict[str, Any] = {}
    for data in desk.sessions.data(session_id).values():
        found |= data
    assert found == {"seen": True} | {f"f{number}": number for number in range(THREADS)}
    assert desk.sessions.find(session_id).session.version == 1 + THREADS


def test_of_those_who_change_one_field_at_once_one_is_heard_and_the_others_are_told(desk: Desk) -> None:
    session_id = desk.begin(data={"form": {"a": "first"}})

    def write(number: int) -> Any:
        try:
            return desk.beside().patch(session_id, {"a": number}, 1).data["a"]
        except EditConflict as conflict:
            return conflict.members["conflicts"][0]

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(write, range(5)))
    (won,) = [answer for answer in answers if not isinstance(answer, dict)]
    told = [answer for answer in answers if isinstance(answer, dict)]
    assert content(desk.load(session_id)) == {"a": won}
    assert len(told) == 4
    assert all((one["base"], one["theirs"], one["yours"] != won) == ("first", won, True) for one in told)


def test_as_many_buckets_as_a_session_may_have_are_made_at_once(desk: Desk) -> None:
    session_id = desk.begin(data={f"b{n}": {} for n in range(MAX_BUCKETS - 3)})

    def write(number: int) -> bool:
        try:
            return bool(desk.beside().save(session_id, {"n": number}, f"new{number}"))
        except TooManyBuckets:
            return False

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(write, range(6))) == [False] * 3 + [True] * 3
    assert len(desk.sessions.data(session_id)) == MAX_BUCKETS


# --- what a container remembers is a guess -----------------------------------------------------------


def after(desk: Desk, act: Callable[[Desk, str], object]) -> tuple[str, Desk]:
    """Return a session, and a container that remembers its bucket as it was before another one acted."""
    session_id = desk.begin()
    desk.save(session_id, {"a": 1})
    desk.clock.forward(1)
    desk.save(session_id, {"a": 2})
    act(desk.beside(), session_id)
    return session_id, desk


def test_a_bucket_that_was_made_anew_is_not_taken_for_the_old_one(desk: Desk) -> None:
    def replace(other: Desk, session_id: str) -> None:
        other.save(session_id, None)
        other.save(session_id, {"new": 1})

    session_id, desk = after(desk, replace)
    held = desk.patch(session_id, {"b": 3})
    assert (content(held), held.version) == ({"new": 1, "b": 3}, 5)


def test_nor_one_that_came_after_ttl_had_taken_the_old_one(desk: Desk) -> None:
    session_id = desk.begin()
    desk.save(session_id, {"old": 1}, ttl=30)
    desk.clock.forward(31)
    desk.table.delete(data_key(session_id, "form"))
    other = desk.beside()
    assert desk.load(session_id) is None
    other.save(session_id, {"new": 1})
    held = desk.patch(session_id, {"b": 2})
    assert (content(held), held.version) == ({"new": 1, "b": 2}, 3)


def test_a_removed_bucket_is_not_patched_but_made(desk: Desk) -> None:
    session_id, desk = after(desk, lambda other, session_id: other.save(session_id, None))
    assert content(desk.patch(session_id, {"b": 3}, 2)) == {"b": 3}


def test_an_expiry_that_was_brought_forward_slides_again(desk: Desk) -> None:
    """The container remembers a session that lives for long; it was shortened, and writing must keep it alive."""

    def shorten(other: Desk, session_id: str) -> None:
        other.sessions.change(session_id, lambda record: extended(record, 5, other.clock()))

    session_id = desk.begin(ttlSeconds=100)
    desk.sessions.change(session_id, lambda record: extended(record, 1_000, desk.clock()))
    desk.save(session_id, {"a": 1})
    desk.patch(session_id, {"a": 2})
    shorten(desk.beside(), session_id)
    desk.patch(session_id, {"a": 3})
    assert desk.sessions.find(session_id).session.expires_at == desk.clock() + 100_000


@pytest.mark.parametrize(
    ("end", "when"),
    [
        *(("deleted", when) for when in ("before", "in between")),
        *(("revoked", when) for when in ("before", "in between")),
        ("expired", "before"),
    ],
)
def test_nothing_is_written_to_a_session_that_has_ended(desk: Desk, end: str, when: str) -> None:
    session_id = desk.begin()
    desk.save(session_id, {"a": 1})
    caller = Caller(session_id=session_id, epoch=desk.sessions.find(session_id).epoch)
    before = desk.table.get(data_key(session_id, "form"))

    def finish() -> None:
        if end == "deleted":
            desk.beside().sessions.delete(session_id)
        elif end == "revoked":
            desk.clock.forward(1)
            desk.beside().sessions.change(session_id, lambda record: revoked(record, desk.clock()))
        else:
            desk.clock.forward(25 * 3_600)

    table = InterruptedStore(desk.table, "transact", finish) if when == "in between" else desk.table
    if when == "before":
        finish()
    for mine in (desk.beside(table), desk):  # one that knows nothing, and one that remembers
        with pytest.raises((SessionNotFound, SessionExpired, TokenRevoked)):
            mine.data.change(session_id, "form", lambda _: Wanted({"a": 2}), partial(mine.admit_with, caller))
    assert desk.table.get(data_key(session_id, "form")) == (None if end == "deleted" else before)


# --- earlier versions --------------------------------------------------------------------------------


def test_every_version_is_known_as_far_back_as_is_kept(fast_desk: Desk) -> None:
    desk, session_id = fast_desk, fast_desk.begin()
    count = VERSIONS_BACK + 3
    for number in range(1, count + 1):
        desk.patch(session_id, {"n": number, f"f{number % 3}": number})
    held = desk.load(session_id)
    assert held is not None
    for version in range(count - VERSIONS_BACK, count + 1):
        assert desk.data.base(session_id, "form", held, version)["n"] == version
    for version in range(1, count - VERSIONS_BACK):
        assert desk.data.base(session_id, "form", held, version) is UNKNOWN
    assert desk.data.base(session_id, "form", held, 0) == {}
    assert len([*desk.table.query(partition(session_id), PAST)]) == VERSIONS_BACK


def test_when_the_base_is_gone_only_what_differs_is_a_conflict(fast_desk: Desk) -> None:
    desk, session_id = fast_desk, fast_desk.begin()
    for number in range(1, VERSIONS_BACK + 3):
        desk.patch(session_id, {"n": number})
    with pytest.raises(EditConflict) as refused:
        desk.patch(session_id, {"n": 1, "new": 2}, base=1)
    assert refused.value.members["conflicts"] == [
        {"pointer": "/n", "yours": 1, "theirs": VERSIONS_BACK + 2},
        {"pointer": "/new", "yours": 2, "theirs": None},
    ]
    assert content(desk.patch(session_id, {"n": VERSIONS_BACK + 2}, base=1)) == {"n": VERSIONS_BACK + 2}


def test_of_a_long_text_is_known_that_it_was_another(fast_desk: Desk) -> None:
    """Its earlier values are not kept; the other fields are merged as ever."""
    desk, session_id = fast_desk, fast_desk.begin(data={"form": {"essay": "a" * 5_000, "b": 1, "c": 1}})
    desk.patch(session_id, {"essay": "a" * 5_001, "b": 2}, 1)
    assert content(desk.patch(session_id, {"c": 3}, 1)) == {"essay": "a" * 5_001, "b": 2, "c": 3}
    with pytest.raises(EditConflict) as refused:
        desk.patch(session_id, {"essay": "mine", "b": 5}, 1)
    essay, b = refused.value.members["conflicts"]
    assert (essay["pointer"], "base" in essay, b["base"]) == ("/essay", False, 1)


def test_steps_never_take_more_than_they_may(fast_desk: Desk) -> None:
    desk, session_id = fast_desk, fast_desk.begin(data={"form": {f"field-{n}": n for n in range(2_000)}})
    desk.save(session_id, {f"other-{n}": n for n in range(2_000)})
    (past,) = desk.table.query(partition(session_id), PAST)
    assert past["steps"] == [{"path": [], "lost": True}]


# --- crashes and outages -----------------------------------------------------------------------------


@pytest.mark.parametrize("after_call", [False, True])
@pytest.mark.parametrize("at", range(6))
def test_a_crash_leaves_the_old_or_the_new(fast_desk: Desk, at: int, after_call: bool) -> None:
    """And nothing in S3 that the end of the session would not take."""
    desk, session_id = fast_desk, fast_desk.begin()
    desk.save(session_id, {"a": 1})
    table = CrashingStore(desk.table, at, after=after_call)
    dying = desk.beside(table, table.beside(desk.bucket))
    try:
        dying.save(session_id, {"text": LARGE})
    except Crash:
        assert content(desk.load(session_id)) in ({"a": 1}, {"text": LARGE})
    else:
        assert content(desk.load(session_id)) == {"text": LARGE}
    desk.clock.forward(25 * 3_600)
    assert desk.clean_up() == 1
    assert [*desk.bucket.keys("")] == []


@pytest.mark.parametrize("after_call", [False, True])
@pytest.mark.parametrize("at", range(4))
def test_a_crash_at_the_creation_leaves_nothing_for_ever(fast_desk: Desk, at: int, after_call: bool) -> None:
    desk = fast_desk
    table = CrashingStore(desk.table, at, after=after_call)
    dying = desk.beside(table, table.beside(desk.bucket))
    with suppress(Crash):
        dying.begin(data={"form": {"text": LARGE}})
    desk.clock.forward(25 * 3_600)
    desk.clean_up()
    assert [*desk.bucket.keys("")] == []


def test_a_reader_is_not_shown_what_was_just_taken_away(fast_desk: Desk) -> None:
    """It has read the pointer, and another writer takes the object away."""
    desk, session_id = fast_desk, fast_desk.begin()
    desk.save(session_id, {"text": LARGE})
    for at, read in enumerate((Desk.load, lambda desk, id_: desk.sessions.data(id_)["form"])):
        newer = {"text": LARGE + "y" * (at + 1)}
        table = OvertakenStore(desk.table, 1, lambda newer=newer: desk.save(session_id, newer))
        slow = desk.beside(table, table.beside(desk.bucket))
        found = read(slow, session_id)
        assert (content(found) if isinstance(found, Held) else found) == newer


def test_while_s3_is_down_the_clean_up_waits_with_that_session(fast_desk: Desk) -> None:
    desk, session_id = fast_desk, fast_desk.begin(data={"form": {"text": LARGE}})
    down = FailingStore(desk.bucket)
    down.down = True
    desk.clock.forward(25 * 3_600)
    assert desk.beside(bucket=down).clean_up() == 1
    assert stored(desk, session_id)[1] != []
    desk.clean_up()
    assert stored(desk, session_id)[1] == []
    assert [item["sk"] for item in stored(desk, session_id)[0]] == ["CORE"]


@pytest.mark.parametrize("verb", ["put", "transact"])
def test_what_is_not_acknowledged_is_not_there(fast_desk: Desk, verb: str) -> None:
    desk, session_id = fast_desk, fast_desk.begin(data={"form": {"a": 1}})

    class Down:
        def __init__(self, store: Any) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            if name == verb:
                raise Unavailable
            return getattr(self._store, name)

    with pytest.raises(Unavailable):
        desk.beside(Down(desk.table), Down(desk.bucket)).save(session_id, {"text": LARGE})
    assert content(desk.load(session_id)) == {"a": 1}


def test_what_is_refused_leaves_nothing_in_s3(fast_desk: Desk) -> None:
    desk, session_id = fast_desk, fast_desk.begin()
    with pytest.raises(ContentTooLarge):
        desk.save(session_id, {"text": "x" * MAX_DATA_BYTES})
    large = {"text": LARGE}
    table = InterruptedStore(desk.table, "transact", lambda: desk.sessions.delete(session_id))
    with pytest.raises(SessionNotFound):
        desk.beside(table).save(session_id, large)
    assert [*desk.bucket.keys("")] == []


def test_what_another_writer_has_saved_meanwhile_is_not_left_in_s3_twice(fast_desk: Desk) -> None:
    desk, session_id = fast_desk, fast_desk.begin(data={"form": {"a": 1}})
    large = {"text": LARGE}
    table = InterruptedStore(desk.table, "transact", lambda: desk.save(session_id, large))
    assert content(desk.beside(table).save(session_id, large)) == large
    assert len([*desk.bucket.keys("")]) == 1
    assert content(desk.load(session_id)) == large


def test_large_buckets_that_expire_again_and_again_do_not_heap_up_in_s3(fast_desk: Desk) -> None:
    desk, session_id = fast_desk, fast_desk.begin()
    for number in range(3):
        desk.save(session_id, {"text": LARGE, "n": number}, ttl=60)
        desk.clock.forward(60)
        assert desk.load(session_id) is None
        item = desk.table.get(data_key(session_id, "form"))
        if item and item["ttl"] <= desk.clock() // SECOND:  # as DynamoDB does, some day
            desk.table.delete(data_key(session_id, "form"))
    assert len([*desk.bucket.keys("")]) == 1
    desk.save(session_id, {"a": 1})
    assert [*desk.bucket.keys("")] == []


def test_a_large_bucket_in_s3(table: Table, bucket: Bucket, clock: FakeClock) -> None:
    desk = Desk(table, bucket, clock)
    session_id = desk.begin(data={"form": {"text": LARGE}})
    desk.patch(session_id, {"a": 1}, 1)
    assert content(desk.beside().patch(session_id, {"b": 2}, 1)) == {"text": LARGE, "a": 1, "b": 2}
    assert len([*bucket.keys(f"data/{session_id}/")]) == 1
    desk.sessions.delete(session_id)
    assert [*bucket.keys(f"data/{session_id}/")] == []
