"""Who calls the deployed system, and its table as an operator sees it."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.endpoints import Endpoints
from local.stack import Stack
from tests.support.client import Caller


@pytest.fixture(scope="session")
def endpoints(stack: Stack) -> Endpoints:
    return Endpoints.read(stack.endpoints_file)


@pytest.fixture(scope="session")
def anyone(endpoints: Endpoints) -> Iterator[Caller]:
    """Somebody without a token."""
    limits = httpx.Limits(max_connections=64)
    with httpx.Client(limits=limits) as http:
        yield Caller(endpoints.http, http)


@pytest.fixture(scope="session")
def admin(anyone: Caller, endpoints: Endpoints) -> Caller:
    """A service with the scope admin."""
    return anyone.having(endpoints.admin_token)


@pytest.fixture(scope="session")
def table(stack: Stack, endpoints: Endpoints) -> Any:
    """The table as an operator sees it: every item, whatever the service says of it."""
    return Items(stack.clients.dynamodb, endpoints.table)


@pytest.fixture(scope="session")
def bucket(stack: Stack) -> str:
    """The bucket that Firehose delivers to."""
    names = [found.get("Name", "") for found in stack.clients.s3.list_buckets()["Buckets"]]
    (name,) = [name for name in names if "analytics" in name]
    return name


class Items:
    """The items of the table, in DynamoDB's own JSON."""

    def __init__(self, client: Any, name: str) -> None:
        self.client, self.name = client, name

    def of(self, session_id: str) -> dict[str, Any]:
        """The items of a session by their sort keys."""
        answer = self.client.query(
            TableName=self.name,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"SESSION#{session_id}"}},
            ConsistentRead=True,
        )
        return {item["sk"]["S"]: item for item in answer["Items"]}

    def all(self) -> list[dict[str, Any]]:
        """Every item there is."""
        pages = self.client.get_paginator("scan").paginate(TableName=self.name, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]
