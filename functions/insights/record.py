"""The table's stream, as facts for analysis, and completed orders as events on EventBridge.

Both here, since DynamoDB promises a stream two readers, and the archive is the other one.
"""

from contextlib import suppress
from typing import Any

from tessera.entry import Entry, Remaining
from tessera.errors import PoisonedItem, Unavailable
from tessera.stores.facts import Fact, facts_of
from tessera.stores.keys import OUTBOX
from tessera.telemetry import ERRORS, FACTS, ORDERS
from tessera.wiring import Graph

type Batch = dict[str, list[dict[str, str]]]
"""What Lambda is to send again, by sequence number."""


def record(event: dict[str, Any], graph: Graph, _remaining: Remaining) -> Batch:
    """Tell the orders and the facts of a batch.

    Where facts are not taken, all of the batch comes again: of a stream Lambda repeats everything from the first
    record that failed, and a fact may be told twice.
    """
    records: list[dict[str, Any]] = event["Records"]
    _tell_orders([session for each in records if (session := _ordered(each))], graph)
    facts = [fact for each in records for fact in _facts(each, graph)]
    try:
        graph.facts.put(facts)
    except Unavailable as error:
        graph.telemetry.log.warning("facts kept for later", reason=type(error).__name__, records=len(records))
        return {"batchItemFailures": [{"itemIdentifier": records[0]["dynamodb"]["SequenceNumber"]}]}
    graph.telemetry.count(FACTS, len(facts))
    return {"batchItemFailures": []}


def _tell_orders(sessions: list[str], graph: Graph) -> None:
    """Tell of orders. Where events are not taken the facts need not wait: a schedule finds the orders."""
    if not sessions:
        return
    try:
        graph.events.orders_completed(sessions)
    except Unavailable as error:
        graph.telemetry.log.warning("orders left to the schedule", reason=type(error).__name__)
    else:
        graph.telemetry.count(ORDERS, len(sessions))


def _ordered(each: dict[str, Any]) -> str | None:
    """Return whose order a record tells of as new; None for any other one."""
    with suppress(AttributeError, KeyError, TypeError):
        place: str = each["dynamodb"]["Keys"]["pk"]["S"]
        if each["eventName"] == "INSERT" and place.startswith(OUTBOX):
            return place.removeprefix(OUTBOX)
    return None


def _facts(each: dict[str, Any], graph: Graph) -> list[Fact]:
    """Return the facts of a record. One that cannot be read is somebody's to look at; it holds up no other."""
    with suppress(KeyError, PoisonedItem):
        new = each["eventName"] == "INSERT"
        return facts_of(each["dynamodb"]["NewImage"], graph.telemetry.pseudonym) if new else []
    graph.telemetry.log.error("poisoned record", event_id=each.get("eventID"))
    graph.telemetry.count(ERRORS, labels='operation="insights.record",status="poisoned"')
    return []


handler = Entry("insights.record", record)
