"""POST /sessions/{sessionId}/messages: messages to the open conversation, all or nothing."""

from typing import Annotated

from tessera.errors import Contended, ContentTooLarge, PreconditionFailed, SessionExpired, SessionNotFound
from tessera.http.api import Api
from tessera.http.body import LARGE_BYTES
from tessera.http.exchange import Exchange
from tessera.http.parameters import SessionId
from tessera.model.messages import Append, Appended, Message, named
from tessera.telemetry import MESSAGES

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

app = Api(
    "conversations.append",
    max_bytes=LARGE_BYTES,
    raises=(SessionNotFound, SessionExpired, PreconditionFailed, ContentTooLarge, Contended),
)


@app.post(
    "/sessions/<sessionId>/messages",
    status_code=201,
    summary="Append messages",
    tags=["conversations"],
    operation_id="appendMessages",
)
def append(session_id: SessionId, wanted: Annotated[Append, Body()], exchange: Exchange) -> Response[Appended]:
    """Append 1 to 100 messages. A messageId that the session knows already is not appended again, in any batch.

    Numbers are dense within a conversation, from 1 on. Appending slides the session's idle timeout.
    """
    graph, access = exchange.graph, exchange.access
    messages = named(wanted.messages, exchange.request_id)
    session, plan = access.using(
        session_id,
        lambda target, admit: (
            target,
            graph.conversations.append(target, messages, admit, exactly=access.conditional),
        ),
    )
    graph.telemetry.count(MESSAGES, len(plan.messages))
    shown = [Message.model_validate(message) for message in graph.history.appended(session, plan)]
    conversation_id = plan.conversation_id if plan.messages else plan.places[0].conversation_id
    numbers = [place.seq for place in plan.places if place.conversation_id == conversation_id]
    answer = Appended(
        conversation_id=conversation_id, first_seq=min(numbers), last_seq=max(numbers), messages=shown
    )
    return Response(201, "application/json", answer)


handler = app
