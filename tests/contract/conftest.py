"""A table on every engine: in memory, on MiniStack, on dynoxide. A bucket in memory and on MiniStack."""

from collections.abc import Callable, Generator, Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from tessera.stores.bucket import Bucket, MemoryBucket
from tessera.stores.counters import Counters
from tessera.stores.dynamodb import DynamoTable
from tessera.stores.expiry import Expiry
from tessera.stores.memory import MemoryTable
from tessera.stores.s3 import S3Bucket
from tessera.stores.sessions import Sessions
from tessera.stores.table import Table
from tessera.stores.tiers import Tiers
from tests.support.chats import House
from tests.support.fakes import FakeClock
from tests.support.shop import Till
from tests.support.tables import new_table

SHARDS = 4


def client_of(url: str, service: str = "dynamodb") -> Any:
    """Return a client that repeats nothing, so that no test passes at the second try.

    Like that of the functions it leaves it to the service to judge the parameters.
    """
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="eu-central-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=60, parameter_validation=False),
    )


@pytest.fixture(scope="session")
def dynoxide_client(dynoxide: str) -> Any:
    return client_of(dynoxide)


@pytest.fixture(scope="session")
def ministack_client(ministack: str) -> Any:
    return client_of(ministack)


@pytest.fixture(scope="session")
def s3_client(ministack: str) -> Any:
    return client_of(ministack, "s3")


@pytest.fixture(params=["ministack", "dynoxide"])
def client(request: pytest.FixtureRequest) -> Any:
    """A DynamoDB client of each engine."""
    return request.getfixturevalue(f"{request.param}_client")


@pytest.fixture(params=["memory", "ministack", "dynoxide"])
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    """An empty table on each engine."""
    yield from _table(request, request.param)


@pytest.fixture(params=["memory", "dynoxide"])
def fast_table(request: pytest.FixtureRequest) -> Iterator[Table]:
    """An empty table where thousands of calls take no time."""
    yield from _table(request, request.param)


def _table(request: pytest.FixtureRequest, engine: str) -> Generator[Table]:
    if engine == "memory":
        yield MemoryTable()
        return
    client = request.getfixturevalue(f"{engine}_client")
    with new_table(client) as name:
        yield DynamoTable(client, name, Tiers(), sleep=lambda _: None)


@pytest.fixture
def new_bucket(s3_client: Any) -> str:
    """The name of an empty bucket in S3."""
    name = f"tessera-{uuid4().hex}"
    s3_client.create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": s3_client.meta.region_name}
    )
    return name


@pytest.fixture(params=["memory", "s3"])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    """An empty bucket in memory, and in MiniStack's S3."""
    if request.param == "memory":
        return MemoryBucket()
    return S3Bucket(request.getfixturevalue("s3_client"), request.getfixturevalue("new_bucket"), Tiers())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sessions(table: Table, clock: FakeClock) -> Sessions:
    return Sessions(table, clock, SHARDS)


@pytest.fixture
def expiry(table: Table) -> Expiry:
    return Expiry(table, SHARDS)


@pytest.fixture
def counters(table: Table) -> Counters:
    return Counters(table)


@pytest.fixture
def everything(table: Table) -> Callable[..., set[tuple[str, str]]]:
    """What is stored in these partitions, as (pk, sk)."""

    def keys(*partitions: str) -> set[tuple[str, str]]:
        return {(item["pk"], item["sk"]) for pk in partitions for item in table.query(pk, keys_only=True)}

    return keys


@pytest.fixture
def till(table: Table, clock: FakeClock) -> Till:
    return Till(table, clock)


@pytest.fixture
def quick(clock: FakeClock) -> Till:
    return Till(MemoryTable(), clock)


@pytest.fixture
def house(table: Table, clock: FakeClock) -> House:
    return House(table, MemoryBucket(), clock)


@pytest.fixture
def fast_house(fast_table: Table, clock: FakeClock) -> House:
    return House(fast_table, MemoryBucket(), clock)
