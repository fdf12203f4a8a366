"""DELETE /sessions/{sessionId}: the session and every item of it."""

from typing import Annotated

from tessera.errors import PreconditionFailed, SessionNotFound
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.http.parameters import SessionId
from tessera.tokens.cookie import cleared

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

app = Api("sessions.delete", raises=(SessionNotFound, PreconditionFailed))

Purge = Annotated[bool, Query(description="Archived conversations go too, not only what is hot.")]


@app.delete(
    "/sessions/<sessionId>",
    status_code=204,
    summary="Delete a session",
    tags=["sessions"],
    operation_id="deleteSession",
)
def delete(
    session_id: SessionId,
    exchange: Exchange,
    purge: Purge = False,
) -> Response[None]:
    """Delete every hot item, token and alias of a session, expired or not.

    Its conversations are archived first and stay for their retention as the customer's memory, or go with `purge`.
    """
    exchange.access.delete(session_id, purge=purge)
    return Response(204, cookies=[cleared()] if exchange.caller.by_cookie else [])


handler = app
