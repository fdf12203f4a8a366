"""A pace on every engine: a burst at once, then so many a second, however many ask."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessera.stores.memory import MemoryTable
from tessera.stores.pace import Pace
from tessera.stores.table import Table
from tests.support.fakes import FakeClock


@pytest.fixture
def pace(table: Table, clock: FakeClock) -> Pace:
    return Pace(table, clock, "crm", per_second=2, burst=5)


def test_a_burst_goes_out_at_once_and_the_rest_waits(pace: Pace, clock: FakeClock) -> None:
    assert [pace.take() for _ in range(6)] == [0, 0, 0, 0, 0, 500]
    clock.forward(ms=499)
    assert pace.take() == 1
    clock.forward(ms=1)
    assert [pace.take() for _ in range(2)] == [0, 500]


def test_a_pause_makes_room_for_one_burst_and_no_more(pace: Pace, clock: FakeClock) -> None:
    for _ in range(5):
        pace.take()
    clock.forward(3_600)
    assert [pace.take() for _ in range(6)].count(0) == 5


def test_all_containers_share_it(table: Table, clock: FakeClock) -> None:
    paces = [Pace(table, clock, "crm", per_second=2, burst=5) for _ in range(16)]
    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(Pace.take, paces))
    # Who finds a crowd each time may be told to wait although there was room; never the other way round.
    assert 1 <= taken.count(0) <= 5


def test_another_service_has_its_own(table: Table, clock: FakeClock, pace: Pace) -> None:
    for _ in range(6):
        pace.take()
    assert Pace(table, clock, "other", per_second=2, burst=5).take() == 0


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 3_000), max_size=60))
def test_no_second_has_more_than_the_burst_and_its_share(pauses: list[int]) -> None:
    clock, went = FakeClock(), list[int]()
    pace = Pace(MemoryTable(), clock, "crm", per_second=2, burst=5)
    for pause in pauses:
        clock.forward(ms=pause)
        if pace.take() == 0:
            went.append(clock.now)
    for first in range(len(went)):
        for last in range(first, len(went)):
            assert last - first + 1 <= 5 + (went[last] - went[first]) * 2 / 1_000
