"""POST /sessions/{sessionId}/advance: one step through the flow of a session, with its event."""

from typing import Annotated

from tessera.errors import (
    ContentTooLarge,
    DemandsUnmet,
    IllegalMove,
    NothingToDo,
    PreconditionFailed,
    ServiceOnly,
    SessionExpired,
    SessionNotFound,
)
from tessera.http import answers
from tessera.http.api import Api
from tessera.http.depends import ExchangeDep, SessionId
from tessera.model.clock import Millis
from tessera.model.flows import Advance, advanced
from tessera.model.record import Record
from tessera.model.session import Session
from tessera.stores.session_store import Decision
from tessera.stores.steps import happened

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

app = Api(
    "flows.advance",
    raises=(
        SessionNotFound,
        SessionExpired,
        ServiceOnly,
        IllegalMove,
        DemandsUnmet,
        PreconditionFailed,
        ContentTooLarge,
    ),
)


@app.post("/sessions/<sessionId>/advance", summary="Move a step", tags=["flows"], operation_id="advanceSession")
def advance(session_id: SessionId, wanted: Annotated[Advance, Body()], exchange: ExchangeDep) -> Response[Session]:
    """Move to a step of the flow. A session that is there already stays as it is."""
    graph, by_service = exchange.graph, exchange.caller.is_service

    def decide(record: Record, now: Millis) -> Decision:
        change, event = advanced(
            record,
            wanted.to,
            flow=graph.flow_of(record),
            by_service=by_service,
            data=lambda: graph.sessions.data(record.id),
            now=now,
        )
        return change, [happened(record, event, graph.new_ulid())]

    try:
        return answers.session(exchange.access.change_with(session_id, decide))
    except NothingToDo as done:
        return answers.session(done.found)


handler = app
