"""Completed orders as deals in Bitrix24: by an event of each, and by a schedule for those that still wait.

How an order becomes one deal and no second one is told in tessera.integrations.delivery.
"""

from collections import Counter
from typing import Any

from tessera.entry import Entry, Remaining
from tessera.integrations.delivery import Attempt, Outcome
from tessera.integrations.events import ORDER_COMPLETED
from tessera.model.clock import SECOND, Millis
from tessera.stores.keys import OUTBOX
from tessera.telemetry import CRM_LAG, DEAL_FAILURES, DEALS
from tessera.wiring import Graph

MARGIN: Millis = 25 * SECOND
"""What is left of the time when no further call is begun: two of them may wait for their answers."""


def bitrix24(event: dict[str, Any], graph: Graph, remaining: Remaining) -> dict[str, int]:
    """Deliver the order of an event, or those that are due; return how many came to which end."""
    if event.get("detail-type") == ORDER_COMPLETED:
        # Without a webhook it waits for the schedule, and for somebody who puts one in.
        sessions = [event["detail"]["session"]] if graph.bitrix24.ready() else []
        return Counter(_delivered(graph, session, remaining).outcome for session in sessions)
    return _of_schedule(graph, remaining)


def _of_schedule(graph: Graph, remaining: Remaining) -> dict[str, int]:
    """Deliver what is due, the longest first, while there is time; tell how long the rest waits."""
    now, lag, ends = graph.clock(), 0, Counter[str]()
    ready = graph.bitrix24.ready()
    for item in graph.outbox.due(now):
        if not ready or remaining() < MARGIN:
            lag = max(lag, now - item["expiresAt"])
            break  # of those that are left it is the one that waits longest
        attempt = _delivered(graph, item["pk"].removeprefix(OUTBOX), remaining)
        ends[attempt.outcome] += 1
        if attempt.outcome not in (Outcome.DELIVERED, Outcome.NOTHING):
            lag = max(lag, attempt.waits)
        if attempt.outcome == Outcome.BUSY:
            break
    graph.telemetry.gauge(CRM_LAG, lag // SECOND)
    return {**ends, "lagSeconds": lag // SECOND}


def _delivered(graph: Graph, session_id: str, remaining: Remaining) -> Attempt:
    telemetry = graph.telemetry
    attempt = graph.order_delivery.deliver(session_id, max(0, remaining() - MARGIN))
    if attempt.outcome == Outcome.DELIVERED:
        telemetry.count(DEALS)
    elif attempt.outcome != Outcome.NOTHING:
        outcome, reason = str(attempt.outcome), attempt.reason
        telemetry.count(DEAL_FAILURES, labels=f'outcome="{outcome}"')
        say = telemetry.log.error if attempt.outcome == Outcome.GIVEN_UP else telemetry.log.warning
        say("no deal yet", session=telemetry.pseudonym(session_id), outcome=outcome, reason=reason)
    return attempt


handler = Entry("integrations.bitrix24", bitrix24)
