"""GET /sessions/{sessionId}: a session, and the parts that `include` names."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from tessera.errors import ContentTooLarge, SessionExpired, SessionNotFound
from tessera.http.access import etag
from tessera.http.answers import JSON
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.http.parameters import SessionId
from tessera.model.parts import SessionWithParts
from tessera.model.record import Record
from tessera.wiring import Graph

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

type Part = Literal["data", "messages", "activity"]

PARTS: Mapping[str, Callable[[Graph, Record], Any]] = {
    "data": lambda graph, record: graph.sessions.data(record.id),
    "messages": lambda graph, record: graph.history.beside(record),
    "activity": lambda graph, record: graph.activity.of(record.id),
}

app = Api("sessions.get", raises=(SessionNotFound, SessionExpired, ContentTooLarge))

Include = Annotated[list[Part] | None, Query(description="Parts to add, separated by commas.")]


@app.get("/sessions/<sessionId>", summary="Read a session", tags=["sessions"], operation_id="getSession")
def get(session_id: SessionId, exchange: Exchange, include: Include = None) -> Response[SessionWithParts]:
    """Return a live session. Reading is not activity: it slides nothing."""
    graph = exchange.graph
    record = exchange.access.get(session_id, degradable=not include)  # the parts come from the table, and so this
    parts = {name: read(graph, record) for name, read in PARTS.items() if name in (include or ())}
    whole = SessionWithParts(**vars(record.session), **parts, degraded=graph.tiers.degraded or None)
    return Response(200, JSON, whole, {"ETag": etag(record)})


handler = app
