"""From what a shopper says and does to the insights, over HTTP: archive, compaction, delivery stream, Athena."""

import json
from typing import Any
from uuid import uuid4

from local.stack import Stack
from tessera.model.clock import rfc3339, system_clock
from tests.deployed.test_sessions import eventually
from tests.support.client import Caller, opened
from tests.support.pixels import event

MANY = 6
"""Messages that are archived at once."""


def word() -> str:
    """Return a word that nobody has said: no vowels, no digits, so that it has no endings and is no number."""
    return uuid4().hex.translate(str.maketrans("0123456789abcdef", "bcdfghjklmpqrvwx"))[:12] + "z"


def compacted(stack: Stack) -> int:
    """Run the compaction; return how many messages it added."""
    name = stack.deployed().resources["LifecycleCompactFunction"]
    answer = stack.clients.functions.invoke(FunctionName=f"{name}:live", Payload=b"{}")
    done = json.loads(answer["Payload"].read())
    assert done["done"], done
    return done["rows"]


def happened(name: str) -> dict[str, Any]:
    """Return a Web Pixel event of this moment."""
    return event(name, id=f"sh-{uuid4()}", timestamp=rfc3339(system_clock()))


def insight(admin: Caller, name: str) -> list[dict[str, Any]]:
    return admin.get(f"/insights/{name}").ok()["rows"]


def test_questions_of_shoppers_are_counted_by_their_matter(anyone: Caller, admin: Caller, stack: Stack) -> None:
    matter = word()
    wordings = [f"Gibt es {matter} noch?", f"gibt es denn {matter.upper()}", f"{matter}!"]
    for wording in wordings:
        session = opened(anyone, kind="chat")
        messages = [{"role": "user" if n == 0 else "assistant", "content": wording} for n in range(MANY)]
        session.holder.post("/sessions/me/messages", {"messages": messages}).ok(201)

    def asked() -> list[dict[str, Any]]:
        compacted(stack)
        return [row for row in insight(admin, "questions") if matter in row["question"] and row["asked"] == 3]

    (row,) = eventually(asked, 60)
    assert (row["example"], row["sessions"]) == (f"{matter}!", 3)
    lengths = insight(admin, "messages_per_conversation")
    assert sum(row["conversations"] for row in lengths) >= 3
    assert all(isinstance(row["average"], float) for row in lengths)
    compacted(stack)
    again = [row["asked"] for row in insight(admin, "questions") if matter in row["question"]]
    assert again == [3], "nothing is counted twice"


def test_a_cart_is_abandoned_until_something_is_bought(anyone: Caller, admin: Caller) -> None:
    session, cart = opened(anyone, kind="checkout"), f"cart-{uuid4()}"
    session.holder("PUT", "/sessions/me/cart", {"cartId": cart}).ok()
    action = {"action": "item_added", "details": {"productId": "p-1"}}
    session.holder.post("/sessions/me/cart/actions", {"actions": [action]}).ok(201)

    def abandoned() -> dict[str, Any] | None:
        rows = {row["cart"]: row for row in insight(admin, "abandoned_carts")}
        return rows[cart] if rows.get(cart, {"added": 0})["added"] else None

    row = eventually(abandoned, 60)
    assert (row["age_days"], row["added"], row["checkout_started"]) == (0, 1, False)
    today = insight(admin, "conversion")[-1]
    assert today["carts"] >= 1
    assert session.id not in json.dumps(insight(admin, "abandoned_carts"))
    session.holder.post("/events", {"events": [happened("checkout_started")]}).ok(202)
    eventually(lambda: (abandoned() or {})["checkout_started"], 60)
    session.holder.post("/events", {"events": [happened("checkout_completed")]}).ok(202)
    eventually(lambda: abandoned() is None, 60)
    kinds = {row["kind"] for row in insight(admin, "sessions_per_day")}
    assert "checkout" in kinds


def test_insights_are_for_services(anyone: Caller, admin: Caller) -> None:
    assert anyone.get("/insights/questions").problem == "token-missing"
    assert opened(anyone).holder.get("/insights/questions").problem == "scope-missing"
    assert admin.get("/insights/none").problem == "insight-not-found"
    assert admin.get("/insights/questions?from=tomorrow").problem == "invalid"
