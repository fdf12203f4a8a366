"""The archive: each message lies in one object, whoever writes it, dies at it or comes second."""

from collections.abc import Callable
from functools import partial
from itertools import count

import pytest

from tessera.archive import objects
from tessera.archive.archiver import MOST_BYTES, MOST_MESSAGES, PATIENCE
from tessera.errors import Contended, PoisonedItem, Unavailable
from tessera.model.changes import Change
from tessera.model.clock import HOUR_SECONDS, SECOND
from tessera.model.record import Record
from tessera.stores.bucket import Bucket, MemoryBucket
from tessera.stores.heads import compaction_bucket
from tessera.stores.keys import CORE, child_key, conversations, partition
from tessera.stores.memory import MemoryTable
from tessera.stores.table import BY_EXPIRY, Key
from tests.support.chats import SHARDS, House, said, several
from tests.support.fakes import Crash, CrashingStore, FailingStore, FakeClock, OvertakenStore
from tests.support.records import KINDS

ARCHIVED_FOR = KINDS["chat"].archive_retention_seconds
type Act = Callable[[House, str], object]


@pytest.fixture
def quick() -> House:
    return new_house()


def has_all(house: House, session_id: str, conversation_id: str, last: int) -> None:
    """Assert that the archive has each message up to `last` once, and says so."""
    found = house.objects(session_id, conversation_id)
    assert [*found] == house.ranges(session_id, conversation_id)
    assert [seq for low, high in found for seq in range(low, high + 1)] == list(range(1, last + 1))
    gone = [
        seq
        for low, high in house.head(session_id, conversation_id).get("popped", [])
        for seq in range(low, high + 1)
    ]
    for (low, high), seqs in found.items():
        assert seqs == sorted(set(seqs))
        assert {*range(low, high + 1)} - {*gone} <= {*seqs} <= {*range(low, high + 1)}
    head = house.head(session_id, conversation_id)
    assert (head["archivedSeq"], "archivingSeq" in head) == (last, False)


def is_due(house: House, session_id: str, conversation_id: str) -> int | None:
    """Return in how many milliseconds a run of the schedule looks at the conversation."""
    at = house.head(session_id, conversation_id).get(BY_EXPIRY.sk)
    return None if at is None else at - house.clock()


# --- when --------------------------------------------------------------------------------------------


def test_five_messages_are_archived_at_once(house: House) -> None:
    session_id = house.begin()
    for n in range(5):
        assert house.tend(session_id) == 0
        house.say(session_id, said(f"{n}", metadata={"n": n}))
    conversation_id = house.conversation(session_id)
    assert house.tend(session_id) == 5
    has_all(house, session_id, conversation_id, 5)
    assert house.objects(session_id, conversation_id) == {(1, 5): [1, 2, 3, 4, 5]}
    assert is_due(house, session_id, conversation_id) is None
    assert house.tend(session_id) == house.tend_due() == 0
    assert len(house.hot(session_id)) == 5, "readers find them in the table first"


def test_four_wait_until_the_first_is_five_minutes_old(house: House) -> None:
    session_id = house.begin()
    for n in range(4):
        house.say(session_id, said(f"{n}"))
        house.clock.forward(60)
        house.tend(session_id)
    conversation_id = house.conversation(session_id)
    assert is_due(house, session_id, conversation_id) == 60_000
    house.clock.forward(59, ms=999)
    assert house.tend_due() == house.tend(session_id) == 0
    house.clock.forward(ms=1)
    assert house.tend_due() == 1
    has_all(house, session_id, conversation_id, 4)
    assert is_due(house, session_id, conversation_id) is None


@pytest.mark.parametrize(
    "end", [lambda house, i: house.clear(i), lambda house, i: house.archiver.flush(i)], ids=["clear", "flush"]
)
def test_an_ended_conversation_is_archived_at_once(house: House, end: Act) -> None:
    session_id = house.begin()
    house.say(session_id, said("a"))
    conversation_id = house.conversation(session_id)
    end(house, session_id)
    house.tend_due()
    has_all(house, session_id, conversation_id, 1)
    assert is_due(house, session_id, conversation_id) == ARCHIVED_FOR * SECOND


