"""POST /checkout/process: an order is paid, once."""

from functools import partial
from typing import Annotated

from tessera.errors import (
    ContentTooLarge,
    DemandsUnmet,
    IllegalMove,
    IllegalTransition,
    NoPaymentProvider,
    NotYours,
    OtherCheckout,
    PreconditionFailed,
    ServiceOnly,
    SessionExpired,
    SessionNotFound,
)
from tessera.http import answers
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.http.named import session_of_body
from tessera.model.clock import Millis
from tessera.model.payments import Begun, ProcessCheckout, checkout_begun
from tessera.model.record import Record
from tessera.model.session import Session

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

app = Api(
    "flows.checkout",
    needs_keys=True,
    raises=(
        NotYours,
        SessionNotFound,
        SessionExpired,
        ServiceOnly,
        IllegalMove,
        IllegalTransition,
        OtherCheckout,
        DemandsUnmet,
        PreconditionFailed,
        ContentTooLarge,
        NoPaymentProvider,
    ),
    holder=session_of_body,
)


@app.post("/checkout/process", summary="Pay an order", tags=["flows"], operation_id="processCheckout")
def process(wanted: Annotated[ProcessCheckout, Body()], exchange: Exchange) -> Response[Session]:
    """Charge an order once; a second tap and a repetition get the session as it is.

    The session becomes processing, then completed or failed. Where the provider does not answer it stays
    processing, and comes to its end within minutes. While it is known to be down nothing is begun: `circuit-open`.
    """
    graph, by_service = exchange.graph, exchange.caller.is_service

    def decide(record: Record, now: Millis) -> Begun:
        return checkout_begun(
            record,
            wanted,
            flow=graph.flow_of(record),
            by_service=by_service,
            data=partial(graph.sessions.data, record.id),
            now=now,
        )

    change_with = partial(exchange.access.change_with, wanted.session_id)
    return answers.session(graph.payments.process(change_with, decide))


handler = app
