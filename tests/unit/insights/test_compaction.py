"""The compaction brings each archived message into one Parquet file, whatever dies or runs beside it."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import Misconfigured
from tessera.model.clock import DAY_SECONDS, SECOND
from tessera.stores.heads import compaction_bucket
from tessera.stores.keys import COMPACTION, conversations, head_key
from tessera.stores.table import BY_EXPIRY, Index, Key, Page, Table
from tests.support.fakes import START, Crash, CrashingStore, FakeClock, InterruptedStore
from tests.unit.insights.waiting import SHARDS, Archive, drained, put, said

DAY = DAY_SECONDS * SECOND
CLOCK = FakeClock(START + 1_000)


def test_a_row_tells_a_message_under_pseudonyms() -> None:
    archive = Archive()
    archive.conversation("ses_a", customer="c-1")
    archive.object(
        "ses_a",
        [
            said("m1", "Wo ist meine Bestellung?", at=START),
            said("m2", {"text": "Unterwegs", "n": [1, 2.5]}, at=START + 1, role="assistant"),
        ],
    )
    assert drained(archive.compaction(CLOCK)) == 2
    asked, answered = archive.rows()
    assert asked == {
        "message_id": "m1",
        "session": "~ses_a",
        "conversation": "cnv_1",
        "customer": "~c-1",
        "seq": 1,
        "role": "user",
        "content": "Wo ist meine Bestellung?",
        "question": "bestell wo",
        "created_at": datetime(2026, 11, 20, 10, 3, 20),  # noqa: DTZ001 - UTC, as the column is
        "day": "2026-11-20",
    }
    assert (answered["content"], answered["question"]) == ('{"n": [1, 2.5], "text": "Unterwegs"}', None)


def test_a_message_lies_at_the_day_on_which_it_was_said() -> None:
    archive = Archive()
    archive.conversation("ses_a")
    archive.object("ses_a", [said("m1", at=START - 2 * DAY), said("m2", at=START), said("m3", at=START - 2 * DAY)])
    drained(archive.compaction(CLOCK))
    assert [(row["message_id"], row["day"]) for row in archive.rows()] == [
        ("m1", "2026-11-18"),
        ("m3", "2026-11-18"),
        ("m2", "2026-11-20"),
    ]
    (manifest,) = archive.manifests()
    assert [(output["key"], output["rows"]) for output in manifest["outputs"]] == [
        ("messages/day=2026-11-18/0000000001.parquet", 2),
        ("messages/day=2026-11-20/0000000001.parquet", 1),
    ]


def test_nothing_waits_after_it_and_nothing_is_done_twice() -> None:
    archive = Archive()
    archive.conversation("ses_a")
    archive.object("ses_a", [said("m1")])
    compaction = archive.compaction(CLOCK)
    assert compaction.waiting_since() == START
    assert drained(compaction) == 1
    assert compaction.waiting_since() is None
    assert compaction.batch() is None
    assert archive.table.get(COMPACTION) == {**COMPACTION._asdict(), "batch": 1}


def test_a_finished_manifest_names_nobody() -> None:
    """Who reads the analytics finds pseudonyms there and nothing that leads back."""
    archive = Archive()
    archive.conversation("ses_a", customer="c-1")
    archive.object("ses_a", [said("m1")])
    drained(archive.compaction(CLOCK))
    kept = b"".join(archive.analytics.get(key) or b"" for key in archive.analytics.keys("manifests/"))
    assert b"ses_a" not in kept
    assert b"c-1" not in kept


def test_what_was_popped_is_left_out() -> None:
    archive = Archive()
    archive.conversation("ses_a", popped=[[2, 3]])
    archive.object("ses_a", [said("m1"), said("m2"), said("m3"), said("m4")])
    drained(archive.compaction(CLOCK))
    assert [row["message_id"] for row in archive.rows()] == ["m1", "m4"]


@pytest.mark.parametrize("purged", ["head", "marked", "object", "range"])
def test_what_was_purged_is_left_out_and_stops_nothing(purged: str) -> None:
    archive = Archive()
    archive.conversation("ses_a")
    archive.conversation("ses_b", **({"purgingAt": START} if purged == "marked" else {}))
    archive.object("ses_a", [said("m1")])
    key = archive.object("ses_b", [said("m2")])
    if purged == "head":
        archive.table.delete(head_key("ses_b", "cnv_1"))
    elif purged == "object":
        archive.bucket.delete_many([key])
    elif purged == "range":
        archive.table.delete_many([Key(i["pk"], i["sk"]) for i in archive.table.query(conversations("ses_b"))])
    drained(archive.compaction(CLOCK))
    assert [row["message_id"] for row in archive.rows()] == ["m1"]


def test_a_purge_after_the_manifest_was_written_is_no_harm() -> None:
    archive = Archive()
    archive.conversation("ses_a")
    archive.object("ses_a", [said("m1")])
    keys = list(archive.table.query(conversations("ses_a"), keys_only=True))

    def purge() -> None:
        archive.table.delete_many([Key(item["pk"], item["sk"]) for item in keys])

    interrupted = InterruptedStore(archive.analytics, "put", purge)
    drained(archive.compaction(CLOCK, analytics=interrupted))  # type: ignore[arg-type]
    assert list(archive.table.query(conversations("ses_a"))) == [], "the purge stands: nothing was written anew"


def test_an_object_that_cannot_be_read_is_told_and_passed_over() -> None:
    archive = Archive()
    for session in ("ses_a", "ses_b"):
        archive.conversation(session)
    archive.bucket.put(archive.object("ses_a", [said("m1")]), b"no gzip")
    archive.object("ses_b", [said("m2")])
    done = archive.compaction(CLOCK).batch()
    assert done is not None
    assert (done.rows, list(done.unreadable)) == (1, ["~ses_a"])
    assert archive.compaction(CLOCK).batch() is None


def test_a_batch_ends_when_it_is_full_and_the_next_begins_there() -> None:
    archive = Archive()
    archive.conversation("ses_a")
    for first in range(1, 40, 3):
        archive.object("ses_a", [said(f"m{first + n}") for n in range(3)], first=first)
    assert drained(archive.compaction(CLOCK, most=6)) == 39
    assert [manifest["rows"] for manifest in archive.manifests()] == [6, 6, 6, 6, 6, 6, 3]


def test_a_deleted_manifest_of_a_pending_batch_stops_it_loudly() -> None:
    """Its files may be there already: to choose anew could bring messages into two of them."""
    archive = Archive()
    archive.conversation("ses_a")
    archive.object("ses_a", [said("m1")])
    put(archive.table, {**COMPACTION._asdict(), "batch": 4, "pending": True})
    with pytest.raises(Misconfigured, match="batch 5"):
        archive.compaction(CLOCK).batch()


def test_a_manifest_that_a_dead_run_left_is_done_first() -> None:
    archive = Archive()
    archive.conversation("ses_a")
    archive.object("ses_a", [said("m1")])
    dying = CrashingStore(archive.table, 3)  # state, index of three shards … before it says pending
    with pytest.raises(Crash):
        _crashing(archive, dying).batch()
    while not archive.manifests():
        dying = CrashingStore(archive.table, dying._at + 1)
        with suppress(Crash):
            _crashing(archive, dying).batch()
    archive.object("ses_a", [said("m2")], first=2)
    assert drained(archive.compaction(CLOCK)) == 2
    assert [manifest["objects"] for manifest in archive.manifests()] == [1, 1]


def test_of_two_runs_that_do_the_same_batch_one_has_its_rows() -> None:
    archive = Archive()
    archive.conversation("ses_a")
    archive.object("ses_a", [said("m1"), said("m2")])
    rows: list[int] = []
    other = archive.compaction(CLOCK)
    stores: Any = InterruptedStore(archive.analytics, "put", lambda: rows.append(drained(other)))
    rows.append(drained(archive.compaction(CLOCK, analytics=stores)))
    assert rows == [2, 0]
    assert [row["message_id"] for row in archive.rows()] == ["m1", "m2"]


def test_what_the_index_shows_late_is_not_done_again() -> None:
    archive = Archive()
    archive.conversation("ses_a")
    archive.object("ses_a", [said("m1")])
    late: Any = LateIndex(archive.table)
    assert drained(archive.compaction(CLOCK)) == 1
    assert drained(archive.compaction(CLOCK, table=late)) == 0
    assert [row["message_id"] for row in archive.rows()] == ["m1"]


class LateIndex:
    """A table whose index shows how things were when this was made."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._pages = {
            bucket: table.query_index(BY_EXPIRY, bucket, limit=100)
            for bucket in map(compaction_bucket, range(SHARDS))
        }

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._table, verb)

    def query_index(self, _index: Index, pk: str, **_: Any) -> Page:
        return self._pages[pk]


