"""POST /sessions/{sessionId}/views: the products that were looked at; the last ten stay."""

from collections.abc import Mapping
from typing import Annotated, Any

from tessera.errors import ContentTooLarge, PreconditionFailed, SessionExpired, SessionNotFound
from tessera.http import answers
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.http.parameters import SessionId
from tessera.model.activity import GivenViews, Views, viewed
from tessera.model.clock import Millis
from tessera.model.record import Record
from tessera.stores.session_store import Decision

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

app = Api("activity.views", raises=(SessionNotFound, SessionExpired, PreconditionFailed, ContentTooLarge))


@app.post("/sessions/<sessionId>/views", summary="Record views", tags=["activity"], operation_id="recordViews")
def record_views(
    session_id: SessionId, given: Annotated[GivenViews, Body()], exchange: Exchange
) -> Response[Views]:
    """Record views in the order in which they happened; return the last ten, newest first, each product once."""
    graph, seen = exchange.graph, [view.as_json() for view in given.views]
    views: list[Mapping[str, Any]] = []

    def decide(record: Record, now: Millis) -> Decision:
        nonlocal views
        views, write = graph.activity.viewed(record, seen)
        return viewed(record, now), [write]

    exchange.access.change_with(session_id, decide)
    return Response(200, answers.JSON, Views(views=[dict(view) for view in views]))


handler = app
