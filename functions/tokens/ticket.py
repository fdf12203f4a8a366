"""POST /sessions/{sessionId}/socket-ticket and POST /socket-ticket: what opens one WebSocket connection."""

from tessera.errors import NotYours, ServiceOnly, SessionExpired, SessionNotFound
from tessera.http import answers
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.http.parameters import SessionId
from tessera.model.caller import Caller
from tessera.tokens.models import SocketTicket

from aws_lambda_powertools.event_handler import Response

app = Api("tokens.ticket", replays=False, raises=(SessionNotFound, SessionExpired, NotYours, ServiceOnly))


@app.post(
    "/sessions/<sessionId>/socket-ticket",
    summary="Get a ticket for a session's own socket",
    tags=["realtime"],
    operation_id="createSocketTicket",
)
def of_session(session_id: SessionId, exchange: Exchange) -> Response[SocketTicket]:
    """Return a ticket that opens one connection of this session within 60 seconds. Each call makes a new one."""
    record = exchange.access.get(session_id)
    if exchange.caller.is_service:
        raise NotYours("A session's socket is its owner's; a service has POST /socket-ticket")
    return _ticket(exchange, Caller(session_id=record.id, epoch=record.epoch))


@app.post(
    "/socket-ticket",
    summary="Get a ticket for a service's socket",
    tags=["realtime"],
    operation_id="createServiceTicket",
)
def of_service(exchange: Exchange) -> Response[SocketTicket]:
    """Return a ticket for a connection with the scopes of this service token."""
    if not exchange.caller.is_service:
        raise ServiceOnly("A session has POST /sessions/{id}/socket-ticket")
    return _ticket(exchange, exchange.caller)


def _ticket(exchange: Exchange, caller: Caller) -> Response[SocketTicket]:
    ticket = exchange.graph.connections.issue(caller)
    return Response(200, answers.JSON, SocketTicket(ticket=ticket.text, expires_at=ticket.expires_at))


handler = app