def test_each_object_waits_for_the_compaction(house: House) -> None:
    session_id = house.begin()
    house.say(session_id, *several(5))
    house.tend(session_id)
    waiting = [
        item
        for shard in range(SHARDS)
        for item in house.table.query_index(BY_EXPIRY, compaction_bucket(shard), limit=10).items
    ]
    assert [(item["pk"], item["expiresAt"]) for item in waiting] == [(conversations(session_id), house.clock())]


def test_popped_messages_count_but_are_not_archived(house: House) -> None:
    session_id = house.begin()
    house.say(session_id, *several(5))
    house.pop(session_id)
    house.pop(session_id)
    conversation_id = house.conversation(session_id)
    assert house.tend(session_id) == 5
    assert house.objects(session_id, conversation_id) == {(1, 5): [1, 2, 3]}
    has_all(house, session_id, conversation_id, 5)


def test_an_archive_of_popped_messages_alone_is_one_too(house: House) -> None:
    session_id = house.begin()
    house.say(session_id, *several(2))
    house.pop(session_id)
    house.pop(session_id)
    house.archiver.flush(session_id)
    has_all(house, session_id, house.conversation(session_id), 2)


# --- what --------------------------------------------------------------------------------------------


def test_objects_hold_messages_whole_and_as_they_are_shown(house: House, bucket: Bucket) -> None:
    house = house.beside(bucket=bucket)
    session_id = house.begin()
    contents = ["line\nline\u2028line\x85", {"a": [1, 1.5, None]}, "ä" * 200_000, "", None]
    house.say(session_id, *(said(content, f"id-{n}", metadata={"n": n}) for n, content in enumerate(contents)))
    shown = house.history.page(house.sessions.get(session_id)).messages
    conversation_id = house.conversation(session_id)
    house.tend(session_id)
    bucket.delete_many([*bucket.keys(f"overflow/{session_id}/")])
    house.ttl_takes(house.hot(session_id)[0])
    assert house.history.page(house.sessions.get(session_id)).messages == shown
    has_all(house, session_id, conversation_id, 5)


def test_an_object_ends_at_a_segment_and_before_it_is_too_large(quick: House) -> None:
    session_id = quick.begin()
    for size in (99, 100, 100, 100, 100, 100, 3, 98, 100):
        quick.say(session_id, *several(size))
    quick.tend(session_id)
    conversation_id = quick.conversation(session_id)
    assert [*quick.objects(session_id, conversation_id)] == [(1, 499), (500, 800)]
    has_all(quick, session_id, conversation_id, 800)
    assert MOST_MESSAGES == 500


@pytest.mark.parametrize("length", [250_000, 700_000], ids=["in the table", "in S3"])
def test_a_backlog_of_large_contents_makes_several_objects(quick: House, length: int) -> None:
    session_id = quick.begin()
    for n in range(30):
        quick.say(session_id, said(f"{n}" + "x" * length))
    quick.tend(session_id)
    conversation_id = quick.conversation(session_id)
    has_all(quick, session_id, conversation_id, 30)
    assert all(
        (last - first + 1) * length <= MOST_BYTES for first, last in quick.objects(session_id, conversation_id)
    )


def test_a_long_backlog_is_worked_off_at_once(quick: House) -> None:
    session_id = quick.begin()
    for _ in range(350):
        quick.say(session_id)
    assert quick.tend(session_id) == 350
    has_all(quick, session_id, quick.conversation(session_id), 350)


