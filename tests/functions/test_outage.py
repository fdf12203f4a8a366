"""The table fails: writes are refused whole, reads too unless L1 still holds what was asked for."""

import pytest

from tessera.stores.memory import MemoryTable
from tests.functions.operations import BY_OWNER
from tests.functions.service import Context, Service, owners_body
from tests.support.fakes import FailingStore, FakeClock


@pytest.fixture
def table() -> FailingStore:
    return FailingStore(MemoryTable())


@pytest.fixture
def service(output: object, clock: FakeClock, table: FailingStore) -> Service:  # noqa: ARG001 - loggers write there
    return Service(clock, table=table)


@pytest.mark.parametrize(
    "name",
    [*BY_OWNER, "sessions/create", "sessions/list", "tokens/refresh", "tokens/revoke", "activity/collect"],
)
def test_every_operation_says_try_again(service: Service, table: FailingStore, name: str) -> None:
    owner = service.create()
    before = service.graph.sessions.find(owner.id)
    table.down = True
    body = {"refreshToken": owner.refresh_token} if name == "tokens/refresh" else owners_body(name) or {}
    answer = service.call(name, "me" if name in BY_OWNER else None, token=owner.token, query={}, body=body)
    assert answer.problem == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    table.down = False
    assert service.graph.sessions.find(owner.id) == before


def test_nothing_is_half_created(service: Service, table: FailingStore, clock: FakeClock) -> None:
    table.down = True
    assert service.call("sessions/create").status == 503
    table.down = False
    clock.forward(25 * 3_600)
    run = service.handler("lifecycle/cleanup")({}, Context(300_000))
    assert (run["expired"], run["moved"], run["deleted"]) == (0, 0, 0)


def test_keys_need_no_table(service: Service, table: FailingStore) -> None:
    table.down = True
    assert service.call("tokens/keys").status == 200


def test_l1_answers_reads_and_says_so(service: Service, table: FailingStore, clock: FakeClock) -> None:
    cached = service.another(KINDS='{"auth": {"cacheSeconds": 1}}')
    owner = cached.create()
    cached.call("sessions/get", "me", token=owner.token, query={})
    table.down = True
    clock.forward(10)
    answer = cached.call("sessions/get", "me", token=owner.token, query={})
    assert answer.status == 200
    assert answer.json == owner.session | {"degraded": True}
    assert answer.headers["Server-Timing"].rpartition(", ")[2].startswith("L1;dur=")
    clock.forward(60)
    assert cached.call("sessions/get", "me", token=owner.token, query={}).problem == (503, "unavailable")


def test_l1_never_serves_writes_or_what_has_expired(
    service: Service, table: FailingStore, clock: FakeClock
) -> None:
    cached = service.another(KINDS='{"auth": {"cacheSeconds": 1}}')
    owner = cached.create(ttlSeconds=30)
    cached.call("sessions/get", "me", token=owner.token, query={})
    table.down = True
    for name in ("sessions/update", "sessions/extend"):
        assert cached.call(name, "me", token=owner.token, body={}).problem == (503, "unavailable")
    cached.call("sessions/get", "me", token=owner.token, query={})
    clock.forward(30)
    assert cached.call("sessions/get", "me", token=owner.token, query={}).status in (404, 503)
