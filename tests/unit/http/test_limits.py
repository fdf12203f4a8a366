"""Rate limits: counted over all containers, told in headers, soft by a batch."""

import pytest

from tessera.errors import TooManyRequests
from tessera.http.limits import creations, headers, requests
from tessera.settings import Settings
from tessera.stores.counters import Counters
from tessera.stores.limits import Limit, RateLimiter, batched
from tessera.stores.memory import MemoryTable
from tessera.stores.table import Key
from tests.support.fakes import FailingStore, FakeClock

MINUTE_BEGINS = 1_795_168_980_000


class World:
    """Containers over one table, under one clock that stands at the beginning of a minute."""

    def __init__(self, per_minute: int, batch: int) -> None:
        self.clock, self.kept = FakeClock(MINUTE_BEGINS), MemoryTable()
        self.table = FailingStore(self.kept)
        self.limit = Limit("requests", per_minute, batch)

    def container(self) -> RateLimiter:
        return RateLimiter(self.limit, Counters(self.table), self.clock)


def passed(limiter: RateLimiter, who: str, times: int) -> int:
    """Return how many of so many requests get through."""
    count = 0
    for _ in range(times):
        try:
            limiter.check(who)
        except TooManyRequests:
            continue
        count += 1
    return count


def test_up_to_the_limit_requests_pass() -> None:
    assert passed(World(10, batch=1).container(), "a", 25) == 10
    assert passed(World(600, batch=20).container(), "a", 1_000) == 600


def test_callers_do_not_take_from_each_other() -> None:
    limiter = World(10, batch=1).container()
    assert [passed(limiter, who, 15) for who in "abc"] == [10, 10, 10]


def test_containers_count_together() -> None:
    """Exactly where each hit is reported, soft by less than a batch per container where not."""
    world = World(10, batch=1)
    assert sum(passed(world.container(), "a", 4) for _ in range(5)) == 10
    world = World(100, batch=20)
    through = sum(passed(world.container(), "a", 60) for _ in range(4))
    assert 100 <= through <= 100 + 4 * 20


def test_a_new_minute_is_a_new_count() -> None:
    world = World(10, batch=1)
    limiter = world.container()
    assert passed(limiter, "a", 15) == 10
    world.clock.forward(59, ms=999)
    assert passed(limiter, "a", 15) == 0
    world.clock.forward(ms=1)
    assert passed(limiter, "a", 15) == 10


def test_headers_tell_what_is_left_and_until_when() -> None:
    world = World(10, batch=1)
    limiter = world.container()
    assert headers("requests", 10, limiter.check("a")) == {
        "RateLimit": '"requests";r=9;t=60',
        "RateLimit-Policy": '"requests";q=10;w=60',
    }
    world.clock.forward(45)
    assert headers("requests", 10, limiter.check("a"))["RateLimit"] == '"requests";r=8;t=15'


def test_the_refusal_tells_it_too() -> None:
    world = World(1, batch=1)
    limiter = world.container()
    limiter.check("a")
    world.clock.forward(10)
    with pytest.raises(TooManyRequests) as over:
        limiter.check("a")
    assert (over.value.policy, over.value.limit, over.value.reset) == ("requests", 1, 50)


def test_a_batch_of_requests_costs_one_write() -> None:
    world = World(600, batch=20)
    passed(world.container(), "a", 100)
    assert world.table.calls["update"] == 5


def test_a_window_is_swept_when_it_is_over() -> None:
    world = World(10, batch=1)
    world.container().check("a")
    item = world.kept.get(Key("RATE#requests#a", str(MINUTE_BEGINS // 1_000)))
    assert item is not None
    assert item["ttl"] >= MINUTE_BEGINS // 1_000 + 60


def test_a_container_remembers_a_bounded_number_of_callers() -> None:
    limiter = World(10, batch=20).container()
    for number in range(10_050):
        limiter.check(f"who-{number}")
    assert len(limiter._seen) <= 10_000


def test_creations_count_by_address_one_by_one_the_rest_by_session_in_batches() -> None:
    settings = Settings.of(
        dict.fromkeys(
            ("TABLE_NAME", "KEYS_SECRET", "ARCHIVE_BUCKET", "ANALYTICS_BUCKET", "ISSUER", "AUDIENCE", "LOG_SALT"),
            "x",
        )
        | {"CREATIONS_PER_MINUTE": "7", "REQUESTS_PER_MINUTE": "70"}
    )
    assert creations(settings) == Limit("creations", 7, batch=1, by_address=True)
    assert requests(settings) == Limit("requests", 70, batch=2)
    assert [batched("frames", number).batch for number in (1, 59, 60, 600, 6_000)] == [1, 1, 2, 20, 20]
