"""Carts, views and events on the deployed system, up to the facts in the bucket."""

import gzip
import json
import time
from typing import Any
from uuid import uuid4

from local.stack import Stack
from tests.support.client import Caller, opened


def told(stack: Stack, bucket: str, **like: Any) -> dict[str, Any]:
    """Return the fact with these fields, which may be told twice; waits until it is there."""
    for _ in range(600):
        found = [fact for fact in facts(stack, bucket) if fact.items() >= like.items()]
        if found:
            assert all(fact == found[0] for fact in found)
            return found[0]
        time.sleep(0.1)
    raise AssertionError(f"nothing like {like} came")


def facts(stack: Stack, bucket: str) -> list[dict[str, Any]]:
    s3 = stack.clients.s3
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="facts/")
    keys = [item.get("Key", "") for page in pages for item in page.get("Contents", [])]
    bodies = [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]
    texts = [gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body for body in bodies]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def test_a_cart_from_its_name_to_the_facts(anyone: Caller, stack: Stack, bucket: str) -> None:
    session, cart = opened(anyone, kind="checkout"), f"cart-{uuid4()}"
    named = session.holder("PUT", "/sessions/me/cart", {"cartId": cart}).ok()
    assert (named["cartId"], named["version"]) == (cart, 2)
    added = {"action": "item_added", "details": {"productId": "p-7"}}
    recorded = session.holder.post("/sessions/me/cart/actions", {"actions": [added]}).ok(201)["actions"]
    views = session.holder.post("/sessions/me/views", {"views": [{"productId": f"p-{n}"} for n in range(12)]}).ok()
    read = session.holder.get("/sessions/me?include=data,activity").ok()
    assert read["data"] == {}
    assert read["activity"]["views"] == views["views"]
    assert [view["productId"] for view in views["views"]] == [f"p-{n}" for n in range(11, 1, -1)]
    assert read["activity"]["cartActions"][0] == recorded[0]
    assert [action["action"] for action in read["activity"]["cartActions"]] == ["item_added", "cart_initialized"]
    fact = told(stack, bucket, fact="cart", name="item_added", cart=cart)
    assert (fact["id"], json.loads(fact["details"])) == (recorded[0]["id"], added["details"])
    assert session.id not in json.dumps(facts(stack, bucket))


def test_events_are_facts_of_the_session_that_sends_them(anyone: Caller, stack: Stack, bucket: str) -> None:
    session, cart = opened(anyone, kind="checkout"), f"cart-{uuid4()}"
    session.holder("PUT", "/sessions/me/cart", {"cartId": cart}).ok()
    event = {
        "id": str(uuid4()),
        "name": "checkout_completed",
        "type": "standard",
        "clientId": "client-1",
        "timestamp": "2026-11-20T10:00:00.000Z",
        "context": {},
        "data": {"checkout": {"email": "ada@example.org", "totalPrice": {"amount": 42.5, "currencyCode": "EUR"}}},
    }
    wrong = event | {"name": "cart_burnt"}
    assert session.holder.post("/events", {"events": [event, wrong]}).problem == "invalid"
    assert session.holder.post("/events", {"events": [event]}).ok(202) == {"accepted": 1}
    fact = told(stack, bucket, fact="event", name="checkout_completed", cart=cart)
    assert json.loads(fact["details"])["data"]["checkout"]["totalPrice"] == {"amount": 42.5, "currencyCode": "EUR"}
    assert "ada@example.org" not in json.dumps(fact)
