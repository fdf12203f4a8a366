"""The circuit breaker: its state is shared through a table, on every engine, and its times are ours."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tessera.errors import CircuitOpen, Contended, Throttled, Unavailable
from tessera.stores.breaker import FRESH_SECONDS, Breaker, Circuits, Policy
from tessera.stores.keys import circuit_key
from tessera.stores.memory import MemoryTable
from tessera.stores.table import Table
from tests.support.fakes import FailingStore, FakeClock

POLICY = Policy(failures=3, seconds=30)


class Dependency:
    """Something to call: counts the calls, and fails as it is told."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: Exception | None = None

    def ask(self, question: str, *, politely: bool = True) -> str:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return f"{question} {politely}"


@pytest.fixture
def heard() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def container(table: Table, clock: FakeClock, heard: list[tuple[str, str]]) -> Callable[[], Breaker]:
    """Another container with a breaker of the same circuit."""
    return lambda: _breaker(table, clock, heard)


@pytest.fixture
def dependency() -> Dependency:
    return Dependency()


def _breaker(table: Table, clock: FakeClock, heard: list[tuple[str, str]]) -> Breaker:
    return Breaker("payments", POLICY, Circuits(table, clock), lambda name, state: heard.append((name, state)))


def fail(breaker: Breaker, dependency: Dependency, times: int = POLICY.failures) -> None:
    """Have the calls fail that open a circuit."""
    dependency.error = TimeoutError()
    for _ in range(times):
        with pytest.raises(TimeoutError):
            breaker.call(dependency.ask, "?")


def is_open(breaker: Breaker, dependency: Dependency) -> bool:
    before = dependency.calls
    try:
        breaker.call(dependency.ask, "?")
    except CircuitOpen:
        assert dependency.calls == before
        return True
    return False


def test_a_healthy_call_comes_through_with_what_it_was_given(
    container: Callable[[], Breaker], dependency: Dependency
) -> None:
    assert container().call(dependency.ask, "Up?", politely=False) == "Up? False"


def test_after_failures_in_a_row_it_is_not_called_any_more(
    container: Callable[[], Breaker], dependency: Dependency, clock: FakeClock, heard: list[tuple[str, str]]
) -> None:
    breaker = container()
    fail(breaker, dependency)
    dependency.error = None
    assert is_open(breaker, dependency)
    clock.forward(POLICY.seconds - 1)
    assert is_open(breaker, dependency)
    assert heard == [("payments", "OPEN")]


def test_an_answer_between_failures_keeps_it_closed(
    container: Callable[[], Breaker], dependency: Dependency
) -> None:
    breaker = container()
    for _ in range(3):
        fail(breaker, dependency, POLICY.failures - 1)
        dependency.error = None
        assert breaker.call(dependency.ask, "Up?") == "Up? True"


@pytest.mark.parametrize("refusal", [Throttled(), Contended(), ValueError("not that"), KeyError("x")])
def test_a_refusal_is_an_answer(
    container: Callable[[], Breaker], dependency: Dependency, clock: FakeClock, refusal: Exception
) -> None:
    """Who refuses is there: that neither opens a circuit nor keeps it from closing."""
    breaker = container()
    dependency.error = refusal
    for _ in range(POLICY.failures + 1):
        with pytest.raises(type(refusal)):
            breaker.call(dependency.ask, "?")
    fail(breaker, dependency)
    clock.forward(POLICY.seconds)
    dependency.error = refusal
    for _ in range(2):
        with pytest.raises(type(refusal)):
            breaker.call(dependency.ask, "?")


def test_what_one_container_found_out_spares_the_others(
    container: Callable[[], Breaker], dependency: Dependency, clock: FakeClock
) -> None:
    one, other = container(), container()
    dependency.error = None
    other.call(dependency.ask, "?")
    fail(one, dependency)
    clock.forward(FRESH_SECONDS)
    assert is_open(other, dependency)
    assert is_open(container(), dependency)


def test_one_try_that_succeeds_closes_it_for_all(
    container: Callable[[], Breaker], dependency: Dependency, clock: FakeClock, heard: list[tuple[str, str]]
) -> None:
    one, other = container(), container()
    fail(one, dependency)
    assert is_open(other, dependency)
    clock.forward(POLICY.seconds)
    dependency.error = None
    assert not is_open(other, dependency)
    clock.forward(FRESH_SECONDS)
    assert not is_open(one, dependency)
    assert [state for _, state in heard] == ["OPEN", "HALF_OPEN", "CLOSED"]


def test_one_try_that_fails_keeps_it_open_for_as_long_again(
    container: Callable[[], Breaker], dependency: Dependency, clock: FakeClock
) -> None:
    breaker = container()
    fail(breaker, dependency)
    clock.forward(POLICY.seconds)
    fail(breaker, dependency, 1)
    clock.forward(POLICY.seconds - 1)
    assert is_open(breaker, dependency)
    clock.forward(1)
    dependency.error = None
    assert not is_open(breaker, dependency)


