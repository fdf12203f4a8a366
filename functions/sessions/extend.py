"""POST /sessions/{sessionId}/extend: another expiry, longer or shorter, within the absolute timeout."""

from typing import Annotated

from tessera.errors import PreconditionFailed, SessionExpired, SessionNotFound
from tessera.http import answers
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.http.parameters import SessionId
from tessera.model.bodies import Extend
from tessera.model.life import extended
from tessera.model.session import Session

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

app = Api("sessions.extend", raises=(SessionNotFound, SessionExpired, PreconditionFailed))


@app.post(
    "/sessions/<sessionId>/extend", summary="Extend a session", tags=["sessions"], operation_id="extendSession"
)
def extend(
    session_id: SessionId, exchange: Exchange, wanted: Annotated[Extend | None, Body()] = None
) -> Response[Session]:
    """Set the expiry to now + seconds (default: the idle timeout). A later slide never shortens it."""
    seconds = wanted.seconds if wanted else None
    return answers.session(exchange.access.change(session_id, lambda record, now: extended(record, seconds, now)))


handler = app