# --- what TTL takes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0, 1, 2], [2, 0, 2, 1, 1]], ids=str)
@pytest.mark.parametrize("at_once", [True, False], ids=["one batch", "batches"])
def test_what_ttl_takes_first_the_stream_brings_in_any_order(
    house: House, order: list[int], at_once: bool
) -> None:
    session_id = house.begin()
    for n in range(4):
        house.say(session_id, said(f"{n}"))
    images = [house.ttl_takes(segment) for segment in house.hot(session_id)[:3]]
    house.clock.forward(3_600)
    house.tend(session_id)
    batches = [[images[n] for n in order]] if at_once else [[images[n]] for n in order]
    for rescued in batches:
        house.tend(session_id, rescued)
    house.tend(session_id)
    has_all(house, session_id, house.conversation(session_id), 4)
    assert house.shown(session_id) == {1: "0", 2: "1", 3: "2", 4: "3"}


def test_nothing_goes_past_a_gap_and_nothing_behind_it_is_deleted(house: House) -> None:
    session_id = house.begin(ttlSeconds=7_200)
    for n in range(4):
        house.say(session_id, said(f"{n}"))
    conversation_id = house.conversation(session_id)
    image = house.ttl_takes(house.hot(session_id)[1])
    house.clock.forward(7_200)
    with pytest.raises(PoisonedItem):
        house.archiver.flush(session_id)
    house.clean_up()
    house.sessions.delete(session_id)
    assert [*house.objects(session_id, conversation_id)] == [(1, 1)]
    assert len(house.hot(session_id)) == 3
    house.tend(session_id, [image])
    house.clock.forward(3_600)
    house.clean_up()
    assert house.hot(session_id) == []
    has_all(house, session_id, conversation_id, 4)


def test_what_ttl_takes_of_the_archived_matters_to_nobody(house: House) -> None:
    session_id = house.begin()
    house.say(session_id, *several(5))
    house.tend(session_id)
    image = house.ttl_takes(house.hot(session_id)[0])
    assert house.tend(session_id, [image]) == 0
    assert house.hot(session_id) == []
    house.sessions.delete(session_id, purge=True)
    assert house.archiver.tend(session_id, "cnv_gone", [image]) == 0
    assert house.everything(session_id) == set()


def test_an_intent_whose_segments_ttl_took_waits_for_the_stream(quick: House) -> None:
    """The run died after it had said what it would write; half of that came back, then the rest."""
    session_id = quick.begin()
    for n in range(6):
        quick.say(session_id, said(f"{n}"))
    conversation_id = quick.conversation(session_id)
    with pytest.raises(Crash):
        quick.beside(bucket=CrashingStore(quick.bucket, 0)).tend(session_id)
    quick.say(session_id, said("6"))
    images = [quick.ttl_takes(segment) for segment in quick.hot(session_id)[2:5]]
    quick.tend(session_id)
    assert is_due(quick, session_id, conversation_id) == PATIENCE
    for image in reversed(images):
        assert quick.objects(session_id, conversation_id) == {}
        quick.tend(session_id, [image])
    quick.clock.forward(300)
    quick.tend_due()
    has_all(quick, session_id, conversation_id, 7)


# --- crashes -----------------------------------------------------------------------------------------

type Talk = dict[str, int]
"""How many messages each conversation of a session has: one that has ended, and the open one."""
type Check = Callable[[House, str, Talk], object]


def talked(house: House) -> tuple[str, Talk]:
    session_id = house.begin(ttlSeconds=3_600, customer={"customerId": "c-1"})
    house.say(session_id, *several(3))
    ended = house.conversation(session_id)
    house.clear(session_id)
    house.say(session_id, *several(5))
    house.archiver.tend(session_id, house.conversation(session_id))
    house.say(session_id, *several(3, "id-"), said("x" * 400_000))
    house.pop(session_id)
    house.pop(session_id)
    for _ in range(3):
        house.say(session_id, said("y" * 160_000), said("z" * 160_000))
    return session_id, {ended: 3, house.conversation(session_id): 15}


def have_all(house: House, session_id: str, talk: Talk) -> None:
    for conversation_id, last in talk.items():
        has_all(house, session_id, conversation_id, last)


def new_house() -> House:
    """Return one where thousands of runs take no time."""
    return House(MemoryTable(), MemoryBucket(), FakeClock())


def dies(act: Callable[[], object]) -> bool:
    try:
        act()
    except Crash:
        return True
    return False


