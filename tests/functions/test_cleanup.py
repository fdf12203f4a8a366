"""The clean-up handler: bounded in time, resumable, safe beside others, stopped by no single item."""

from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

import pytest

from tessera.errors import Throttled, Unavailable
from tessera.model.changes import Change
from tessera.stores.expiry import HOUR, shard_of
from tessera.stores.keys import CORE, core_key
from tessera.stores.memory import MemoryTable
from tessera.stores.table import Index, Page, Table
from tests.functions.conftest import Output
from tests.functions.service import Context, Owner, Service
from tests.support.fakes import Crash, CrashingStore, FailingStore, FakeClock, InterruptedStore
from tests.support.records import session

PAGE = 100


def test_the_expired_are_buried_and_the_living_left_alone(service: Service, clock: FakeClock) -> None:
    expired = service.create(ttlSeconds=60, email="ada@example.com", data={"a": {}, "b": {}})
    living = service.create()
    clock.forward(60)
    assert _clean(service) == _run(expired=1, deleted=3)  # two buckets and the marker
    (stone,) = service.table.query(f"SESSION#{expired.id}")
    assert stone["sk"] == CORE
    assert stone["status"] == "expired"
    assert "ada@example.com" not in repr(stone)
    assert "refreshHash" not in stone
    assert service.graph.sessions.get(living.id)


def test_what_a_service_ended_is_buried_too(service: Service, clock: FakeClock) -> None:
    """It counts as expired once, and nothing personal stays of it."""
    owner = service.create(kind="chat", email="ada@example.com", data={"a": {}})
    ended = service.call("sessions/update", owner.id, token=service.service_token(), body={"status": "expired"})
    assert (ended.status, ended.json["status"]) == (200, "expired")
    assert service.call("sessions/get", "me", token=owner.token).problem == (404, "session-expired")
    validity = service.call("sessions/validate", "me", token=owner.token).json
    assert (validity["valid"], validity["reason"]) == (False, "ended")
    clock.forward(1)
    assert _clean(service) == _run(expired=1, deleted=2)
    (stone,) = service.table.query(f"SESSION#{owner.id}")
    assert "ada@example.com" not in repr(stone)
    assert _clean(service) == _run()


def test_a_second_run_finds_nothing(service: Service, clock: FakeClock) -> None:
    service.create(ttlSeconds=60)
    clock.forward(60)
    _clean(service)
    assert _clean(service) == _run()


def test_who_slid_away_is_met_again_later(service: Service, clock: FakeClock) -> None:
    owner = service.create(ttlSeconds=60)
    clock.forward(30)
    service.call("sessions/extend", "me", token=owner.token, body={"seconds": 3_600})
    clock.forward(30)
    assert _clean(service) == _run(moved=1)
    assert service.call("sessions/get", "me", token=owner.token).status == 200
    clock.forward(3_600)
    assert _clean(service)["expired"] == 1


def test_who_was_shortened_is_met_in_time(service: Service, clock: FakeClock) -> None:
    owner = service.create(kind="chat")
    service.call("sessions/extend", "me", token=owner.token, body={"seconds": 60})
    clock.forward(60)
    assert _clean(service)["expired"] == 1


def test_it_stops_before_its_limit_and_goes_on_where_it_stopped(
    service: Service, output: Output, clock: FakeClock
) -> None:
    small = service.another(CLEANUP_SHARDS="1")
    for _ in range(PAGE + 20):
        small.graph.sessions.create(session(now=clock(), ttlSeconds=60), {})
    clock.forward(90)
    first = _clean(small, [300_000, 19_000])
    assert first == _run(done=False, expired=PAGE, deleted=PAGE, lag=30)
    assert output.metrics()["CleanupLagSeconds"] == [30]
    assert _clean(small) == _run(expired=20, deleted=20)
    assert output.metrics()["CleanupLagSeconds"] == [0]


def test_hours_that_were_left_are_not_forgotten(service: Service, clock: FakeClock) -> None:
    """The next run begins at the hour that was not done, however much later it comes."""
    for hours in (1, 2, 3):
        service.graph.sessions.create(session(now=clock(), ttlSeconds=hours * 3_600), {})
    clock.forward(4 * 3_600)
    assert _clean(service, [0]) == _run(done=False, lag=3 * 3_600)
    clock.forward(60 * 3_600)
    assert _clean(service)["expired"] == 3


