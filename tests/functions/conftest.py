"""Fixtures: a clock that stands still, a service on a table in memory, and what it writes to its log."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.functions.service import Service
from tests.support.fakes import FakeClock
from tests.support.tables import new_table


@dataclass
class Output:
    """What the service has written since one looked last: lines of JSON, logs and EMF records."""

    capsys: pytest.CaptureFixture[str]

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.capsys.readouterr().out.splitlines()]

    def logs(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if "_aws" not in line]

    def metrics(self) -> dict[str, list[float]]:
        """Return the values of each metric, in their order."""
        found: dict[str, list[float]] = {}
        for line in self.lines():
            for definition in line.get("_aws", {}).get("CloudWatchMetrics", ()):
                for metric in definition["Metrics"]:
                    found.setdefault(metric["Name"], []).extend(line[metric["Name"]])
        return found


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Output:
    """What Powertools reads from the environment, and the standard output that it writes to."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "tessera-test")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Tessera")
    return Output(capsys)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def service(output: Output, clock: FakeClock) -> Service:  # noqa: ARG001 - its loggers write there
    return Service(clock)


@pytest.fixture(scope="module")
def client(dynoxide: str) -> Any:
    """A client of a real DynamoDB, for the records of Powertools, which knows no table in memory."""
    return boto3.client(
        "dynamodb",
        endpoint_url=dynoxide,
        region_name="eu-central-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def records(client: Any) -> Iterator[str]:
    """The name of an empty table for them."""
    with new_table(client) as name:
        yield name