def dying_at_every_call(act: Act, check: Check, *, after: bool, before: Act = lambda *_: None) -> None:
    """Do it in a container that dies at its first call of all, at its second, until it lives; check each time."""
    for call in count():
        house = new_house()
        session_id, talk = talked(house)
        before(house, session_id)
        table = CrashingStore(house.table, call, after=after)
        mortal = house.beside(table, table.beside(house.bucket))
        died = dies(lambda: act(mortal, session_id))  # noqa: B023 - called here
        check(house, session_id, talk)
        if not died:
            assert call > 10, "it did something"
            return


AFTER = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


def tend(house: House, session_id: str) -> None:
    house.tend(session_id)


def flush(house: House, session_id: str) -> None:
    house.archiver.flush(session_id)


@AFTER
@pytest.mark.parametrize("run", [tend, flush])
def test_a_run_that_dies_anywhere_is_finished_by_the_next(run: Act, after: bool) -> None:
    def check(house: House, session_id: str, talk: Talk) -> None:
        run(house, session_id)
        have_all(house, session_id, talk)

    dying_at_every_call(run, check, after=after)


@AFTER
@pytest.mark.parametrize("run", [tend, flush])
def test_and_by_the_schedule_alone_once_it_has_said_what_it_does(run: Act, after: bool) -> None:
    """Before that, the stream that began it comes again."""

    def check(house: House, session_id: str, talk: Talk) -> None:
        (open_one,) = (
            head for head in house.heads(session_id) if head["sk"].endswith(house.conversation(session_id))
        )
        if BY_EXPIRY.sk not in open_one and open_one["archivedSeq"] < talk[house.conversation(session_id)]:
            house.tend(session_id)
        house.clock.forward(300)
        house.tend_due()
        have_all(house, session_id, talk)

    dying_at_every_call(run, check, after=after)


@AFTER
def test_a_run_that_dies_several_times_while_others_write_is_finished(after: bool) -> None:
    for call in range(40):
        house = new_house()
        session_id, talk = talked(house)
        for step in (1, 2, 3):
            table = CrashingStore(house.table, (call * (step + 2)) % 17, after=after)
            mortal = house.beside(table, table.beside(house.bucket))
            dies(lambda: mortal.tend(session_id))  # noqa: B023 - called here
            house.say(session_id, *several(step))
            house.pop(session_id)
            talk[house.conversation(session_id)] += step
        house.archiver.flush(session_id)
        have_all(house, session_id, talk)


def delete(house: House, session_id: str) -> None:
    house.sessions.delete(session_id)


def clean_up(house: House, _: str) -> None:
    house.clean_up()


def expire(house: House, _: str) -> None:
    house.clock.forward(3_600)


@AFTER
@pytest.mark.parametrize("again", [delete, clean_up])
def test_a_deletion_that_dies_anywhere_is_finished_and_has_archived_all(again: Act, after: bool) -> None:
    def check(house: House, session_id: str, talk: Talk) -> None:
        every_message_is_somewhere(house, session_id, talk)
        expire(house, session_id)
        again(house, session_id)
        have_all(house, session_id, talk)
        beside = {item["sk"] for item in house.table.query(partition(session_id))}
        assert beside <= {CORE}
        assert again is clean_up or not beside

    dying_at_every_call(delete, check, after=after)


@AFTER
def test_a_clean_up_that_dies_anywhere_is_finished_and_has_archived_all(after: bool) -> None:
    def check(house: House, session_id: str, talk: Talk) -> None:
        every_message_is_somewhere(house, session_id, talk)
        house.clean_up()
        have_all(house, session_id, talk)
        assert {item["sk"] for item in house.table.query(partition(session_id))} == {CORE}

    dying_at_every_call(clean_up, check, after=after, before=expire)


