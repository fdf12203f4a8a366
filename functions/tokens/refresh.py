"""POST /tokens/refresh: the next tokens for a refresh token, sent or in the cookie."""

from typing import Annotated

from tessera.errors import (
    CrossSiteRequest,
    Problem,
    SessionExpired,
    SessionNotFound,
    TokenInvalid,
    TokenMissing,
    TokenRevoked,
)
from tessera.http import answers, credentials, origins
from tessera.http.api import Api
from tessera.http.exchange import Exchange, Holder
from tessera.model.changes import Change
from tessera.model.credentials import Presented, rotated
from tessera.model.record import Record
from tessera.tokens import cookie
from tessera.tokens.models import RefreshRequest, Tokens
from tessera.tokens.refresh import RefreshToken

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body
from pydantic import ValidationError


def _holder(exchange: Exchange) -> Holder:
    """Return whose refresh token it is: the record of the answer lies, and goes, with that session."""
    try:
        token = _presented(exchange, RefreshRequest.model_validate_json(exchange.event["body"] or "{}"))
    except (Problem, ValidationError):
        return Holder()
    return Holder(token.session_id, str(token))


app = Api(
    "tokens.refresh",
    public=True,
    needs_keys=True,
    raises=(TokenMissing, TokenInvalid, TokenRevoked, SessionExpired, CrossSiteRequest),
    holder=_holder,
)


@app.post("/tokens/refresh", summary="Renew the tokens", tags=["tokens"], operation_id="refreshTokens")
def refresh(exchange: Exchange, wanted: Annotated[RefreshRequest | None, Body()] = None) -> Response[Tokens]:
    """Rotate the refresh token. Within 30 s the same token gets the same successor; later use revokes all."""
    record, successor = _rotate(exchange, _presented(exchange, wanted))
    cookies = [] if wanted and wanted.refresh_token else credentials.cookies(exchange, record, successor)
    return Response(200, answers.JSON, credentials.tokens(exchange, record, successor), cookies=cookies)


def _rotate(exchange: Exchange, token: RefreshToken) -> tuple[Record, RefreshToken]:
    graph = exchange.graph
    ring = graph.keys.ring()

    def successor(record: Record) -> RefreshToken:
        family = record.refresh.family if record.refresh else ""
        return RefreshToken.issue(ring.sealer(graph.clock()), token.session_id, family, token.generation + 1)

    def decide(record: Record) -> Change:
        now = graph.clock()
        genuine = record.refresh is not None and token.is_genuine(ring, record.refresh.family)
        presented = Presented(token.generation, token.hash, genuine)
        return rotated(record.live(now), presented, successor(record).hash, now)

    try:
        record = graph.sessions.change(token.session_id, decide)
    except SessionNotFound as gone:
        raise TokenRevoked from gone
    if record.refresh is None:
        graph.telemetry.log.warning("refresh token reused", session=graph.telemetry.pseudonym(record.id))
        raise TokenRevoked
    return record, successor(record)


def _presented(exchange: Exchange, wanted: RefreshRequest | None) -> RefreshToken:
    """Return the token that was sent, else that of the cookie."""
    sent = wanted.refresh_token if wanted else None
    return RefreshToken.of(sent or _from_cookie(exchange))


def _from_cookie(exchange: Exchange) -> str:
    """Return the token of the cookie, which needs what every unsafe method by cookie needs."""
    graph = exchange.graph
    found = cookie.read(graph.seal(cookie.PURPOSE), exchange.event)
    if found is None:
        raise TokenMissing
    origins.check_cookie_use(exchange.method, exchange.headers, graph.settings.allowed_origins)
    return found.refresh_token


handler = app
