"""Checkouts, offers and forms on the deployed system: double taps, lost answers, and the end of a draft."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest

from local.invoke import Function, Runtime
from local.stack import Stack
from tests.support.client import Caller, Opened, opened

ORDER = {"sessionId": "me", "products": [{"productId": "p-7"}], "amount": 3998, "currency": "EUR"}
OFFERS = [{"offerId": "warranty", "amount": 990}, {"offerId": "wrap", "amount": 250}]


@pytest.fixture
def buyer(anyone: Caller, admin: Caller) -> Opened:
    made = opened(anyone, kind="checkout", email="ada@example.org")
    admin.patch(f"/sessions/{made.id}", {"upsells": {"offers": OFFERS}}).ok()
    return made


def charges(table: Any, transaction: str) -> list[Any]:
    """Return what the sandbox has charged under this transaction."""
    return [item for item in table.all() if item.get("transactionId") == {"S": transaction} and "paid" in item]


def taps(call: Any, times: int) -> list[Any]:
    """Tap at once; who hears nothing, on a busy machine, taps again, as customers do."""

    def tap(_: int) -> Any:
        for _ in range(5):
            with suppress(httpx.TimeoutException):
                return call().ok()
        raise AssertionError("no answer")

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(tap, range(times)))


def test_twenty_taps_are_one_charge(buyer: Opened, table: Any) -> None:
    """Without any Idempotency-Key: twenty on the checkout, then five on an offer."""
    paid = taps(lambda: buyer.holder.post("/checkout/process", ORDER | {"paymentToken": "tok_visa"}), 20)
    assert {session["status"] for session in paid} <= {"processing", "completed"}
    session = buyer.holder.get("/sessions/me").ok()
    assert (session["status"], session["currentStep"]) == ("completed", "upsell-1")
    assert len(charges(table, session["transactionId"])) == 1
    decision = {"sessionId": "me", "offerId": "warranty", "decision": "accepted"}
    taps(lambda: buyer.holder.post("/upsell/process", decision), 5)
    session = buyer.holder.post("/upsell/process", decision | {"offerId": "wrap", "decision": "declined"}).ok()
    assert (session["currentStep"], session["upsells"]["accepted"]) == ("success", ["warranty"])
    events = [item["name"]["S"] for sk, item in sorted(table.of(buyer.id).items()) if sk.startswith("STEP#")]
    assert events == [
        *["checkout_begun", "checkout_completed"],
        *["upsell_begun", "upsell_accepted", "upsell_declined"],
    ]


def test_what_nobody_has_heard_of_is_finished(buyer: Opened, stack: Stack, table: Any) -> None:
    """The sandbox has charged and its answer got lost; a minute later the schedule comes, here at once."""
    waiting = buyer.holder.post("/checkout/process", ORDER | {"paymentToken": "tok_timeout"}).ok()
    assert (waiting["status"], waiting["transactionId"]) == ("processing", None)
    key = {"pk": {"S": f"CHARGE#{buyer.id}"}, "sk": {"S": "CHECKOUT"}}
    moved = {":due": {"N": str(int(waiting_since(table, key)) - 60_000)}}
    table.client.update_item(
        TableName=table.name,
        Key=key,
        UpdateExpression="SET expiresAt = :due",
        ExpressionAttributeValues=moved,
    )
    function = Function.built("flows/reconcile", stack.build)
    with Runtime(function, stack.variables(function.code.name)) as runtime:
        result = runtime.invoke({})
    assert not result.failed, result.logs
    assert result.payload["settled"] >= 1
    assert buyer.holder.get("/sessions/me").ok()["status"] == "completed"
    assert "tok_timeout" not in str(table.all())


def waiting_since(table: Any, key: Any) -> str:
    return table.client.get_item(TableName=table.name, Key=key, ConsistentRead=True)["Item"]["expiresAt"]["N"]


def test_a_declined_card_and_an_illegal_move(anyone: Caller) -> None:
    buyer = opened(anyone, kind="checkout")
    assert buyer.holder.post("/sessions/me/advance", {"to": "success"}).json["allowed"] == ["processing"]
    paid = ORDER | {"paymentToken": "tok_declined"}
    assert buyer.holder.post("/checkout/process", paid).ok()["status"] == "failed"
    assert buyer.holder.post("/checkout/process", paid | {"amount": 1}).problem == "other-checkout"


def test_a_form_from_its_first_step_to_its_result(anyone: Caller) -> None:
    form = opened(anyone, kind="form", data={"draft": {"name": "Engine"}})
    refused = form.holder.post("/sessions/me/finish", {})
    assert (refused.problem, refused.json["steps"]) == ("demands-unmet", [1, 2, 3, 4])
    for step in (2, 3, 4):
        form.holder.post("/sessions/me/advance", {"to": step}).ok()
    finished = taps(lambda: form.holder.post("/sessions/me/finish", {}), 3)
    assert {tuple(session["completedSteps"]) for session in finished} == {(1, 2, 3, 4)}
    data = form.holder.get("/sessions/me?include=data").ok()["data"]
    assert (data.keys(), data["result"]["data"]) == ({"result"}, {"draft": {"name": "Engine"}})
