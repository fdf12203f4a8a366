"""A completed order on the deployed system: stream, EventBridge, function, and one deal in the portal."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from local.bitrix24 import Portal, running
from local.endpoints import Endpoints
from local.stack import Stack
from tests.support.client import Caller


@pytest.fixture
def portal(stack: Stack) -> Iterator[Portal]:
    """A portal whose webhook is in the secret of the stack."""
    with running(Portal()) as portal:
        secret = stack.deployed().outputs["WebhookSecret"]
        text = f'{{"webhook": "{portal.webhook}"}}'
        stack.clients.secretsmanager.put_secret_value(SecretId=secret, SecretString=text)
        yield portal
        stack.clients.secretsmanager.put_secret_value(SecretId=secret, SecretString="{}")


def test_an_order_becomes_a_deal(admin: Caller, stack: Stack, endpoints: Endpoints, portal: Portal) -> None:
    body = {"kind": "checkout", "amount": 4_900, "currency": "EUR", "products": [{"title": "Kettle"}]}
    session_id = admin.post("/sessions", body).ok(201)["session"]["id"]
    for status in ("processing", "completed"):
        admin("PATCH", f"/sessions/{session_id}", {"status": status}).ok()
    item = told(stack, endpoints.table, session_id)
    (deal,) = portal.deals
    assert (deal["ORIGIN_ID"], deal["OPPORTUNITY"], deal["COMMENTS"]) == (session_id, "49.00", "Kettle")
    assert item["dealId"]["S"] == deal["ID"]
    assert "order" not in item


def told(stack: Stack, table: str, session_id: str) -> dict[str, Any]:
    """Return the order's item in the outbox when it has a deal; waits until then."""
    key = {"pk": {"S": f"OUTBOX#{session_id}"}, "sk": {"S": "ORDER"}}
    for _ in range(600):
        item: dict[str, Any] = stack.clients.dynamodb.get_item(TableName=table, Key=key).get("Item", {})
        if "dealId" in item:
            return item
        time.sleep(0.1)
    raise AssertionError("no deal came")