def test_a_marker_that_the_index_shows_late_is_not_missed(service: Service, clock: FakeClock) -> None:
    """It belongs to an hour that was done when it appeared."""
    _clean(service)
    created = clock()
    clock.forward(3_600)
    _clean(service)
    service.graph.sessions.create(session(now=created, ttlSeconds=60), {})
    assert _clean(service)["expired"] == 1


def test_two_runs_at_once_count_a_session_once(service: Service, clock: FakeClock) -> None:
    one = service.another(CLEANUP_SHARDS="1")
    owners = [one.create(ttlSeconds=60, data={"a": {}}) for _ in range(20)]
    clock.forward(90)
    runs: list[dict[str, Any]] = []
    table = InterruptedStore(service.table, "transact", lambda: runs.append(_clean(one)))
    runs.append(_clean(Service(clock, service.secret, table, environment=one.environment)))
    assert sum(run["expired"] for run in runs) == 20
    assert [run["done"] for run in runs] == [True, False], "who came second cannot know that the first got through"
    assert [run["lag"] for run in runs] == [0, 30]
    assert _clean(one) == _run()
    for owner in owners:
        assert [item["sk"] for item in service.table.query(f"SESSION#{owner.id}")] == [CORE]


def test_a_writer_that_comes_in_between_keeps_its_session(service: Service, clock: FakeClock) -> None:
    """Read as expired, and extended before the tombstone: then it lives."""
    owner = service.create(ttlSeconds=60)
    key = core_key(owner.id)

    def extend() -> None:
        service.table.update(key, Change({("expiresAt",): clock() + 3_600_000}))

    clock.forward(60)
    run = _clean(Service(clock, service.secret, InterruptedStore(service.table, "transact", extend)))
    assert run["expired"] == 0
    assert service.graph.sessions.get(owner.id)
    clock.forward(3_600)
    assert _clean(service)["expired"] == 1


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_anywhere_is_made_good_by_the_next_run(service: Service, *, after: bool) -> None:
    """At each of its calls: it looks through the hours of two days, reads, buries, deletes, notes and counts."""
    one, _ = _one_expired(service)
    counting = FailingStore(one.table)
    _clean(_beside(one, counting))
    for at in range(sum(counting.calls.values())):
        one, owner = _one_expired(service)
        with pytest.raises(Crash):
            _clean(_beside(one, CrashingStore(one.table, at, after=after)))
        one.clock.forward(300)
        _clean(one)
        assert [item["sk"] for item in one.table.query(f"SESSION#{owner.id}")] == [CORE]
        assert one.call("sessions/get", "me", token=owner.token).problem == (404, "session-expired")


def test_what_ttl_swept_away_leaves_no_children(service: Service, clock: FakeClock) -> None:
    """DynamoDB may have removed the core already; the marker, which has no TTL, leads to the rest."""
    owner = service.create(ttlSeconds=60, data={"a": {}})
    clock.forward(60)
    service.table.delete(core_key(owner.id))
    assert _clean(service) == _run(deleted=2)
    assert [*service.table.query(f"SESSION#{owner.id}")] == []


def test_a_poisoned_item_blocks_nobody_and_is_tried_again(
    service: Service, output: Output, clock: FakeClock
) -> None:
    poisoned, others = ([service.create(ttlSeconds=60) for _ in range(5)] for _ in range(2))
    for owner in poisoned:
        service.table.update(core_key(owner.id), Change({("status",): "nonsense"}))
    clock.forward(60)
    output.lines()
    assert _clean(service) == _run(expired=len(others), deleted=5, poisoned=5)
    lines = output.lines()
    told = [line for line in lines if line.get("message") == "poisoned item"]
    assert {line["level"] for line in told} == {"ERROR"}
    assert {line["session"] for line in told} == {service.graph.telemetry.pseudonym(o.id) for o in poisoned}
    assert not any(owner.id in repr(lines) for owner in poisoned)
    assert next(line["Errors"] for line in lines if "Errors" in line) == [5], "counted once, whatever the thread"
    assert _clean(service) == _run()
    for owner in poisoned:
        service.table.update(core_key(owner.id), Change({("status",): "pending"}))
    clock.forward(3_600)
    assert _clean(service)["expired"] == 5


