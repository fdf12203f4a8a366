"""Exposures on every engine: one for a session and an experiment, with the session or not at all."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tessera.errors import Contended
from tessera.model.experiments import Exposure, exposed
from tessera.model.record import Record
from tessera.stores.exposures import Exposures
from tessera.stores.session_store import Decision
from tessera.stores.sessions import Sessions
from tessera.stores.table import Table
from tests.contract.conftest import SHARDS
from tests.support.fakes import START, FakeClock, InterruptedStore
from tests.support.records import session

type Everything = Callable[..., set[tuple[str, str]]]


@pytest.fixture
def exposures(table: Table) -> Exposures:
    return Exposures(table)


@pytest.fixture
def made(sessions: Sessions) -> Record:
    record = session()
    sessions.create(record, {})
    return record


def see(sessions: Sessions, exposures: Exposures, session_id: str, variation: str) -> str:
    """Show a variation, or the one that was shown before; return which."""
    shown = variation

    def decide(record: Record) -> Decision:
        nonlocal shown
        seen = exposures.of(record.id, "button")
        shown = seen or variation
        writes = () if seen else (exposures.recorded(record, Exposure("button", variation, "session", START)),)
        return exposed(record, START), writes

    sessions.change_with(session_id, decide)
    return shown


def test_what_a_session_saw_it_goes_on_seeing(sessions: Sessions, exposures: Exposures, made: Record) -> None:
    assert exposures.of(made.id, "button") is None
    assert [see(sessions, exposures, made.id, name) for name in ("blue", "green")] == ["blue", "blue"]
    assert exposures.of(made.id, "other") is None
    assert sessions.find(made.id).parts == ("experiments",)


def test_of_two_tabs_one_decides(table: Table, exposures: Exposures, made: Record, clock: FakeClock) -> None:
    there = Sessions(table, clock, SHARDS)
    here = Sessions(
        InterruptedStore(table, "transact", lambda: see(there, exposures, made.id, "green")), clock, SHARDS
    )
    assert see(here, exposures, made.id, "blue") == "green"


def test_of_many_at_once_all_see_the_same(sessions: Sessions, exposures: Exposures, made: Record) -> None:
    def persist(name: str) -> str:
        while True:
            try:
                return see(sessions, exposures, made.id, name)
            except Contended:
                continue

    with ThreadPoolExecutor(6) as pool:
        assert len({*pool.map(persist, ["blue", "green"] * 3)}) == 1


def test_it_goes_with_the_session(
    sessions: Sessions, exposures: Exposures, made: Record, everything: Everything
) -> None:
    see(sessions, exposures, made.id, "blue")
    sessions.delete(made.id)
    assert everything(f"SESSION#{made.id}") == set()
