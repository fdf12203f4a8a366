"""Answers with credentials: tokens for apps, the cookie for browsers."""

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.shared.cookies import Cookie

from tessera.http import origins
from tessera.http.access import etag
from tessera.http.answers import JSON
from tessera.http.exchange import Exchange
from tessera.model.record import Record
from tessera.tokens import cookie
from tessera.tokens.access import LIFETIME
from tessera.tokens.models import SessionWithTokens, Tokens
from tessera.tokens.refresh import RefreshToken


def session_with_tokens(
    exchange: Exchange, record: Record, refresh_token: RefreshToken, status: int
) -> Response[SessionWithTokens]:
    """Answer with a session and new credentials for it, as tokens and as cookie."""
    exchange.named_session = record.id
    whole = SessionWithTokens(session=record.session, tokens=tokens(exchange, record, refresh_token))
    return Response(
        status,
        JSON,
        whole,
        {"ETag": etag(record), "Location": f"{exchange.prefix}/sessions/{record.id}"},
        cookies=cookies(exchange, record, refresh_token),
    )


def tokens(exchange: Exchange, record: Record, refresh_token: RefreshToken) -> Tokens:
    """Issue the tokens of a session."""
    return Tokens(
        access_token=exchange.graph.access_tokens.for_session(record),
        refresh_token=str(refresh_token),
        expires_in=LIFETIME,
    )


def cookies(exchange: Exchange, record: Record, refresh_token: RefreshToken) -> list[Cookie]:
    """Bake the cookie, unless a page of an Origin that is not allowed asks: none may plant a session."""
    origin = exchange.headers.get("origin")
    if origin and not origins.is_allowed(origin, exchange.graph.settings.allowed_origins):
        return []
    graph = exchange.graph
    return [cookie.bake(graph.seal(cookie.PURPOSE), record, str(refresh_token), graph.clock())]
