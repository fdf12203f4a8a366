"""Decisions on a conversation: what an append makes of what is known, and which numbers are popped."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import Invalid
from tessera.model.changes import Clause
from tessera.model.conversations import MAX_SKEW, Place, appended, cleared, is_gone, newest, popped, without
from tessera.model.record import MESSAGES, Record
from tests.support.chats import said
from tests.support.fakes import START
from tests.support.records import session

NEW = "cnv_" + "n" * 26
OLD = "cnv_" + "o" * 26
numbers = st.sets(st.integers(1, 25))


def talked(last_seq: int, **more: Any) -> Record:
    """Return a session whose open conversation has that many messages."""
    made = session()
    open_one = made.session.model_copy(update={"conversation_id": OLD})
    return replace(made, session=open_one, last_seq=last_seq, parts=(MESSAGES,), **more)


def append(record: Record, *ids: str | None, known: dict[str, Place] | None = None, now: int = START) -> Any:
    wanted = [said(f"{n}", message_id) for n, message_id in enumerate(ids)]
    return appended(record, wanted, known or {}, now=now, new_conversation_id=lambda: NEW)


def popped_ranges(gone: set[int]) -> list[list[int]]:
    ranges: list[list[int]] = []
    for seq in sorted(gone):
        ranges = without(seq, ranges)
    return ranges


# --- append ------------------------------------------------------------------------------------------


def test_the_first_append_begins_a_conversation() -> None:
    plan = append(session(), None, None)
    assert (plan.conversation_id, plan.first_seq, plan.begins) == (NEW, 1, True)
    assert [*plan.messages] == ["1", "2"]
    assert plan.messages["2"]["messageId"] == f"{NEW}.2"
    assert plan.change.assign["parts",] == [MESSAGES]
    assert plan.change.assign["lastSeq",] == 2


def test_later_ones_go_on_where_it_is() -> None:
    plan = append(talked(7), "a", None)
    assert (plan.conversation_id, plan.first_seq, plan.begins) == (OLD, 8, False)
    assert plan.places == [Place(OLD, 8, 8), Place(OLD, 9, 8)]
    assert plan.ids == {"a": Place(OLD, 8, 8)}
    assert ("parts",) not in plan.change.assign


def test_it_stands_on_all_that_it_has_seen() -> None:
    """The core that was seen may be a remembered one."""
    record = talked(7)
    clauses = append(record, None).change.clauses
    for path, value in (("conversationId", OLD), ("lastSeq", 7), ("epoch", record.epoch), ("parts", [MESSAGES])):
        assert Clause((path,), "is", value) in clauses
    fresh = append(session(), None).change.clauses
    assert {Clause(("conversationId",), "absent"), Clause(("lastSeq",), "absent")} <= {
        c for c in fresh if c.value is None
    }


def test_what_is_known_stays_where_it_is() -> None:
    known, spare = Place(NEW, 3, 1), Place(OLD, 5, 2)
    record = talked(7, spare_ids={"spare": spare.attributes()})
    plan = append(record, "known", "spare", "a", "a", f"{OLD}.7", known={"known": known})
    assert plan.places == [known, spare, Place(OLD, 8, 8), Place(OLD, 8, 8), Place(OLD, 7, 0)]
    assert [*plan.messages] == ["8"]


def test_an_id_of_a_message_that_is_still_to_come_is_refused() -> None:
    with pytest.raises(Invalid):
        append(talked(7), f"{OLD}.8")


@given(
    st.lists(st.none() | st.sampled_from("abcdef"), min_size=1, max_size=20),
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)),
)
def test_numbers_are_dense_and_each_id_has_one(ids: list[str | None], known: dict[str, int]) -> None:
    there = {message_id: Place(OLD, seq, seq) for message_id, seq in known.items()}
    plan = append(talked(9), *ids, known=there)
    assert [*plan.messages] == [str(10 + n) for n in range(len(plan.messages))]
    assert len(plan.messages) == ids.count(None) + len({*ids} - {None, *known})
    assert len(plan.places) == len(ids)
    places = {(message_id, place) for message_id, place in zip(ids, plan.places, strict=True) if message_id}
    assert len(places) == len({*ids} - {None})
    assert plan.change.assign["lastSeq",] == 9 + len(plan.messages)


def test_a_time_is_kept_if_it_is_not_of_the_future() -> None:
    wanted = [said("a", at=START + MAX_SKEW), said("b", at=0), said("c")]
    plan = appended(talked(0), wanted, {}, now=START, new_conversation_id=lambda: NEW)
    assert [message["createdAt"] for message in plan.messages.values()] == [START + MAX_SKEW, 0, START]
    with pytest.raises(Invalid) as refused:
        appended(talked(0), wanted, {}, now=START - 1, new_conversation_id=lambda: NEW)
    assert refused.value.members["errors"][0]["pointer"] == "/messages/0/createdAt"


# --- pop and clear -----------------------------------------------------------------------------------


def test_an_empty_conversation_does_not_end() -> None:
    assert cleared(session(), now=START, new_conversation_id=lambda: NEW) is None
    assert cleared(talked(0), now=START, new_conversation_id=lambda: NEW) is None


def test_the_next_conversation_begins_at_one() -> None:
    change = cleared(talked(7), now=START, new_conversation_id=lambda: NEW)
    assert change is not None
    assert (change.assign["conversationId",], change.remove) == (NEW, frozenset({("lastSeq",)}))
    assert Clause(("lastSeq",), "is", 7) in change.clauses


def test_a_pop_gives_no_number_back() -> None:
    assert ("lastSeq",) not in popped(talked(7), now=START).assign


@given(numbers)
def test_popped_numbers_are_kept_as_few_ranges(gone: set[int]) -> None:
    ranges = popped_ranges(gone)
    assert {seq for first, last in ranges for seq in range(first, last + 1)} == gone
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(ranges))
    assert [seq for seq in range(27) if is_gone(seq, ranges)] == sorted(gone)


@given(numbers, st.permutations(range(1, 12)))
def test_in_whichever_order_they_go(gone: set[int], order: list[int]) -> None:
    ranges = popped_ranges(gone)
    for seq in order:
        ranges = without(seq, ranges)
    assert ranges == popped_ranges({*gone, *range(1, 12)})


@given(numbers, st.integers(0, 25))
def test_the_newest_is_the_last_that_was_not_popped(gone: set[int], last: int) -> None:
    gone = {seq for seq in gone if seq <= last}
    assert newest(last, popped_ranges(gone)) == max({*range(1, last + 1)} - gone, default=0)
