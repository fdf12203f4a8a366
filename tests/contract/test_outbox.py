"""The outbox on every engine: an order comes into it with its completion, and one at a time delivers it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tessera.errors import Contended, Unavailable
from tessera.model.changes import Change
from tessera.model.clock import SECOND
from tessera.model.life import touched
from tessera.model.record import Record
from tessera.stores.keys import outbox_key
from tessera.stores.outbox import CLAIM, GRACE, KEPT_SECONDS, Outbox
from tessera.stores.session_store import Decision
from tessera.stores.sessions import Sessions
from tessera.stores.table import BY_CUSTOMER, Table
from tests.contract.conftest import SHARDS
from tests.support.fakes import START, Crash, CrashingStore, FailingStore, FakeClock
from tests.support.records import session

type Everything = Callable[..., set[tuple[str, str]]]

ORDER = {"amount": 4_900, "currency": "EUR", "email": "ada@example.org"}


@pytest.fixture
def outbox(table: Table) -> Outbox:
    return Outbox(table, on=True)


@pytest.fixture
def made(sessions: Sessions) -> Record:
    record = session(kind="checkout", customer={"customerId": "c-1"}, **ORDER)
    sessions.create(record, {})
    return record


def complete(sessions: Sessions, outbox: Outbox, session_id: str) -> Record:
    def decide(record: Record) -> Decision:
        change = touched(record, START) | Change({("status",): "completed"})
        return change, outbox.completed(record, change, START)

    return sessions.change_with(session_id, decide)


def due(outbox: Outbox, now: int) -> list[str]:
    return [item["pk"] for item in outbox.due(now)]


# --- into it -----------------------------------------------------------------------------------------


def test_an_order_comes_with_its_completion(sessions: Sessions, outbox: Outbox, made: Record) -> None:
    complete(sessions, outbox, made.id)
    claim = outbox.claim(made.id, START)
    assert claim is not None
    assert claim.order == {**ORDER, "customer": {"customerId": "c-1"}}
    assert (claim.number, claim.intended, claim.completed_at) == (1, False, START)


def test_neither_without_the_other(table: Table, clock: FakeClock, made: Record) -> None:
    failing = FailingStore(table)
    sessions, outbox = Sessions(failing, clock, SHARDS), Outbox(failing, on=True)

    def decide(record: Record) -> Decision:
        failing.down = True
        return Change({("status",): "completed"}), outbox.completed(record, Change({("status",): "completed"}), 1)

    with pytest.raises(Unavailable):
        sessions.change_with(made.id, decide)
    assert table.get(outbox_key(made.id)) is None
    assert Sessions(table, clock, SHARDS).find(made.id) == made


def test_an_order_is_completed_once(sessions: Sessions, outbox: Outbox, made: Record) -> None:
    """Also when a session should become what it was: the item itself is in the way."""
    complete(sessions, outbox, made.id)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: complete(sessions, outbox, made.id), range(4)))
    sessions.change(made.id, lambda _: Change({("status",): "processing"}))
    with pytest.raises(Contended):
        complete(sessions, outbox, made.id)


def test_nothing_comes_into_it_while_it_is_off(
    sessions: Sessions, table: Table, made: Record, everything: Everything
) -> None:
    complete(sessions, Outbox(table, on=False), made.id)
    assert sessions.find(made.id).session.status == "completed"
    assert everything(f"OUTBOX#{made.id}") == set()


def test_it_outlives_the_session(sessions: Sessions, outbox: Outbox, made: Record) -> None:
    complete(sessions, outbox, made.id)
    sessions.delete(made.id)
    assert outbox.claim(made.id, START) is not None


def test_it_ends_by_itself_and_is_found_by_its_customer(
    sessions: Sessions, outbox: Outbox, table: Table, made: Record
) -> None:
    complete(sessions, outbox, made.id)
    item = table.get(outbox_key(made.id))
    assert item is not None
    assert item["ttl"] == START // SECOND + KEPT_SECONDS
    (found,) = table.query_index(BY_CUSTOMER, "OUTBOX#c-1", limit=10).items
    assert found["pk"] == f"OUTBOX#{made.id}"
    records, _ = sessions.of_customer("OUTBOX#c-1", 10)
    assert records == []


# --- claims ------------------------------------------------------------------------------------------


def test_of_many_one_has_the_claim(sessions: Sessions, outbox: Outbox, made: Record) -> None:
    complete(sessions, outbox, made.id)
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: outbox.claim(made.id, START), range(8)))
    assert len([claim for claim in claims if claim]) == 1


def test_there_is_nothing_to_claim_of_an_unknown_order(outbox: Outbox, made: Record) -> None:
    assert outbox.claim(made.id, START) is None


def test_a_claim_ends_by_itself(sessions: Sessions, outbox: Outbox, made: Record) -> None:
    complete(sessions, outbox, made.id)
    first = outbox.claim(made.id, START)
    assert first is not None
    assert outbox.intend(first)
    assert outbox.claim(made.id, START + CLAIM - 1) is None
    second = outbox.claim(made.id, START + CLAIM)
    assert second is not None
    assert (second.number, second.intended) == (2, True)


def test_whose_claim_has_ended_writes_nothing_more(sessions: Sessions, outbox: Outbox, made: Record) -> None:
    complete(sessions, outbox, made.id)
    first = outbox.claim(made.id, START)
    assert first is not None
    assert outbox.claim(made.id, START + CLAIM) is not None
    assert not outbox.intend(first)
    assert not outbox.postpone(first, START)
    assert not outbox.give_up(first)
    assert outbox.claim(made.id, START + CLAIM) is None


def test_the_schedule_finds_what_waits(sessions: Sessions, outbox: Outbox, made: Record) -> None:
    complete(sessions, outbox, made.id)
    place = f"OUTBOX#{made.id}"
    assert due(outbox, START + GRACE - 1) == []
    assert due(outbox, START + GRACE) == [place]
    claim = outbox.claim(made.id, START)
    assert claim is not None
    assert due(outbox, START + CLAIM - 1) == []
    assert outbox.postpone(claim, START + 5)
    assert due(outbox, START + 5) == [place]
    again = outbox.claim(made.id, START + 5)
    assert again is not None
    assert due(outbox, START + 5 + CLAIM) == [place]
    assert outbox.give_up(again)
    assert due(outbox, START + 2 * CLAIM) == []


@pytest.mark.parametrize("refused", [True, False])
def test_an_intent_is_taken_back_by_a_refusal_alone(
    sessions: Sessions, outbox: Outbox, made: Record, refused: bool
) -> None:
    complete(sessions, outbox, made.id)
    claim = outbox.claim(made.id, START)
    assert claim is not None
    assert outbox.intend(claim)
    assert outbox.postpone(claim, START + 1, refused=refused)
    again = outbox.claim(made.id, START + 1)
    assert again is not None
    assert again.intended is not refused


def test_what_was_given_up_can_be_claimed_by_name(sessions: Sessions, outbox: Outbox, made: Record) -> None:
    complete(sessions, outbox, made.id)
    claim = outbox.claim(made.id, START)
    assert claim is not None
    outbox.give_up(claim)
    assert outbox.claim(made.id, START + CLAIM) is not None
    assert due(outbox, START + 2 * CLAIM) == [f"OUTBOX#{made.id}"]


# --- out of it ---------------------------------------------------------------------------------------


def test_a_deal_ends_it_and_what_is_personal_goes(
    sessions: Sessions, outbox: Outbox, table: Table, made: Record
) -> None:
    complete(sessions, outbox, made.id)
    claim = outbox.claim(made.id, START)
    assert claim is not None
    assert outbox.intend(claim)
    outbox.delivered(claim, "17", START + 1)
    item: Any = table.get(outbox_key(made.id))
    kept = {"claims": 1, "dealId": "17", "deliveredAt": START + 1, "ttl": START // SECOND + KEPT_SECONDS}
    assert item == {"pk": f"OUTBOX#{made.id}", "sk": "ORDER"} | kept
    assert outbox.claim(made.id, START + 2 * CLAIM) is None
    assert due(outbox, START + 2 * CLAIM) == []
    assert table.query_index(BY_CUSTOMER, "OUTBOX#c-1", limit=10).items == []


def test_of_two_that_tell_of_a_deal_the_first_counts(
    sessions: Sessions, outbox: Outbox, table: Table, made: Record
) -> None:
    """Also one whose claim has ended: what it has made is what the other must not make again."""
    complete(sessions, outbox, made.id)
    late = outbox.claim(made.id, START)
    second = outbox.claim(made.id, START + CLAIM)
    assert late is not None
    assert second is not None
    outbox.delivered(late, "17", START)
    assert not outbox.intend(second)
    outbox.delivered(second, "18", START)
    item = table.get(outbox_key(made.id))
    assert item is not None
    assert item["dealId"] == "17"


def test_a_claimant_that_dies_leaves_the_order_to_the_next(
    sessions: Sessions, table: Table, outbox: Outbox, made: Record
) -> None:
    complete(sessions, outbox, made.id)
    with pytest.raises(Crash):
        Outbox(CrashingStore(table, 0, after=True), on=True).claim(made.id, START)
    assert outbox.claim(made.id, START) is None
    claim = outbox.claim(made.id, START + CLAIM)
    assert claim is not None
    assert not claim.intended
