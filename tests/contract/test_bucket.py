"""The contract of a bucket: bodies are written whole and once where that is asked, and read in order."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessera.errors import Contended, Misconfigured
from tessera.stores.bucket import Bucket, MemoryBucket
from tessera.stores.s3 import AHEAD, S3Bucket
from tessera.stores.tiers import L3, Tiers

KEY = "archive/ses_x/cnv_x/0000000001-0000000100.jsonl.gz"


def numbered(count: int) -> list[str]:
    return [f"archive/{number:05d}" for number in range(count)]


class CountingClient:
    """An S3 client that counts its calls."""

    def __init__(self, client: Any) -> None:
        self._client, self._lock = client, Lock()
        self.calls: list[str] = []

    def __getattr__(self, operation: str) -> Any:
        with self._lock:
            self.calls.append(operation)
        return getattr(self._client, operation)


# --- one key -----------------------------------------------------------------------------------------


def test_there_is_nothing_at_first(bucket: Bucket) -> None:
    assert bucket.get(KEY) is None
    assert list(bucket.get_many([KEY])) == [None]
    assert list(bucket.get_many([])) == []
    assert list(bucket.keys("")) == []


@pytest.mark.parametrize("body", [b"", b"x", bytes(range(256)) * 5_000], ids=["empty", "short", "long"])
@pytest.mark.parametrize("key", [KEY, "overflow/ses_x/a b+c=d&e%20f~é\N{GRINNING FACE}"])
def test_what_was_written_is_read(bucket: Bucket, key: str, body: bytes) -> None:
    bucket.put(key, body)
    assert bucket.get(key) == body
    assert list(bucket.keys(key)) == [key]


def test_writing_again_replaces(bucket: Bucket) -> None:
    bucket.put(KEY, b"first")
    bucket.put(KEY, b"second")
    assert bucket.get(KEY) == b"second"


def test_a_new_body_replaces_nothing_not_even_itself(bucket: Bucket) -> None:
    assert bucket.put_new(KEY, b"first")
    assert not bucket.put_new(KEY, b"second")
    assert not bucket.put_new(KEY, b"first")
    assert bucket.get(KEY) == b"first"
    bucket.delete_many([KEY])
    assert bucket.put_new(KEY, b"third")
    assert bucket.get(KEY) == b"third"


def test_of_many_writers_at_once_one_wins(bucket: Bucket) -> None:
    """The others know that they did not, or that they must ask again."""
    start = Barrier(10)

    def write(number: int) -> bool | None:
        start.wait()
        try:
            return bucket.put_new(KEY, f"writer {number}".encode())
        except Contended:
            return None

    with ThreadPoolExecutor(10) as pool:
        won = list(pool.map(write, range(10)))
    assert won.count(True) == 1
    assert bucket.get(KEY) == f"writer {won.index(True)}".encode()


# --- many keys ---------------------------------------------------------------------------------------


def test_many_are_read_in_the_order_of_the_keys_and_what_is_missing_is_none(bucket: Bucket) -> None:
    keys = numbered(90)
    for key in keys[::2]:
        bucket.put(key, key.encode())
    wanted = [*reversed(keys), keys[0], keys[0]]
    expected = [key.encode() if key in keys[::2] else None for key in wanted]
    assert list(bucket.get_many(wanted)) == expected


def test_who_reads_many_may_stop_early(bucket: Bucket) -> None:
    keys = numbered(50)
    for key in keys:
        bucket.put(key, key.encode())
    found = bucket.get_many(keys)
    assert next(found) == keys[0].encode()
    del found
    assert bucket.get(keys[1]) == keys[1].encode()


def test_keys_are_listed_by_prefix_and_in_order(bucket: Bucket) -> None:
    keys = ["a/2", "a/10", "a/1", "a/é", "a/\N{GRINNING FACE}", "a/\N{FULLWIDTH LATIN SMALL LETTER A}", "a", "b/1"]
    for key in keys:
        bucket.put(key, b"")
    assert list(bucket.keys("a/")) == sorted(keys[:6], key=str.encode)
    assert list(bucket.keys("a")) == sorted(keys[:7], key=str.encode)
    assert list(bucket.keys("c")) == []


def test_many_are_deleted_whether_they_are_there_or_not(bucket: Bucket) -> None:
    keys = numbered(20)
    for key in keys:
        bucket.put(key, b"x")
    bucket.delete_many([*keys[:10], "archive/missing", *keys[12:]])
    assert list(bucket.keys("")) == keys[10:12]
    bucket.delete_many([])
    bucket.delete_many(bucket.keys("archive/"))
    assert list(bucket.keys("")) == []


def test_more_than_a_request_holds_is_listed_and_deleted(bucket: Bucket) -> None:
    """S3 lists and deletes 1,000 at once."""
    keys = numbered(1_203)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: bucket.put(key, b""), keys))
    assert list(bucket.keys("archive/")) == keys
    bucket.delete_many(bucket.keys("archive/"))
    assert list(bucket.keys("")) == []


# --- the same in S3 and in memory --------------------------------------------------------------------

_keys = st.text("ab/é+ %", min_size=1, max_size=3)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(_keys, st.binary(max_size=8), st.booleans()), max_size=12), st.text("ab/é", max_size=2))
def test_s3_does_what_memory_does(
    s3_client: Any, new_bucket: str, writes: list[tuple[str, bytes, bool]], prefix: str
) -> None:
    def seen(bucket: Bucket) -> Iterator[Any]:
        for key, body, new in writes:
            yield bucket.put_new(key, body) if new else bucket.put(key, body)
        listed = list(bucket.keys(prefix))
        yield listed
        yield list(bucket.get_many([key for key, _, _ in writes]))
        bucket.delete_many(listed)
        yield list(bucket.keys(""))
        bucket.delete_many(bucket.keys(""))

    assert list(seen(S3Bucket(s3_client, new_bucket, Tiers()))) == list(seen(MemoryBucket()))


# --- S3 alone ----------------------------------------------------------------------------------------


def test_reading_many_asks_for_a_bounded_number_ahead(s3_client: Any, new_bucket: str) -> None:
    """So that a long archive never lies in memory whole, and who stops early pays for little."""
    keys = numbered(100)
    client = CountingClient(s3_client)
    bucket = S3Bucket(client, new_bucket, Tiers())
    bodies = bucket.get_many(keys)
    assert client.calls == []
    next(bodies)
    assert len(client.calls) <= AHEAD
    for _ in range(9):
        next(bodies)
    assert len(client.calls) <= AHEAD + 9
    del bodies
    assert len(client.calls) <= AHEAD + 9


def test_keys_are_listed_as_they_are_taken(s3_client: Any, new_bucket: str) -> None:
    client = CountingClient(s3_client)
    bucket = S3Bucket(client, new_bucket, Tiers())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: bucket.put(key, b""), numbered(1_001)))
    client.calls.clear()
    keys = iter(bucket.keys("archive/"))
    assert client.calls == []
    assert [next(keys) for _ in range(1_000)] == numbered(1_000)
    assert len(client.calls) == 1
    assert list(keys) == numbered(1_001)[1_000:]
    assert len(client.calls) == 2


def test_every_verb_counts_its_time_to_the_tier(s3_client: Any, new_bucket: str) -> None:
    tiers = Tiers()
    bucket = S3Bucket(s3_client, new_bucket, tiers)
    spent = list[float]()
    for verb in (
        lambda: bucket.put(KEY, b"x"),
        lambda: bucket.put_new(KEY, b"y"),
        lambda: bucket.get(KEY),
        lambda: list(bucket.get_many([KEY, "missing"])),
        lambda: list(bucket.keys("")),
        lambda: bucket.delete_many([KEY]),
    ):
        verb()
        spent.append(tiers.spent[L3])
    assert spent == sorted(set(spent))
    assert set(tiers.spent) == {L3}


def test_a_missing_bucket_is_no_missing_key(s3_client: Any) -> None:
    bucket = S3Bucket(s3_client, "tessera-nowhere", Tiers())
    with pytest.raises(Misconfigured, match="NoSuchBucket"):
        bucket.get(KEY)
    with pytest.raises(Misconfigured, match="NoSuchBucket"):
        list(bucket.get_many([KEY]))
