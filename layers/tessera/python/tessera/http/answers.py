"""Answers that several operations give."""

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import Response

from tessera.http import origins
from tessera.http.access import etag
from tessera.http.exchange import Exchange
from tessera.model.record import Record
from tessera.model.session import Session, SessionWithParts
from tessera.tokens.models import SessionWithTokens, Tokens

if TYPE_CHECKING:
    from aws_lambda_powertools.shared.cookies import Cookie

    from tessera.tokens.refresh import RefreshToken

JSON = "application/json"


def session(record: Record) -> Response[Session]:
    """Answer with a session and its ETag."""
    return Response(200, JSON, record.session, {"ETag": etag(record)})


def session_with_parts(record: Record, parts: dict[str, Any], *, degraded: bool) -> Response[SessionWithParts]:
    """Answer with a session and the parts that were asked for."""
    whole = SessionWithParts(**vars(record.session), **parts, degraded=degraded or None)
    return Response(200, JSON, whole, {"ETag": etag(record)})


def session_with_tokens(
    exchange: Exchange, record: Record, refresh_token: "RefreshToken", status: int
) -> Response[SessionWithTokens]:
    """Answer with a session and new credentials for it, as tokens and as cookie."""
    whole = SessionWithTokens(session=record.session, tokens=tokens(exchange, record, refresh_token))
    return Response(
        status,
        JSON,
        whole,
        {"ETag": etag(record), "Location": f"/sessions/{record.id}"},
        cookies=cookies(exchange, record, refresh_token),
    )


def tokens(exchange: Exchange, record: Record, refresh_token: "RefreshToken") -> Tokens:
    """Issue the tokens of a session."""
    from tessera.tokens.access import LIFETIME  # noqa: PLC0415 - only functions with keys pay for PyJWT

    return Tokens(
        access_token=exchange.graph.access_tokens.for_session(record),
        refresh_token=str(refresh_token),
        expires_in=LIFETIME,
    )


def cookies(exchange: Exchange, record: Record, refresh_token: "RefreshToken") -> "list[Cookie]":
    """Bake the cookie, unless a page of an Origin that is not allowed asks: none may plant a session."""
    from tessera.tokens import cookie  # noqa: PLC0415 - same

    origin = exchange.headers.get("origin")
    if origin and not origins.is_allowed(origin, exchange.graph.settings.allowed_origins):
        return []
    graph = exchange.graph
    return [cookie.bake(graph.seal(cookie.PURPOSE), record, str(refresh_token), graph.clock())]
