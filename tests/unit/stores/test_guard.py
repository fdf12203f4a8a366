"""What stands before a client: nothing while it works, from its first outage on a breaker of the container's."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from local.paths import OUR_LAYER
from tessera.container import OPEN_SECONDS, OUTAGES, own_breaker
from tessera.errors import CircuitOpen, Stale, TesseraError, Throttled, Unavailable
from tessera.stores.dynamodb import DynamoTable
from tessera.stores.guard import Guard
from tessera.stores.s3 import S3Bucket
from tessera.stores.table import Key
from tessera.stores.tiers import L2, L3, Tiers
from tests.support.fakes import FakeClock

KEY = Key("SESSION#a", "CORE")
BEFORE_IT_OPENS = 1 + OUTAGES


class Client:
    """A client of AWS that is down or says what it is told to say; counts who asks."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: Exception | None = ReadTimeoutError(endpoint_url="https://aws")

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**_: Any) -> Any:
            self.calls += 1
            if self.error:
                raise self.error
            return {"Contents": []}

        return call


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def guard(clock: FakeClock) -> Guard:
    return Guard(lambda: own_breaker("aws", clock, lambda *_: None))


def ask(store: DynamoTable | S3Bucket) -> type[TesseraError] | None:
    """Read something; return what went wrong."""
    try:
        store.get(KEY) if isinstance(store, DynamoTable) else list(store.keys("archive/"))
    except TesseraError as error:
        return type(error)
    return None


@pytest.fixture(params=["table", "bucket"])
def store(request: pytest.FixtureRequest, guard: Guard) -> tuple[DynamoTable | S3Bucket, Client, Tiers]:
    client, tiers = Client(), Tiers()
    made = DynamoTable if request.param == "table" else S3Bucket
    return made(client, "name", tiers, guard=guard), client, tiers


def test_an_outage_costs_its_time_outs_a_few_times_only(
    store: tuple[DynamoTable | S3Bucket, Client, Tiers], clock: FakeClock
) -> None:
    stored, client, _ = store
    answers = [ask(stored) for _ in range(BEFORE_IT_OPENS + 20)]
    assert answers == [Unavailable] * BEFORE_IT_OPENS + [CircuitOpen] * 20
    assert client.calls == BEFORE_IT_OPENS
    client.error = None
    clock.forward(OPEN_SECONDS)
    assert [ask(stored) for _ in range(3)] == [None] * 3


def test_what_was_not_asked_is_named_all_the_same(
    store: tuple[DynamoTable | S3Bucket, Client, Tiers],
) -> None:
    stored, _, tiers = store
    while ask(stored) is not CircuitOpen:
        tiers.reset()
    assert list(tiers.spent) == [L2 if isinstance(stored, DynamoTable) else L3]


def test_every_other_second_call_keeps_it_closed(store: tuple[DynamoTable | S3Bucket, Client, Tiers]) -> None:
    stored, client, _ = store
    down = client.error
    for place in range(40):
        client.error = down if place % 2 else None
        assert ask(stored) is (Unavailable if place % 2 else None)


@pytest.mark.parametrize(
    ("code", "meaning"), [("ThrottlingException", Throttled), ("ConditionalCheckFailedException", Stale)]
)
def test_a_busy_table_and_a_lost_race_are_no_outage(guard: Guard, code: str, meaning: type[TesseraError]) -> None:
    client = Client()
    table = DynamoTable(client, "name", Tiers(), guard=guard)
    ask(table)  # from here on the breaker looks
    client.error = ClientError({"Error": {"Code": code, "Message": ""}}, "GetItem")
    assert [ask(table) for _ in range(20)] == [meaning] * 20


def test_two_stores_fail_each_by_itself(clock: FakeClock) -> None:
    down, up = Client(), Client()
    up.error = None
    table, bucket = (
        made(
            client,
            "name",
            Tiers(),
            guard=Guard(lambda name=made.__name__: own_breaker(name, clock, lambda *_: None)),
        )
        for made, client in ((DynamoTable, down), (S3Bucket, up))
    )
    while ask(table) is not CircuitOpen:
        pass
    assert ask(bucket) is None


def test_a_container_that_saw_no_outage_has_not_loaded_the_breaker() -> None:
    """It would cost every cold start: Powertools' brings boto3 along."""
    program = (
        "import sys, tessera.container, tessera.stores.dynamodb, tessera.stores.s3;"
        "print({'boto3', 'aws_lambda_powertools.utilities.circuit_breaker'} & {*sys.modules})"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(OUR_LAYER)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stdout == "set()\n"
