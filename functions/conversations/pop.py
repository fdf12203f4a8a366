"""POST /sessions/{sessionId}/messages/pop: the newest message is taken away."""

from tessera.errors import ContentTooLarge, PreconditionFailed, SessionExpired, SessionNotFound
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.http.parameters import SessionId
from tessera.model.messages import Message, Popped

app = Api("conversations.pop", raises=(SessionNotFound, SessionExpired, PreconditionFailed, ContentTooLarge))


@app.post(
    "/sessions/<sessionId>/messages/pop",
    summary="Remove the newest message",
    tags=["conversations"],
    operation_id="popMessage",
)
def pop(session_id: SessionId, exchange: Exchange) -> Popped:
    """Remove the newest message, archived or not, and return it. Its number is not given again."""
    graph = exchange.graph
    message = exchange.access.using(
        session_id,
        lambda target, admit: graph.conversations.pop(
            target, admit, lambda place: graph.history.get(target, place), exchange.receipt
        ),
        exchange.receipt,
    )
    return Popped(message=None if message is None else Message.model_validate(graph.history.whole(message)))


handler = app
