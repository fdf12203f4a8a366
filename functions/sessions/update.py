"""PATCH /sessions/{sessionId}: a JSON merge patch, written as the smallest delta."""

from functools import partial
from typing import Annotated

from tessera.errors import (
    ContentTooLarge,
    DemandsUnmet,
    IllegalMove,
    IllegalTransition,
    OtherCheckout,
    PaymentInProgress,
    PreconditionFailed,
    ServiceOnly,
    SessionExpired,
    SessionNotFound,
)
from tessera.http import answers
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.http.parameters import SessionId
from tessera.model.bodies import SessionPatch
from tessera.model.clock import Millis
from tessera.model.edit import edited
from tessera.model.record import Record
from tessera.model.session import Session
from tessera.model.status import Status
from tessera.stores.session_store import Decision
from tessera.telemetry import COMPLETED

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

app = Api(
    "sessions.update",
    raises=(
        SessionNotFound,
        SessionExpired,
        ServiceOnly,
        IllegalMove,
        DemandsUnmet,
        IllegalTransition,
        OtherCheckout,
        PaymentInProgress,
        PreconditionFailed,
        ContentTooLarge,
    ),
)


@app.patch(  # pyright: ignore[reportUnknownMemberType] - half typed, other than its siblings
    "/sessions/<sessionId>", summary="Change a session", tags=["sessions"], operation_id="updateSession"
)
def update(session_id: SessionId, patch: Annotated[SessionPatch, Body()], exchange: Exchange) -> Response[Session]:
    """Apply a merge patch (RFC 7396): null removes. Writers of different fields lose nothing of each other."""
    access, graph, completes = exchange.access, exchange.graph, False

    def decide(record: Record, now: Millis) -> Decision:
        nonlocal completes
        completes = patch.status == Status.COMPLETED != record.session.status
        kind = graph.kinds.get(record.session.kind)
        by_service = access.caller.is_service
        change = edited(
            record,
            patch,
            flow=kind and kind.flow,
            by_service=by_service,
            data=partial(graph.sessions.data, record.id),
            now=now,
        )
        return change, graph.outbox.completed(record, change, now) if completes else ()

    record = access.change_with(session_id, decide)
    if completes:
        graph.telemetry.count(COMPLETED)
    return answers.session(record)


handler = app