def test_a_table_that_fails_stops_the_run_for_lambda_to_repeat(service: Service, clock: FakeClock) -> None:
    table = FailingStore(service.table)
    failing = Service(clock, service.secret, table)
    table.down = True
    with pytest.raises(Unavailable):
        _clean(failing)


def test_a_shard_that_is_throttled_keeps_the_others_counts(
    service: Service, output: Output, clock: FakeClock
) -> None:
    """The hour is not done: the run says so, and the next one begins there."""
    owners = [service.create(ttlSeconds=60) for _ in range(40)]
    clock.forward(90)
    hour, shard = clock() // HOUR, shard_of(owners[0].id, 16)
    waiting = sum(shard_of(owner.id, 16) == shard for owner in owners)
    output.lines()
    run = _clean(_beside(service, _Throttled(service.table, f"{hour}#{shard:02d}")))
    assert run == _run(
        done=False, expired=40 - waiting, deleted=40 - waiting, lag=(clock() - hour * HOUR) // 1_000
    )
    metrics = output.metrics()
    assert (metrics["SessionsExpired"], metrics["CleanupLagSeconds"]) == ([40 - waiting], [run["lag"]])
    assert service.graph.expiry.reached() == hour - 1
    assert _clean(service) == _run(expired=waiting, deleted=waiting)


def test_a_page_that_cannot_be_read_counts_those_before_it(service: Service, clock: FakeClock) -> None:
    """What is left has waited at most since the last one that was settled."""
    small = service.another(CLEANUP_SHARDS="1")
    for _ in range(PAGE + 20):
        small.graph.sessions.create(session(now=clock(), ttlSeconds=60), {})
    clock.forward(90)
    table = _Throttled(service.table, f"{clock() // HOUR}#00", pages=1)
    assert _clean(_beside(small, table)) == _run(done=False, expired=PAGE, deleted=PAGE, lag=30)
    assert _clean(small) == _run(expired=20, deleted=20)


def test_a_table_that_will_not_write_leaves_the_page_to_the_next_run(service: Service, clock: FakeClock) -> None:
    service.create(ttlSeconds=60)
    clock.forward(90)
    run = _clean(Service(clock, service.secret, _ReadOnly(service.table)))
    assert run == _run(done=False, lag=30)
    assert _clean(service)["expired"] == 1


def test_the_first_run_looks_back_two_days(service: Service, clock: FakeClock) -> None:
    service.create(ttlSeconds=60)
    clock.forward(47 * 3_600)
    assert _clean(service)["expired"] == 1


class _Throttled:
    """A table that gives so many pages of a bucket of its index and no more."""

    def __init__(self, table: Table, bucket: str, *, pages: int = 0) -> None:
        self._table, self._bucket, self._pages = table, bucket, pages

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._table, verb)

    def query_index(self, index: Index, pk: str, **how: Any) -> Page:
        if pk == self._bucket:
            self._pages -= 1
            if self._pages < 0:
                raise Throttled
        return self._table.query_index(index, pk, **how)


class _ReadOnly:
    """A table that refuses transactions."""

    def __init__(self, table: MemoryTable) -> None:
        self._table = table

    def __getattr__(self, verb: str) -> Any:
        if verb == "transact":
            raise Unavailable
        return getattr(self._table, verb)


class _Times(Context):
    """A context in which so much time is left at each look; the last figure stays."""

    def __init__(self, times: list[int]) -> None:
        self._times: Iterator[int] = chain(times, repeat(times[-1]))

    def get_remaining_time_in_millis(self) -> int:
        return next(self._times)


def _one_expired(service: Service) -> tuple[Service, Owner]:
    """Return a service on an empty table of one shard, and the owner of its only session, which has expired."""
    one = Service(FakeClock(), service.secret, environment={"CLEANUP_SHARDS": "1"})
    owner = one.create(ttlSeconds=60, data={"a": {}, "b": {}})
    one.clock.forward(60)
    return one, owner


def _beside(service: Service, table: Any) -> Service:
    """Return another container of the service, which sees its table so."""
    return Service(service.clock, service.secret, table, environment=service.environment)


def _clean(service: Service, times: list[int] | None = None) -> dict[str, Any]:
    return service.handler("lifecycle/cleanup")({}, _Times(times or [300_000]))


def _run(**what: Any) -> dict[str, Any]:
    return {"done": True, "expired": 0, "moved": 0, "deleted": 0, "poisoned": 0, "lag": 0} | what
