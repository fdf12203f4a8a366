"""POST /tokens/revoke: log out this session, the customer's other ones, or all."""

from contextlib import suppress
from typing import Annotated

from tessera.errors import SessionNotFound
from tessera.http import answers
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.model.caller import ME
from tessera.model.changes import Change
from tessera.model.credentials import revoked
from tessera.model.record import Record
from tessera.tokens.cookie import cleared
from tessera.tokens.models import Revoked, RevokeRequest

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

app = Api("tokens.revoke", raises=(SessionNotFound,))

_PAGE = 100


@app.post("/tokens/revoke", summary="Revoke tokens", tags=["tokens"], operation_id="revokeTokens")
def revoke(wanted: Annotated[RevokeRequest, Body()], exchange: Exchange) -> Response[Revoked]:
    """Kill every token and cookie of the sessions in scope, at once."""
    own = exchange.access.find(ME)
    revoked_others = _revoke_others(exchange, own) if wanted.scope != "this" else 0
    if wanted.scope == "others":
        return Response(200, answers.JSON, Revoked(revoked=revoked_others))
    clock = exchange.graph.clock
    exchange.graph.sessions.change(own.id, lambda found: revoked(exchange.caller.admit(found), clock()))
    return Response(200, answers.JSON, Revoked(revoked=revoked_others + 1), cookies=[cleared()])


def _revoke_others(exchange: Exchange, own: Record) -> int:
    """Revoke the customer's other live sessions, page by page; return how many had tokens.

    Those that have none any more are passed over, so that a repetition goes on where a call was cut short.
    """
    customer_id = own.session.customer_id
    if customer_id is None:
        return 0
    sessions, count, start = exchange.graph.sessions, 0, None

    def decide(found: Record) -> Change:
        if found.session.customer_id != customer_id:
            raise SessionNotFound
        return revoked(found, exchange.graph.clock())

    while True:
        records, start = sessions.of_customer(customer_id, _PAGE, start)
        for record in records:
            if record.id != own.id and record.refresh is not None:
                with suppress(SessionNotFound):  # deleted meanwhile: it has no token left
                    sessions.change(record.id, decide)
                    count += 1
        if start is None:
            return count


handler = app