# --- crashes and runs beside each other ----------------------------------------------------------------

conversations_said = st.lists(
    st.tuples(
        st.sampled_from(["ses_a", "ses_b", "ses_c", "ses_d"]),
        st.lists(st.integers(0, 2), min_size=1, max_size=3),  # days ago, of each message
    ),
    min_size=1,
    max_size=6,
)
crashes = st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=6)


def filled(objects: list[tuple[str, list[int]]], archive: Archive, names: str = "m") -> set[str]:
    """Archive the objects; return the ids of their messages."""
    seqs: Counter[str] = Counter()
    ids: set[str] = set()
    for session, days in objects:
        conversation = f"cnv_{names}"
        if not seqs[session]:
            archive.conversation(session, conversation)
        messages = [
            said(f"{names}-{session}-{seqs[session] + n}", at=START - ago * DAY) for n, ago in enumerate(days)
        ]
        archive.object(session, messages, first=seqs[session] + 1, conversation=conversation)
        seqs[session] += len(days)
        ids |= {message["messageId"] for message in messages}
    return ids


@given(conversations_said, crashes, st.integers(1, 5))
@settings(max_examples=150)
def test_crashes_anywhere_leave_each_message_in_one_file(
    objects: list[tuple[str, list[int]]], crashes: list[tuple[int, bool]], most: int
) -> None:
    archive = Archive()
    wanted = filled(objects, archive)
    for at, after in crashes:
        with suppress(Crash):
            drained(_crashing(archive, CrashingStore(archive.table, at, after=after), most))
    drained(archive.compaction(CLOCK, most=most))
    assert Counter(row["message_id"] for row in archive.rows()) == Counter(wanted)
    assert archive.compaction(CLOCK).waiting_since() is None


