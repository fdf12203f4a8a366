"""POST /sessions/{sessionId}/login: a service links a session to a customer."""

from typing import Annotated

from tessera.errors import LinkedToAnother, PreconditionFailed, ScopeMissing, SessionExpired, SessionNotFound
from tessera.http import credentials
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.http.parameters import SessionId
from tessera.model.bodies import Login
from tessera.model.caller import Scope
from tessera.model.clock import Millis
from tessera.model.credentials import logged_in
from tessera.model.record import Record
from tessera.stores.session_store import Decision
from tessera.tokens.models import SessionWithTokens
from tessera.tokens.refresh import RefreshToken

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

app = Api(
    "sessions.login",
    needs_keys=True,
    raises=(ScopeMissing, SessionNotFound, SessionExpired, LinkedToAnother, PreconditionFailed),
)


@app.post(
    "/sessions/<sessionId>/login",
    summary="Link a session to a customer",
    tags=["sessions"],
    operation_id="loginSession",
)
def login(session_id: SessionId, who: Annotated[Login, Body()], exchange: Exchange) -> Response[SessionWithTokens]:
    """Link it under new credentials: every older token and cookie of the session dies."""
    access, graph = exchange.access, exchange.graph
    access.caller.require(Scope.SESSIONS_WRITE)
    target = access.target(session_id, Scope.SESSIONS_WRITE)
    refresh_token, refresh = RefreshToken.first(graph.keys.ring().sealer(graph.clock()), target)

    def decide(record: Record, now: Millis) -> Decision:
        change = logged_in(record, who.customer_id, who.claims or {}, refresh, now)
        return change, graph.conversations.linking(record.id, who.customer_id) if record.has_messages else ()

    record = access.change_with(session_id, decide)
    return credentials.session_with_tokens(exchange, record, refresh_token, 200)


handler = app
