"""Counters, on every engine: any number of containers add, nothing is lost."""

from concurrent.futures import ThreadPoolExecutor

from tessera.stores.counters import Counters
from tessera.stores.table import Key, Table


def test_there_are_none_at_first(counters: Counters) -> None:
    assert counters.totals() == {}


def test_amounts_add_up_by_name(counters: Counters) -> None:
    series = 'tessera_requests_total{operation="sessions.get",status="200"}'
    for _ in range(30):
        counters.add({series: 1, "tessera_sessions_created_total": 2.5})
    assert counters.totals() == {series: 30, "tessera_sessions_created_total": 75}


def test_adding_nothing_adds_nothing(counters: Counters) -> None:
    counters.add({})
    assert counters.totals() == {}


def test_containers_at_once_lose_nothing(counters: Counters) -> None:
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: counters.add({"n": 1, "m": 2}), range(200)))
    assert counters.totals() == {"n": 200, "m": 400}


def test_a_hit_returns_the_count_of_its_window(counters: Counters) -> None:
    def hit(who: str, window: int, amount: int = 1) -> int:
        return counters.hit(who, window=window, width=60, amount=amount)

    assert [hit("a", 0), hit("a", 0, 20), hit("b", 0), hit("a", 60), hit("a", 0)] == [1, 21, 1, 1, 22]


def test_hits_at_once_are_each_counted(counters: Counters) -> None:
    with ThreadPoolExecutor(20) as pool:
        counts = list(pool.map(lambda _: counters.hit("a", window=0, width=60, amount=1), range(100)))
    assert sorted(counts) == list(range(1, 101))


def test_a_window_is_swept_after_its_end(counters: Counters, table: Table) -> None:
    counters.hit("a", window=1_200, width=60, amount=1)
    item = table.get(Key("RATE#a", "1200"))
    assert item is not None
    assert 1_260 <= item["ttl"] <= 1_320
