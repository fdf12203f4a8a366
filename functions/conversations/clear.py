"""DELETE /sessions/{sessionId}/messages: the open conversation ends, the next one begins."""

from tessera.errors import PreconditionFailed, SessionExpired, SessionNotFound
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.http.parameters import SessionId

from aws_lambda_powertools.event_handler import Response

app = Api("conversations.clear", raises=(SessionNotFound, SessionExpired, PreconditionFailed))


@app.delete(
    "/sessions/<sessionId>/messages",
    status_code=204,
    summary="End the conversation",
    tags=["conversations"],
    operation_id="clearMessages",
)
def clear(session_id: SessionId, exchange: Exchange) -> Response[None]:
    """End the conversation. It stays in the archive, and in the customer's memory; reads show the new one."""
    exchange.access.using(session_id, exchange.graph.conversations.clear)
    return Response(204)


handler = app
