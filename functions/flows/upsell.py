"""POST /upsell/process: what a customer says to an offer; an accepted one is charged, once."""

from functools import partial
from typing import Annotated

from tessera.errors import (
    ContentTooLarge,
    DemandsUnmet,
    IllegalMove,
    IllegalTransition,
    NoPaymentProvider,
    NotYours,
    OfferDecided,
    PaymentInProgress,
    PreconditionFailed,
    SessionExpired,
    SessionNotFound,
)
from tessera.http import answers
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.http.named import session_of_body
from tessera.model.clock import Millis
from tessera.model.payments import Begun, ProcessUpsell, upsell_decided
from tessera.model.record import Record
from tessera.model.session import Session

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

app = Api(
    "flows.upsell",
    needs_keys=True,
    raises=(
        NotYours,
        SessionNotFound,
        SessionExpired,
        IllegalMove,
        IllegalTransition,
        OfferDecided,
        PaymentInProgress,
        DemandsUnmet,
        PreconditionFailed,
        ContentTooLarge,
        NoPaymentProvider,
    ),
    holder=session_of_body,
)


@app.post("/upsell/process", summary="Decide on an offer", tags=["flows"], operation_id="processUpsell")
def process(wanted: Annotated[ProcessUpsell, Body()], exchange: Exchange) -> Response[Session]:
    """Decide on an offer and go on to the next step; a second tap and a repetition get the session as it is.

    An accepted offer is charged to the session's vault, at the price that a service has set. Where that charge is
    declined, the offer counts as declined; where the provider does not answer, the session stays at its step, and
    goes on within minutes. While it is known to be down nothing is begun: `circuit-open`.
    """
    graph = exchange.graph

    def decide(record: Record, now: Millis) -> Begun:
        return upsell_decided(record, wanted, flow=graph.flow_of(record), now=now)

    change_with = partial(exchange.access.change_with, wanted.session_id)
    return answers.session(graph.payments.process(change_with, decide))


handler = app
