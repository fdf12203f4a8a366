"""/sessions/{sessionId}/push-subscriptions: browsers that are told of changes while no socket is open."""

from typing import Annotated, Any

from tessera.errors import NotFound, SessionExpired, SessionNotFound
from tessera.http.answers import JSON
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.http.parameters import SessionId, decoded
from tessera.model.caller import Scope
from tessera.model.clock import Millis
from tessera.model.push import PushSubscription, PushSubscriptions, Registered, check_host, noted
from tessera.model.record import Record
from tessera.realtime.pushes import shown
from tessera.stores.session_store import Decision

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path

app = Api("realtime.push", raises=(SessionNotFound, SessionExpired, NotFound))

PATH = "/sessions/<sessionId>/push-subscriptions"
SubscriptionId = Annotated[str, decoded, Path(alias="subscriptionId", description="As the registration gave it.")]


@app.get(PATH, summary="What a page needs for Web Push", tags=["realtime"], operation_id="getPushSubscriptions")
def get(session_id: SessionId, exchange: Exchange) -> Response[PushSubscriptions]:
    """Return the public key of this service (the applicationServerKey of a page) and what is registered."""
    pushes, record = exchange.graph.pushes, exchange.access.get(session_id)
    found = PushSubscriptions(public_key=pushes.vapid.public, subscriptions=pushes.of(record.id))
    return Response(200, JSON, found)


@app.post(
    PATH, status_code=201, summary="Register a browser", tags=["realtime"], operation_id="createPushSubscription"
)
def post(
    session_id: SessionId, wanted: Annotated[PushSubscription, Body()], exchange: Exchange
) -> Response[Registered]:
    """Register a browser, by its PushSubscription as JSON. The same one again replaces what it was."""
    graph = exchange.graph
    registered: dict[str, Any] = {}

    def decide(record: Record, now: Millis) -> Decision:
        check_host(wanted.endpoint, graph.settings.push_hosts)
        put = graph.pushes.registered(record, wanted)
        registered.update(put.item)
        return noted(record, now), [put]

    exchange.access.change_with(session_id, decide)
    return Response(201, JSON, shown(registered))


@app.delete(
    PATH + "/<subscriptionId>",
    status_code=204,
    summary="Forget a browser",
    tags=["realtime"],
    operation_id="deletePushSubscription",
)
def delete(session_id: SessionId, subscription_id: SubscriptionId, exchange: Exchange) -> Response[None]:
    """Forget a browser."""
    target = exchange.access.target(session_id, Scope.SESSIONS_WRITE)
    if not exchange.graph.pushes.remove(exchange.access.get(target).id, subscription_id):
        raise NotFound
    return Response(204)


handler = app