@given(conversations_said, conversations_said, st.integers(1, 5), st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=150)
def test_two_runs_at_once_leave_each_message_in_one_file(
    objects: list[tuple[str, list[int]]], later: list[tuple[str, list[int]]], most: int, comes: int, dies: int
) -> None:
    """The second run, whole or dying, comes in before any call of the first; meanwhile more is archived."""
    archive = Archive()
    wanted = filled(objects, archive)
    rows: list[int] = []

    def other() -> None:
        wanted.update(filled(later, archive, "n"))
        with suppress(Crash):
            rows.append(drained(_crashing(archive, CrashingStore(archive.table, dies), most)))

    between = Between(comes, other)
    first = archive.compaction(
        CLOCK,
        table=between.store(archive.table),
        bucket=between.store(archive.bucket),
        analytics=between.store(archive.analytics),
        most=most,
    )
    rows.append(drained(first))
    rows.append(drained(archive.compaction(CLOCK, most=most)))
    assert Counter(row["message_id"] for row in archive.rows()) == Counter(wanted)
    assert sum(rows) <= len(wanted), "no row is counted twice"


def _crashing(archive: Archive, table: CrashingStore, most: int = 4) -> Any:
    bucket, analytics = table.beside(archive.bucket), table.beside(archive.analytics)
    stores: dict[str, Any] = {"table": table, "bucket": bucket, "analytics": analytics}
    return archive.compaction(CLOCK, most=most, **stores)


class Between:
    """Stores of one container where something happens once, before its call number `at`."""

    def __init__(self, at: int, happens: Callable[[], None]) -> None:
        self._left, self._happens = at, happens

    def store(self, store: Any) -> Any:
        return _Watched(self, store)

    def called(self) -> None:
        self._left -= 1
        if self._left == -1:
            self._happens()


class _Watched:
    def __init__(self, between: Between, store: Any) -> None:
        self._between, self._store = between, store

    def __getattr__(self, verb: str) -> Any:
        self._between.called()
        return getattr(self._store, verb)
