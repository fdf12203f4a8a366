"""PUT /sessions/{sessionId}/cart and POST /sessions/{sessionId}/cart/actions: the cart, and what happens in it."""

from typing import Annotated

from tessera.errors import ContentTooLarge, NothingToDo, PreconditionFailed, SessionExpired, SessionNotFound
from tessera.http import answers
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.http.parameters import SessionId
from tessera.model.activity import CartActions, GivenActions, SetCart, acted, cart_named
from tessera.model.caller import Scope
from tessera.model.clock import Millis
from tessera.model.record import Record
from tessera.model.session import Session
from tessera.stores.session_store import Decision

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

app = Api("activity.cart", raises=(SessionNotFound, SessionExpired, PreconditionFailed, ContentTooLarge))


@app.put("/sessions/<sessionId>/cart", summary="Name the cart", tags=["activity"], operation_id="setCart")
def set_cart(session_id: SessionId, wanted: Annotated[SetCart, Body()], exchange: Exchange) -> Response[Session]:
    """Set the cart of a session. One that is new to it is recorded as `cart_initialized`."""
    graph = exchange.graph

    def decide(record: Record, now: Millis) -> Decision:
        change, actions = cart_named(record, wanted.cart_id, now, graph.new_ulid)
        return change, graph.activity.recorded(record, actions)

    return answers.session(exchange.access.change_with(session_id, decide))


@app.post(
    "/sessions/<sessionId>/cart/actions",
    status_code=201,
    summary="Record cart actions",
    tags=["activity"],
    operation_id="recordCartActions",
)
def record_actions(
    session_id: SessionId, given: Annotated[GivenActions, Body()], exchange: Exchange
) -> Response[CartActions]:
    """Record what happened in the cart of a session: all of it or nothing."""
    graph, access, recorded = exchange.graph, exchange.access, CartActions(actions=[])

    def decide(record: Record, now: Millis) -> Decision:
        change, recorded.actions = acted(record, given.actions, now, graph.new_ulid)
        return change, graph.activity.recorded(record, recorded.actions, exchange.receipt)

    try:
        access.change_with(session_id, decide, exchange.receipt)
    except NothingToDo as before:
        recorded.actions = graph.activity.receipted(access.target(session_id, Scope.SESSIONS_WRITE), before.found)
    return Response(201, answers.JSON, recorded)


handler = app