def test_of_many_containers_one_tries(
    container: Callable[[], Breaker], dependency: Dependency, clock: FakeClock
) -> None:
    fail(container(), dependency)
    clock.forward(POLICY.seconds)
    before = dependency.calls
    others = [container() for _ in range(8)]

    def ask(breaker: Breaker) -> type[Exception] | None:
        try:
            breaker.call(dependency.ask, "?")
        except (CircuitOpen, TimeoutError) as error:
            return type(error)
        return None

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(ask, others))
    assert dependency.calls == before + 1
    assert sorted(outcomes, key=str) == sorted([TimeoutError, *[CircuitOpen] * 7], key=str)


def test_who_dies_while_trying_is_followed(
    container: Callable[[], Breaker], dependency: Dependency, clock: FakeClock
) -> None:
    class Died(BaseException):
        pass

    def die() -> None:
        raise Died

    one, other = container(), container()
    fail(one, dependency)
    clock.forward(POLICY.seconds)
    with ThreadPoolExecutor(1) as elsewhere, pytest.raises(Died):  # Powertools knows who tries by the thread
        elsewhere.submit(one.call, die).result()
    dependency.error = None
    assert is_open(other, dependency)
    clock.forward(POLICY.seconds)
    assert not is_open(other, dependency)


def test_who_is_admitted_may_call_and_who_is_not_may_not(
    container: Callable[[], Breaker], dependency: Dependency, clock: FakeClock
) -> None:
    """While it is closed all are; then none is; then one, whose call decides; admission alone decides nothing."""
    one, other = container(), container()
    dependency.error = TimeoutError()
    for _ in range(POLICY.failures):
        one.admit()
        with pytest.raises(TimeoutError):
            one.call(dependency.ask, "?")
    for _ in range(2):
        with pytest.raises(CircuitOpen):
            one.admit()
    clock.forward(POLICY.seconds)
    dependency.error = None
    for _ in range(2):
        one.admit()
    with ThreadPoolExecutor(1) as elsewhere, pytest.raises(CircuitOpen):
        elsewhere.submit(other.admit).result()
    one.call(dependency.ask, "?")
    clock.forward(FRESH_SECONDS)
    other.admit()


def test_who_is_admitted_and_never_calls_is_followed(
    container: Callable[[], Breaker], dependency: Dependency, clock: FakeClock
) -> None:
    one, other = container(), container()
    fail(one, dependency)
    clock.forward(POLICY.seconds)
    with ThreadPoolExecutor(1) as elsewhere:
        elsewhere.submit(one.admit).result()
    dependency.error = None
    assert is_open(other, dependency)
    clock.forward(POLICY.seconds)
    other.admit()
    assert not is_open(other, dependency)


def test_the_state_is_swept_in_the_end(
    container: Callable[[], Breaker], dependency: Dependency, table: Table
) -> None:
    fail(container(), dependency)
    item = table.get(circuit_key("payments"))
    assert item is not None
    assert (item["state"], item["failures"]) == ("OPEN", POLICY.failures)
    assert item["ttl"] > 0


@pytest.fixture
def failing() -> Iterator[FailingStore]:
    store = FailingStore(MemoryTable())
    yield store
    assert store.calls


def test_a_table_that_fails_never_stops_a_healthy_call(
    failing: FailingStore, clock: FakeClock, dependency: Dependency
) -> None:
    """And what this container has seen itself it goes by without the table."""
    breaker = _breaker(failing, clock, [])
    failing.down = True
    assert breaker.call(dependency.ask, "Up?") == "Up? True"
    fail(breaker, dependency)
    assert is_open(breaker, dependency)


def test_without_the_table_nobody_tries(failing: FailingStore, clock: FakeClock, dependency: Dependency) -> None:
    breaker = _breaker(failing, clock, [])
    fail(breaker, dependency)
    clock.forward(POLICY.seconds - 1)
    assert is_open(breaker, dependency)
    clock.forward(1)
    before = dependency.calls
    failing.down = True
    with pytest.raises(Unavailable):
        breaker.call(dependency.ask, "?")
    assert dependency.calls == before


def test_circuits_are_apart(table: Table, clock: FakeClock, dependency: Dependency) -> None:
    circuits, heard = Circuits(table, clock), list[tuple[str, str]]()
    payments, crm = (
        Breaker(name, POLICY, circuits, lambda name, state: heard.append((name, state)))
        for name in ("payments", "crm")
    )
    fail(payments, dependency)
    dependency.error = None
    assert is_open(payments, dependency)
    assert not is_open(crm, dependency)
