"""POST /events: standard events of Shopify's Web Pixels, for analysis; nothing of them comes into the session."""

from typing import Annotated

from tessera.errors import SessionExpired
from tessera.http.answers import JSON
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.model.caller import ME, Scope
from tessera.model.pixels import Accepted, Events, kept
from tessera.model.record import Record
from tessera.stores.facts import fact_of_event
from tessera.telemetry import EVENTS

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

app = Api("activity.collect", raises=(SessionExpired,))


@app.post("/events", status_code=202, summary="Collect events", tags=["activity"], operation_id="collectEvents")
def collect(batch: Annotated[Events, Body()], exchange: Exchange) -> Response[Accepted]:
    """Take events for analysis, all of them or none. What of them is personal is not kept."""
    graph, record, sender = exchange.graph, _session(exchange), exchange.caller.name
    pseudonym = graph.telemetry.pseudonym
    graph.facts.put(
        [fact_of_event(event, kept(event, pseudonym), sender, record, pseudonym) for event in batch.events]
    )
    graph.telemetry.count(EVENTS, len(batch.events))
    return Response(202, JSON, Accepted(accepted=len(batch.events)))


def _session(exchange: Exchange) -> Record | None:
    """Return the session that sends them, by the table itself; a service sends them of none."""
    if exchange.caller.is_service:
        exchange.caller.require(Scope.SESSIONS_WRITE)
        return None
    return exchange.access.find(ME).live(exchange.graph.clock())


handler = app
