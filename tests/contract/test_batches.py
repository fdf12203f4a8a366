"""Batches on the engines: more keys than one request holds, and tables that do not do all at once."""

from typing import Any

import pytest

from tessera.errors import Throttled
from tessera.stores.dynamodb import DynamoTable
from tessera.stores.table import Item, Key, Put
from tessera.stores.tiers import Tiers
from tests.contract.conftest import client_of
from tests.support.fakes import StingyClient
from tests.support.tables import new_table

COUNT = 230
KEYS = [Key("SESSION#x", f"DATA#{number:04d}") for number in range(COUNT)]
ITEMS: list[Item] = [{**key._asdict(), "n": number} for number, key in enumerate(KEYS)]


def filled(client: Any, name: str) -> DynamoTable:
    table = DynamoTable(client, name, Tiers())
    for first in range(0, COUNT, 100):
        table.transact([Put(item) for item in ITEMS[first : first + 100]])
    return table


def by_key(items: list[Item]) -> list[Item]:
    return sorted(items, key=lambda item: item["sk"])


@pytest.mark.parametrize("at_once", [1_000, 7])
def test_reading_many_gives_each_once(client: Any, at_once: int) -> None:
    with new_table(client) as name:
        filled(client, name)
        stingy, pauses = StingyClient(client, at_once), list[float]()
        table = DynamoTable(stingy, name, Tiers(), sleep=pauses.append)
        keys = KEYS[:40] if at_once < 100 else KEYS
        assert by_key(table.get_many(keys)) == ITEMS[: len(keys)]
        assert max(stingy.requests) <= 100
        assert bool(pauses) == (at_once < 100)


@pytest.mark.parametrize("at_once", [1_000, 7])
def test_deleting_many_deletes_each(client: Any, at_once: int) -> None:
    with new_table(client) as name:
        kept = filled(client, name)
        stingy, pauses = StingyClient(client, at_once), list[float]()
        DynamoTable(stingy, name, Tiers(), sleep=pauses.append).delete_many(KEYS[:-1])
        assert list(kept.query("SESSION#x")) == ITEMS[-1:]
        assert max(stingy.requests) <= 25
        assert bool(pauses) == (at_once < 25)


def test_pauses_grow_and_end_in_throttled(client: Any) -> None:
    with new_table(client) as name:
        filled(client, name)
        pauses = list[float]()
        stuck = DynamoTable(StingyClient(client, 0), name, Tiers(), sleep=pauses.append)
        with pytest.raises(Throttled):
            stuck.delete_many(KEYS[:5])
        assert len(pauses) == 6
        assert all(0 <= pause <= 0.05 * 2**attempt for attempt, pause in enumerate(pauses))


def test_what_is_not_asked_for_does_not_cross_the_wire(client: Any) -> None:
    """Not in the rounds that fetch what the first one has left over either."""
    with new_table(client) as name:
        items = [{**key._asdict(), "n": 1, "fat": "x" * 250_000} for key in KEYS[:10]]
        for item in items:
            DynamoTable(client, name, Tiers()).transact([Put(item)])
        own, sizes = client_of(client.meta.endpoint_url), list[int]()
        own.meta.events.register(
            "after-call.dynamodb.BatchGetItem", lambda http_response, **_: sizes.append(len(http_response.content))
        )
        table = DynamoTable(StingyClient(own, 4), name, Tiers(), sleep=lambda _: None)
        assert by_key(table.get_many(KEYS[:10], only=["n"])) == [{**key._asdict(), "n": 1} for key in KEYS[:10]]
        assert len(sizes) == 3
        assert max(sizes) < 2_000


def test_a_range_reads_no_more_than_is_asked_for(client: Any) -> None:
    """Neither beyond the limit nor, without one, beyond the page from which the reader takes its last item."""
    with new_table(client) as name:
        for key in KEYS[:12]:
            DynamoTable(client, name, Tiers()).transact([Put({**key._asdict(), "fat": "x" * 300_000})])
        own, read = client_of(client.meta.endpoint_url), list[int]()
        own.meta.events.register("after-call.dynamodb.Query", lambda parsed, **_: read.append(parsed["Count"]))
        table = DynamoTable(own, name, Tiers())
        assert len([*table.query_between("SESSION#x", KEYS[0].sk, KEYS[-1].sk, newest_first=True, limit=2)]) == 2
        assert read == [2]
        read.clear()
        assert len([*table.query_between("SESSION#x", KEYS[0].sk, KEYS[-1].sk, limit=8)]) == 8
        assert sum(read) == 8
        assert len(read) > 1
        read.clear()
        lazily = iter(table.query_between("SESSION#x", KEYS[0].sk, KEYS[-1].sk))
        assert read == []
        assert next(lazily)["sk"] == KEYS[0].sk
        assert len(read) == 1
