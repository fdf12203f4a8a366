"""A customer's memory: the newest of all their conversations, and those that answer a query."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.archive.history import MAX_PAGE_BYTES
from tessera.model.clock import SECOND
from tessera.model.conversations import MAX_SKEW
from tessera.stores.bucket import MemoryBucket
from tessera.stores.memory import MemoryTable
from tessera.stores.table import MAX_WRITES
from tests.support.chats import House, said, several
from tests.support.fakes import START, FailingStore, FakeClock

ADA = {"customer": {"customerId": "ada"}}


@pytest.fixture
def quick() -> House:
    return House(MemoryTable(), MemoryBucket(), FakeClock())


def newest(house: House, limit: int = 100) -> list[Any]:
    return [message["content"] for message in house.memory.newest("ada", limit)[0]]


def found(house: House, query: str, limit: int = 10) -> list[Any]:
    messages, complete = house.memory.search("ada", query, limit, in_time=lambda: True)
    assert complete
    assert [m["score"] for m in messages] == sorted((m["score"] for m in messages), reverse=True)
    return [message["content"] for message in messages]


# --- the newest --------------------------------------------------------------------------------------


def test_who_never_said_anything_has_no_memory(house: House) -> None:
    house.begin(**ADA)
    assert newest(house) == found(house, "anything") == []


def test_the_newest_of_all_conversations_come_first_wherever_they_lie(house: House) -> None:
    """Of an open session, of one that has ended a conversation, of a deleted one and of one that has expired."""
    sessions = [house.begin(ttlSeconds=3_600, **ADA) for _ in range(4)]
    for n in range(12):
        house.say(sessions[n % 4], said(f"{n}"))
        house.clock.forward(1)
    house.clear(sessions[0])
    house.sessions.delete(sessions[1])
    house.tend(sessions[2])
    house.say(sessions[0], said("12"))
    assert newest(house) == [f"{n}" for n in reversed(range(13))]
    assert newest(house, 3) == ["12", "11", "10"]
    house.clock.forward(3_600)
    house.clean_up()
    assert newest(house) == [f"{n}" for n in reversed(range(13))]


def test_others_are_not_in_it(house: House) -> None:
    house.say(house.begin(customer={"customerId": "bob"}), said("bob's"))
    house.say(house.begin(customer={"customerId": "MEMORY#ada"}), said("not hers"))
    house.say(house.begin(), said("nobody's"))
    house.say(house.begin(**ADA), said("hers"))
    assert newest(house) == found(house, "hers bob nobody not") == ["hers"]


def test_who_logs_in_later_finds_what_was_said_before(house: House) -> None:
    session_id = house.begin()
    house.say(session_id, said("first"))
    house.clear(session_id)
    house.say(session_id, said("second"))
    assert newest(house) == []
    house.link(session_id, "ada")
    house.link(session_id, "ada")
    assert sorted(newest(house)) == ["first", "second"]


def test_however_many_conversations_there_were(quick: House) -> None:
    """More than one transaction holds with the login."""
    session_id = quick.begin()
    for n in range(MAX_WRITES + 1):
        quick.say(session_id, said(f"{n}"))
        quick.clear(session_id)
    quick.link(session_id, "ada")
    assert sorted(newest(quick, 1_000), key=int) == [f"{n}" for n in range(MAX_WRITES + 1)]


def test_what_was_popped_or_purged_is_not_in_it(house: House) -> None:
    popped, purged = house.begin(**ADA), house.begin(**ADA)
    house.say(popped, *several(5))
    house.tend(popped)
    house.ttl_takes(house.hot(popped)[0])
    house.pop(popped)
    house.say(purged, *(said(f"purged {n}") for n in range(5)))
    house.tend(purged)
    house.sessions.delete(purged, purge=True)
    assert newest(house) == ["m3", "m2", "m1", "m0"]
    assert found(house, "purged m4") == []


def test_a_purge_that_has_begun_hides_them(quick: House) -> None:
    session_id = quick.begin(**ADA)
    quick.say(session_id, said("secret"))
    down = FailingStore(quick.bucket)
    down.down = True
    with pytest.raises(Exception, match="soon"):
        quick.beside(bucket=down).sessions.delete(session_id, purge=True)
    assert newest(quick) == found(quick, "secret") == []


def test_large_messages_make_the_answer_shorter(house: House) -> None:
    sessions = [house.begin(**ADA) for _ in range(2)]
    for n in range(8):
        house.say(sessions[n % 2], said(f"{n}" + "x" * (MAX_PAGE_BYTES // 4)))
        house.clock.forward(1)
    assert [text[0] for text in newest(house)] == ["7", "6", "5"]


def test_conversations_that_ended_long_ago_are_not_opened(quick: House) -> None:
    for n in range(30):
        session_id = quick.begin(**ADA)
        quick.say(session_id, *(said(f"{n} {m}") for m in range(5)))
        quick.clock.forward(60)
        quick.sessions.delete(session_id)
    bucket = FailingStore(quick.bucket)
    messages = quick.beside(bucket=bucket).memory.newest("ada", 12)[0]
    assert [m["content"] for m in messages] == [f"{n} {m}" for n in (29, 28, 27) for m in (4, 3, 2, 1, 0)][:12]
    assert sum(bucket.calls.values()) <= 4


type Said = tuple[int, int, int]
"""Which session says something, how many seconds after the one before, how many seconds off its clock is."""


@settings(max_examples=150, deadline=None)
@given(
    talk=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(-400, 300)), max_size=40),
    ends=st.sets(st.integers(0, 39)),
    deleted=st.sets(st.integers(0, 3)),
    limit=st.integers(1, 45),
    skewed=st.booleans(),
)
def test_it_is_one_list_of_all_conversations_in_time(
    talk: list[Said], ends: set[int], deleted: set[int], limit: int, *, skewed: bool
) -> None:
    """A message counts as said no later than the one after it, and than the end of its conversation."""
    house = House(MemoryTable(), MemoryBucket(), FakeClock())
    sessions = [house.begin(**ADA) for _ in range(4)]
    conversations: dict[str, list[tuple[int, str]]] = {}
    until: dict[str, int] = {}
    for n, (who, later, off) in enumerate(talk):
        house.clock.forward(later)
        plan = house.say(sessions[who], said(f"{n}", at=house.clock() + off * SECOND if skewed else None))
        conversations.setdefault(plan.conversation_id, []).append((house.clock() + off * SECOND * skewed, f"{n}"))
        if n in ends:
            until[house.conversation(sessions[who])] = house.clock()
            house.clear(sessions[who])
            house.tend(sessions[who])
    for who in deleted:
        open_one = house.conversation(sessions[who])
        until.setdefault(open_one, house.clock())
        house.sessions.delete(sessions[who])
    expected: list[tuple[int, str]] = []
    for conversation_id, messages in conversations.items():
        at = until.get(conversation_id, house.clock())
        for said_at, text in reversed(messages):
            at = min(at, said_at)
            expected.append((at, text))
    times = {text: at for at, text in expected}
    told, _ = house.memory.newest("ada", limit)
    assert len(told) == min(limit, len(expected))
    assert [times[m["content"]] for m in told] == sorted(times.values(), reverse=True)[:limit]
    for messages in conversations.values():
        own = [text for _, text in reversed(messages)]
        shown = [m["content"] for m in told if m["content"] in own]
        assert shown == own[: len(shown)], "in a conversation the numbers tell which is newer"


def test_a_clock_that_is_ahead_does_not_hide_what_was_said_since(quick: House) -> None:
    ahead, right = quick.begin(**ADA), quick.begin(**ADA)
    quick.say(right, said("first"))
    quick.clock.forward(1)
    quick.say(ahead, said("second", at=quick.clock() + MAX_SKEW))
    quick.clear(ahead)
    quick.clock.forward(1)
    quick.say(right, said("third"))
    assert newest(quick) == ["third", "second", "first"]
    assert newest(quick, 2) == ["third", "second"]


# --- search ------------------------------------------------------------------------------------------

TALK = [
    "Where is my parcel?",
    "The parcel with the blue shoes was delivered on Monday.",
    "These shoes are too small, I want to return the shoes.",
    "Das Café in Zürich schließt früh.",
    "Running shoes for runners who run",
    "Nothing of interest here",
]


@pytest.fixture
def talker(house: House) -> House:
    session_id = house.begin(**ADA)
    for text in TALK:
        house.say(session_id, said(text))
        house.clock.forward(1)
    house.tend(session_id)
    for segment in house.hot(session_id)[:3]:
        house.ttl_takes(segment)
    return house


def test_what_answers_best_comes_first(talker: House) -> None:
    assert found(talker, "blue parcel") == [TALK[1], TALK[0]]
    assert found(talker, "shoes")[0] == TALK[2]
    assert found(talker, "shoes", 1) == [TALK[2]]
    assert found(talker, "unheard of") == [TALK[5]]


@pytest.mark.parametrize("query", ["CAFE", "café", "cafe\u0301", "ZU\u0308RICH", "zurich", "Zürich"])
def test_accents_and_case_do_not_matter_in_any_form(talker: House, query: str) -> None:
    assert found(talker, query) == [TALK[3]]


@pytest.mark.parametrize("query", ["run", "runs", "running"])
def test_nor_do_the_forms_of_english_words(talker: House, query: str) -> None:
    assert found(talker, query) == [TALK[4]]


@pytest.mark.parametrize(
    "query", ['"', "a AND", "NEAR(", "* -parcel:x", "text : x", "_", "?!", "' OR 1=1 --", "\x00", "x" * 1_000]
)
def test_no_query_is_an_error(talker: House, query: str) -> None:
    found(talker, query)


def test_what_is_found_fits_into_an_answer_too(quick: House) -> None:
    session_id = quick.begin(**ADA)
    for n in range(8):
        quick.say(session_id, said(f"words {n}" + " x" * (MAX_PAGE_BYTES // 8)))
        quick.clock.forward(1)
    assert [text[6] for text in found(quick, "words")] == ["7", "6", "5"]


def test_of_equal_ones_the_newest_comes_first(quick: House) -> None:
    sessions = [quick.begin(**ADA) for _ in range(2)]
    for n in range(4):
        quick.say(sessions[n % 2], said({"n": n, "text": "same words"}))
        quick.clock.forward(1)
    assert [content["n"] for content in found(quick, "words")] == [3, 2, 1, 0]


def test_contents_that_are_json_are_searched_too(quick: House) -> None:
    quick.say(quick.begin(**ADA), said({"question": {"de": "Größe"}}), said(["Farbe", 42]))
    assert found(quick, "grosse") == [{"question": {"de": "Größe"}}]
    assert found(quick, "GRÖSSE größe") == [{"question": {"de": "Größe"}}]
    assert found(quick, "42") == [["Farbe", 42]]


def test_when_time_runs_out_there_is_what_was_read_the_newest_first(talker: House) -> None:
    left = 3

    def in_time() -> bool:
        nonlocal left
        left -= 1
        return left >= 0

    messages, complete = talker.memory.search("ada", "shoes parcel here", 10, in_time=in_time)
    assert not complete
    assert {m["content"] for m in messages} == {TALK[5], TALK[4]}


def test_a_found_message_says_where_it_is(talker: House) -> None:
    (message,), _ = talker.memory.search("ada", "Zürich", 10, in_time=lambda: True)
    session_id, conversation_id = message["sessionId"], message["conversationId"]
    assert talker.conversation(session_id) == conversation_id
    assert talker.shown(session_id)[message["seq"]] == TALK[3]
    assert message["createdAt"] == START + 3 * SECOND
    assert message["score"] > 0
