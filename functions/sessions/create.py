"""POST /sessions: a new session, its tokens and its cookie."""

from typing import Annotated

from tessera.errors import ContentTooLarge, ScopeMissing, ServiceOnly, SessionExists, TokenInvalid, TooManyRequests
from tessera.http import credentials
from tessera.http.api import Api
from tessera.http.body import LARGE_BYTES
from tessera.http.exchange import Exchange
from tessera.http.limits import creations
from tessera.model.bodies import CreateSession
from tessera.model.caller import Scope
from tessera.model.credentials import recovered
from tessera.model.ids import new_session_id
from tessera.model.life import born
from tessera.telemetry import CREATED
from tessera.tokens.models import SessionWithTokens
from tessera.tokens.refresh import RefreshToken

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

app = Api(
    "sessions.create",
    public=True,
    needs_keys=True,
    limit=creations,
    max_bytes=LARGE_BYTES,
    raises=(TokenInvalid, ServiceOnly, ScopeMissing, SessionExists, ContentTooLarge, TooManyRequests),
)


@app.post(
    "/sessions", status_code=201, summary="Create a session", tags=["sessions"], operation_id="createSession"
)
def create(
    exchange: Exchange, wanted: Annotated[CreateSession | None, Body()] = None
) -> Response[SessionWithTokens]:
    """Make a session. Ids are made here; a service token may name the customer."""
    graph, caller, wanted = exchange.graph, exchange.caller, wanted or CreateSession()
    if caller.is_service:
        caller.require(Scope.SESSIONS_WRITE)
    session_id = exchange.new_session_id or new_session_id()
    refresh_token, refresh = RefreshToken.first(graph.keys.ring().sealer(graph.clock()), session_id)
    record = born(
        session_id,
        wanted,
        kinds=graph.kinds,
        by_service=caller.is_service,
        refresh=refresh,
        now=graph.clock(),
    )
    try:
        graph.sessions.create(record, wanted.data or {})
        graph.telemetry.count(CREATED)
    except SessionExists:
        # The same caller and Idempotency-Key made it before, and the answer was lost with the container.
        record = graph.sessions.change(session_id, lambda found: recovered(found, record, refresh, graph.clock()))
    return credentials.session_with_tokens(exchange, record, refresh_token, 201)


handler = app