def every_message_is_somewhere(house: House, session_id: str, talk: Talk) -> None:
    """Assert that no segment went that is not archived."""
    for conversation_id, last in talk.items():
        hot = [segment for segment in house.hot(session_id) if conversation_id in segment["sk"]]
        found = {int(seq) for segment in hot for seq in segment["messages"]}
        for low, high in house.ranges(session_id, conversation_id):
            assert (low, high) in house.objects(session_id, conversation_id)
            found |= {*range(low, high + 1)}
        assert found == {*range(1, last + 1)}


def purge(house: House, session_id: str) -> None:
    house.sessions.delete(session_id, purge=True)


@AFTER
def test_a_purge_takes_what_a_run_that_died_has_written_already(after: bool) -> None:
    def check(house: House, session_id: str, _: Talk) -> None:
        purge(house, session_id)
        assert house.everything(session_id) == set()

    dying_at_every_call(tend, check, after=after)


def test_an_object_is_written_once(quick: House) -> None:
    """A run that comes again leaves it as it is, whatever was popped since."""
    session_id = quick.begin()
    quick.say(session_id, *several(5))
    table = CrashingStore(quick.table, 4, after=True)
    assert dies(lambda: quick.beside(table, table.beside(quick.bucket)).tend(session_id))
    (key,) = quick.bucket.keys("archive/")
    written = quick.bucket.get(key)
    quick.pop(session_id)
    assert quick.tend(session_id) == 5
    assert quick.bucket.get(key) == written
    assert list(quick.shown(session_id)) == [1, 2, 3, 4]


@AFTER
@pytest.mark.parametrize("again", [purge, clean_up])
def test_a_purge_that_dies_anywhere_leaves_nothing_in_the_end(again: Act, after: bool) -> None:
    """Once it has begun nothing stays, though nobody asks for it a second time."""

    def check(house: House, session_id: str, _: Talk) -> None:
        core = house.table.get(child_key(session_id, CORE))
        begun = core is None or not Record.of(core).session.live(house.clock())
        expire(house, session_id)
        again(house, session_id)
        house.tend_due()
        if begun or again is purge:
            assert house.everything(session_id) <= {CORE}
            assert house.memory.newest("c-1", 100) == ([], True)

    dying_at_every_call(purge, check, after=after)


@AFTER
def test_a_purge_of_the_archive_that_dies_anywhere_is_finished_by_the_schedule(after: bool) -> None:
    """Of several conversations those that it had reached; who asked for it, asks again for the others."""

    def check(house: House, session_id: str, _: Talk) -> None:
        reached = {head["sk"] for head in house.heads(session_id) if "purgingAt" in head}
        house.tend_due()
        assert reached.isdisjoint(house.everything(session_id))
        house.archiver.purge(session_id)
        assert not [
            key for key in house.everything(session_id) if key.startswith(("HEAD", "RANGE", "archive", "overflow"))
        ]

    dying_at_every_call(lambda house, i: house.archiver.purge(i), check, after=after, before=tend)


@AFTER
def test_an_end_of_retention_that_dies_anywhere_is_finished(after: bool) -> None:
    def is_over(house: House, session_id: str) -> None:
        house.sessions.delete(session_id)
        house.clock.forward(ARCHIVED_FOR)

    def check(house: House, session_id: str, _: Talk) -> None:
        house.tend_due()
        assert not [key for key in house.everything(session_id) if not key.startswith("overflow/")]

    dying_at_every_call(lambda house, _: house.tend_due(), check, after=after, before=is_over)


# --- two at once -------------------------------------------------------------------------------------


def overtaken_at_every_call(act: Act, meanwhile: Act, check: Check) -> None:
    """Do it while another does something before its first call of all, before its second, until there is none."""
    for call in count():
        house, happened = new_house(), list[bool]()
        session_id, talk = talked(house)

        def other(house: House = house, session_id: str = session_id, happened: list[bool] = happened) -> None:
            happened.append(True)
            meanwhile(house, session_id)

        table = OvertakenStore(house.table, call, other)
        act(house.beside(table, table.beside(house.bucket)), session_id)
        if not happened:
            assert call > 10, "it did something"
            return
        check(house, session_id, talk)


def append_and_tend(house: House, session_id: str) -> None:
    house.say(session_id, said("between"))
    house.tend(session_id)


