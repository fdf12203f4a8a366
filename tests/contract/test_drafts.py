"""The end of a form on every engine: the result is there and the draft is gone, or neither; no save is lost."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from tessera.errors import Conflict, DemandsUnmet, NothingToDo
from tessera.model.changes import Admitted
from tessera.model.data import Held, Wanted
from tessera.model.flows import draft_of, finished
from tessera.model.record import Record
from tessera.model.ulids import Ulids
from tessera.stores.bucket import MemoryBucket
from tessera.stores.data import Data
from tessera.stores.drafts import Drafts
from tessera.stores.session_store import Decision
from tessera.stores.sessions import Sessions
from tessera.stores.steps import happened
from tessera.stores.table import Table
from tests.contract.conftest import SHARDS
from tests.support.fakes import START, Crash, CrashingStore, FakeClock, InterruptedStore
from tests.support.records import KINDS, session

FORM = KINDS["form"].flow


class Desk:
    """One container's view of a form."""

    def __init__(self, table: Any, clock: FakeClock) -> None:
        self.table, self.clock = table, clock
        self.sessions, self.drafts = Sessions(table, clock, SHARDS), Drafts(table)
        self.data = Data(table, MemoryBucket, clock, sleep=lambda _: None)

    def filled(self, **data: Any) -> str:
        """Make a form at its last step with these buckets; return its id."""
        made = session(kind="form", currentStep=4, completedSteps=[1, 2, 3])
        self.sessions.create(made, data)
        return made.id

    def save(self, session_id: str, name: str, data: Any) -> Held | None:
        return self.data.change(session_id, name, lambda _: Wanted(data), lambda _: Admitted(self.clock()))

    def finish(self, session_id: str, *buckets: str) -> Record:
        """Finish it, as the handler does."""

        def decide(record: Record) -> Decision:
            names = draft_of(FORM, [*buckets] or None)
            draft = self.drafts.read(record, names, self.clock())
            held = {name: draft[name]["data"] if name in draft else None for name in names}
            change, event, result = finished(
                record, held, flow=FORM, by_service=False, data=dict, now=self.clock()
            )
            marked, writes = self.drafts.finished(record, draft, "result", result, self.clock())
            return change | marked, [*writes, happened(record, event, Ulids(self.clock)())]

        return self.sessions.change_with(session_id, decide)

    def shown(self, session_id: str) -> dict[str, Any]:
        return self.sessions.data(session_id)


@pytest.fixture
def desk(table: Table, clock: FakeClock) -> Desk:
    return Desk(table, clock)


def test_the_draft_becomes_the_result(desk: Desk) -> None:
    session_id = desk.filled(draft={"a": 1}, config={"b": 2})
    desk.save(session_id, "draft", {"a": 2})
    done = desk.finish(session_id)
    assert (done.finished_at, done.session.completed_steps) == (START, [1, 2, 3, 4])
    assert done == desk.sessions.find(session_id)
    shown = desk.shown(session_id)
    assert (shown["result"]["data"], shown["config"]) == ({"draft": {"a": 2}}, {"b": 2})
    assert "draft" not in shown
    with pytest.raises(NothingToDo):
        desk.finish(session_id)


def test_a_save_that_comes_in_between_is_in_the_result(desk: Desk, table: Table, clock: FakeClock) -> None:
    session_id = desk.filled(draft={"a": 1})
    late = InterruptedStore(table, "transact", lambda: desk.save(session_id, "draft", {"a": 2}))
    Desk(late, clock).finish(session_id)
    assert desk.shown(session_id)["result"]["data"] == {"draft": {"a": 2}}


def test_a_save_that_comes_after_it_is_a_draft_of_its_own(desk: Desk, table: Table, clock: FakeClock) -> None:
    session_id = desk.filled(draft={"a": 1})
    tab = Desk(table, clock)
    before = tab.save(session_id, "draft", {"a": 2})
    desk.finish(session_id)
    after = tab.save(session_id, "draft", {"a": 3})
    assert before
    assert after
    assert after.version > before.version, "what the tab remembers, and its ETag, are of no use any more"
    shown = desk.shown(session_id)
    assert (shown["draft"], shown["result"]["data"]) == ({"a": 3}, {"draft": {"a": 2}})


def test_of_two_that_finish_at_once_one_does(desk: Desk, table: Table, clock: FakeClock) -> None:
    session_id = desk.filled(draft={"a": 1})
    other = InterruptedStore(table, "transact", lambda: desk.finish(session_id))
    with pytest.raises(NothingToDo):
        Desk(other, clock).finish(session_id)
    assert desk.shown(session_id)["result"]["data"] == {"draft": {"a": 1}}


def test_a_bucket_that_takes_the_place_of_the_result_meanwhile_stays(
    desk: Desk, table: Table, clock: FakeClock
) -> None:
    session_id = desk.filled(draft={"a": 1})
    mine = InterruptedStore(table, "transact", lambda: desk.save(session_id, "result", {"mine": True}))
    with pytest.raises(Conflict):
        Desk(mine, clock).finish(session_id)
    assert desk.shown(session_id) == {"draft": {"a": 1}, "result": {"mine": True}}


def test_a_bucket_that_has_expired_is_no_draft(desk: Desk, clock: FakeClock) -> None:
    session_id = desk.filled()
    desk.data.change(session_id, "draft", lambda _: Wanted({"a": 1}, 60), lambda _: Admitted(clock()))
    clock.forward(60)
    with pytest.raises(DemandsUnmet):
        desk.finish(session_id)


@pytest.mark.parametrize("named", [("result",), ("draft", "result")])
def test_the_result_is_no_part_of_its_own_draft(desk: Desk, named: tuple[str, ...]) -> None:
    session_id = desk.filled(draft={"a": 1})
    desk.finish(session_id, *named)
    shown = desk.shown(session_id)
    assert shown.keys() == {"result"}
    assert shown["result"]["data"] == {"draft": {"a": 1}}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_who_dies_anywhere_leaves_the_draft_or_the_result(
    fast_table: Table, clock: FakeClock, *, after: bool
) -> None:
    desk = Desk(fast_table, clock)
    for call in count():
        session_id = desk.filled(draft={"a": call})
        mortal = Desk(CrashingStore(fast_table, call, after=after), clock)
        died = dies(lambda: mortal.finish(session_id))  # noqa: B023 - called here
        shown = desk.shown(session_id)
        assert shown.keys() in ({"draft"}, {"result"})
        if "draft" in shown:
            desk.finish(session_id)
        assert desk.shown(session_id)["result"]["data"] == {"draft": {"a": call}}
        if not died:
            assert call > 2
            return


def dies(act: Callable[[], object]) -> bool:
    try:
        act()
    except Crash:
        return True
    return False
