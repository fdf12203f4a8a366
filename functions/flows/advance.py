"""POST /sessions/{sessionId}/advance and POST /sessions/{sessionId}/finish: through a flow, and to its end."""

from functools import partial
from typing import Annotated

from tessera.errors import (
    Conflict,
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
from tessera.http.exchange import Exchange
from tessera.http.parameters import SessionId
from tessera.model.clock import Millis
from tessera.model.flows import Advance, FinishFlow, advanced, draft_of, finished
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
        Conflict,
        DemandsUnmet,
        PreconditionFailed,
        ContentTooLarge,
    ),
)


@app.post("/sessions/<sessionId>/advance", summary="Move a step", tags=["flows"], operation_id="advanceSession")
def advance(session_id: SessionId, wanted: Annotated[Advance, Body()], exchange: Exchange) -> Response[Session]:
    """Move to a step of the flow. A session that is there already stays as it is."""
    graph, by_service = exchange.graph, exchange.caller.is_service

    def decide(record: Record, now: Millis) -> Decision:
        change, event = advanced(
            record,
            wanted.to,
            flow=graph.flow_of(record),
            by_service=by_service,
            data=partial(graph.sessions.data, record.id),
            now=now,
        )
        return change, [happened(record, event, graph.new_ulid())]

    try:
        return answers.session(exchange.access.change_with(session_id, decide))
    except NothingToDo as done:
        return answers.session(done.found)


@app.post("/sessions/<sessionId>/finish", summary="Finish a flow", tags=["flows"], operation_id="finishSession")
def finish(
    session_id: SessionId, exchange: Exchange, wanted: Annotated[FinishFlow | None, Body()] = None
) -> Response[Session]:
    """Turn the draft into the result, a bucket of its own, and clear it: both or neither.

    All steps must be completed. A flow that is finished already stays as it is.
    """
    graph, by_service = exchange.graph, exchange.caller.is_service
    names: list[str] = []

    def ended(record: Record, now: Millis) -> Decision:
        nonlocal names
        flow = graph.flow_of(record)
        names = draft_of(flow, wanted and wanted.buckets)
        draft = graph.drafts.read(record, names, now)
        change, event, result = finished(
            record,
            {name: draft[name]["data"] if name in draft else None for name in names},
            flow=flow,
            by_service=by_service,
            data=partial(graph.sessions.data, record.id),
            now=now,
        )
        place = flow.finish.result if flow and flow.finish else ""
        marked, writes = graph.drafts.finished(record, draft, place, result, now)
        return change | marked, [*writes, happened(record, event, graph.new_ulid())]

    def decide(record: Record, now: Millis) -> Decision:
        try:
            return ended(record, now)
        except Conflict as refused:
            # Two taps: the other one may have finished it after this session was read, and before its draft was.
            found = graph.sessions.find(record.id)
            if found.finished_at is None:
                raise
            raise NothingToDo(found) from refused

    try:
        record = exchange.access.change_with(session_id, decide)
    except NothingToDo as done:
        return answers.session(done.found)
    graph.drafts.forget(record.id, names)
    return answers.session(record)


handler = app