def pop(house: House, session_id: str) -> None:
    for _ in range(7):
        house.pop(session_id)


def die_tending(house: House, session_id: str) -> None:
    """Say what is to be archived, and no more."""
    table = CrashingStore(house.table, 6)
    dies(lambda: house.beside(table, table.beside(house.bucket)).tend(session_id))


@pytest.mark.parametrize("act", [tend, flush])
@pytest.mark.parametrize("meanwhile", [tend, flush, append_and_tend, pop, die_tending])
def test_of_two_runs_each_message_is_archived_once(act: Act, meanwhile: Act) -> None:
    def check(house: House, session_id: str, talk: Talk) -> None:
        house.archiver.flush(session_id)
        talk[house.conversation(session_id)] += int(meanwhile is append_and_tend)
        have_all(house, session_id, talk)

    overtaken_at_every_call(act, meanwhile, check)


@pytest.mark.parametrize("act", [tend, flush])
def test_an_end_is_due_whatever_run_it_overtakes(act: Act) -> None:
    """The schedule alone brings it to its end then, and takes it away when its time is over."""

    def check(house: House, session_id: str, talk: Talk) -> None:
        house.clock.forward(300)
        house.tend_due()
        have_all(house, session_id, talk)
        house.clock.forward(ARCHIVED_FOR)
        house.tend_due()
        assert house.heads(session_id) == []
        assert list(house.bucket.keys(f"archive/{session_id}/")) == []

    overtaken_at_every_call(act, lambda house, i: house.clear(i), check)


def die_purging(house: House, session_id: str) -> None:
    """Mark the conversations, and no more."""
    table = CrashingStore(house.table, 3)
    assert dies(lambda: house.beside(table, table.beside(house.bucket)).archiver.purge(session_id))


@pytest.mark.parametrize("act", [tend, flush])
@pytest.mark.parametrize("meanwhile", [purge, die_purging])
def test_a_purge_leaves_nothing_whatever_run_it_overtakes(act: Act, meanwhile: Act) -> None:
    def check(house: House, session_id: str, _: Talk) -> None:
        house.tend_due()
        if meanwhile is die_purging:
            house.sessions.delete(session_id)
        assert house.everything(session_id) == set()

    overtaken_at_every_call(act, meanwhile, check)


@pytest.mark.parametrize("inner", range(2, 9))
def test_who_said_first_how_far_an_object_goes_has_the_word(inner: int) -> None:
    """The other one has seen more messages and died somewhere on its way."""

    def append_and_die(house: House, session_id: str) -> None:
        house.say(session_id, said("between"))
        table = CrashingStore(house.table, inner)
        open_one = house.conversation(session_id)
        dies(lambda: house.beside(table, table.beside(house.bucket)).archiver.tend(session_id, open_one))

    def check(house: House, session_id: str, talk: Talk) -> None:
        house.archiver.flush(session_id)
        talk[house.conversation(session_id)] += 1
        have_all(house, session_id, talk)

    overtaken_at_every_call(tend, append_and_die, check)


@pytest.mark.parametrize("steps", range(1, 5))
@pytest.mark.parametrize("meanwhile", [lambda house, i: house.clear(i), die_purging], ids=["clear", "purge"])
def test_what_an_end_or_a_purge_makes_due_stays_due_though_the_run_it_overtook_dies(
    meanwhile: Act, steps: int
) -> None:
    """That many calls later; the schedule alone finds what is left."""

    def check(house: House, session_id: str, talk: Talk) -> None:
        house.clock.forward(300)  # the run may have said that it comes again
        house.tend_due()
        if meanwhile is not die_purging:
            have_all(house, session_id, talk)
            house.clock.forward(ARCHIVED_FOR)
            house.tend_due()
        assert house.heads(session_id) == []

    for call in range(30):
        house = new_house()
        session_id, talk = talked(house)
        overtaken = OvertakenStore(house.table, call, partial(meanwhile, house, session_id))
        table = CrashingStore(overtaken, call + steps)
        mortal = house.beside(table, table.beside(overtaken.beside(house.bucket)))
        if not dies(lambda: mortal.tend(session_id)):  # noqa: B023 - called here
            return
        check(house, session_id, talk)


