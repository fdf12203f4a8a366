"""Experiments on the deployed system: one variation for each session, seen once, up to what came of it."""

import json
from collections import Counter
from typing import Any

from local.deploy import PARAMETERS
from local.stack import Stack
from tessera.model.experiments import Experiment, experiments, variation
from tests.deployed.test_activity import facts
from tests.deployed.test_flows import ORDER, taps
from tests.deployed.test_sessions import eventually
from tests.support.client import Caller, Opened, opened

PATH = "/sessions/me/experiments/button"


def declared() -> Experiment:
    """Return the experiment that a local system has."""
    return experiments(json.loads(PARAMETERS["Experiments"]))["button"]


def seen(session: Opened) -> str:
    answer = session.holder.post(PATH).ok()
    assert answer["experiment"] == "button"
    return answer["variation"]


def test_twenty_tabs_at_once_see_what_the_hash_says_and_are_seen_once(anyone: Caller, table: Any) -> None:
    session = opened(anyone, kind="form")
    answers = taps(lambda: session.holder.post(PATH), 20)
    assert {answer["variation"] for answer in answers} == {variation("button", declared(), session.id)}
    recorded = {sk: item for sk, item in table.of(session.id).items() if sk.startswith("EXPOSURE#")}
    assert [*recorded] == ["EXPOSURE#button"]
    assert seen(session) == answers[0]["variation"]
    assert table.of(session.id)["EXPOSURE#button"] == recorded["EXPOSURE#button"]


def test_what_was_seen_once_is_kept_to_whatever_the_hash_says_now(anyone: Caller, table: Any) -> None:
    """As it is when weights change: the record decides. Nobody else's changes by that."""
    session, other = opened(anyone), opened(anyone)
    first, others = seen(session), seen(other)
    (kept,) = {*declared().variations} - {first}
    table.client.update_item(
        TableName=table.name,
        Key={"pk": {"S": f"SESSION#{session.id}"}, "sk": {"S": "EXPOSURE#button"}},
        UpdateExpression="SET variation = :kept",
        ExpressionAttributeValues={":kept": {"S": kept}},
    )
    assert (seen(session), seen(other)) == (kept, others)


def test_what_came_of_it_reaches_the_insight(anyone: Caller, admin: Caller, stack: Stack, bucket: str) -> None:
    """Who takes part counts, and who buys afterwards; each once, under a pseudonym."""

    def rows_told() -> list[dict[str, Any]]:
        """On a busy machine the query may end too late: 503 says to come again."""
        answer = eventually(lambda: (found := admin.get("/insights/experiments")).status != 503 and found, 120)
        return answer.ok()["rows"]

    def counted() -> Counter[tuple[str, str]]:
        rows = [row for row in rows_told() if row["experiment"] == "button"]
        what = ("exposures", "conversions")
        return Counter({(row["variation"], name): row[name] for row in rows for name in what})

    before, expected = counted(), Counter[tuple[str, str]]()
    for number in range(8):
        session = opened(anyone, kind="checkout")
        shown = seen(session)
        expected[shown, "exposures"] += 1
        if number % 2:
            session.holder.post("/checkout/process", ORDER | {"paymentToken": "tok_visa"}).ok()
            expected[shown, "conversions"] += 1
    eventually(lambda: counted() - before >= expected, 240)
    rates = {row["variation"]: row for row in rows_told()}
    assert all(row["rate"] == round(row["conversions"] / row["exposures"], 4) for row in rates.values())
    exposures = [fact for fact in facts(stack, bucket) if fact["fact"] == "exposure" and fact["name"] == "button"]
    assert len({fact["id"] for fact in exposures}) == len({fact["session"] for fact in exposures})
    assert session.id not in json.dumps(exposures)


def test_who_takes_part_in_what_nobody_has_declared(anyone: Caller) -> None:
    session = opened(anyone)
    assert session.holder.post("/sessions/me/experiments/nothing").problem == "experiment-not-found"
    assert anyone.post(PATH).problem == "token-missing"