def test_an_object_that_comes_too_late_for_a_purge_goes_though_the_purge_keeps_the_head_busy() -> None:
    """The last step meets the transaction of the purge: it learns no more than that others are there."""
    house = new_house()
    session_id, talk = talked(house)

    class Busy:
        def __getattr__(self, verb: str) -> object:
            if verb != "transact":
                return getattr(house.table, verb)
            purge(house, session_id)
            house.bucket.put(objects.key(session_id, next(iter(talk)), 1, 3), b"late")
            raise Contended

    house.beside(Busy()).archiver.tend(session_id, next(iter(talk)))
    assert house.everything(session_id) == set()


# --- outages -----------------------------------------------------------------------------------------


def test_while_s3_is_down_nothing_is_lost_and_the_schedule_archives_it_later(house: House) -> None:
    session_id, talk = talked(house)
    down = FailingStore(house.bucket)
    down.down = True
    there = house.beside(bucket=down)
    for _ in range(3):
        for conversation_id in talk:
            with pytest.raises(Unavailable):
                there.archiver.tend(session_id, conversation_id)
        house.clock.forward(300)
        with pytest.raises(Unavailable):
            there.tend_due()
    down.down = False
    assert there.tend_due() == 2
    for conversation_id, last in talk.items():
        has_all(house, session_id, conversation_id, last)


@pytest.mark.parametrize("verb", ["delete", "settle"])
def test_a_session_that_goes_while_s3_is_down_is_met_again(house: House, verb: str) -> None:
    session_id, talk = talked(house)
    hot = house.hot(session_id)
    down = FailingStore(house.bucket)
    down.down = True
    there = house.beside(bucket=down)
    if verb == "delete":
        assert there.sessions.delete(session_id)
    else:
        house.clock.forward(3_600)
        (settled,) = there.clean_up()
        assert (settled.expired, len(settled.left)) == (1, 1)
    assert house.hot(session_id) == hot
    there.clean_up()
    assert house.hot(session_id) == hot
    down.down = False
    there.clean_up()
    assert house.hot(session_id) == []
    assert there.clean_up() == []
    for conversation_id, last in talk.items():
        has_all(house, session_id, conversation_id, last)


def test_one_that_cannot_be_archived_keeps_no_other_from_its_end(house: House) -> None:
    poisoned, other = talked(house)[0], talked(house)[0]
    head = house.heads(poisoned)[0]
    house.table.update(Key(head["pk"], head["sk"]), Change({("archivedSeq",): "x"}))
    house.clock.forward(3_600)
    house.clean_up()
    assert house.hot(other) == []
    assert house.hot(poisoned) != []


# --- the end of retention -------------------------------------------------------------------------------


def test_when_retention_is_over_objects_ranges_and_head_go(house: House) -> None:
    session_id, talk = talked(house)
    house.sessions.delete(session_id)
    assert len(house.memory.newest("c-1", 100)[0]) == 16
    house.clock.forward(ARCHIVED_FOR - 1)
    house.tend_due()
    for conversation_id, last in talk.items():
        has_all(house, session_id, conversation_id, last)
    house.clock.forward(1)
    assert house.tend_due() == 2
    assert not [key for key in house.everything(session_id) if not key.startswith("overflow/")]
    assert house.memory.newest("c-1", 100) == ([], True)


def test_each_conversation_has_its_own_end(house: House) -> None:
    session_id, talk = talked(house)
    ended, open_one = talk
    house.tend_due()
    house.clock.forward(HOUR_SECONDS - 1)
    house.clear(session_id)
    house.tend_due()
    house.clock.forward(ARCHIVED_FOR - HOUR_SECONDS + 1)
    house.tend_due()
    assert (house.ranges(session_id, ended), house.objects(session_id, ended)) == ([], {})
    has_all(house, session_id, open_one, 15)
