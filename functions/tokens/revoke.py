"""POST /tokens/revoke: log out this session, the customer's other ones, or all."""

from contextlib import suppress
from typing import Annotated

from tessera.errors import SessionNotFound
from tessera.http import answers
from tessera.http.access import Access
from tessera.http.api import Api
from tessera.http.depends import ExchangeDep
from tessera.model.caller import ME
from tessera.model.credentials import revoked
from tessera.model.record import Record
from tessera.tokens.cookie import cleared
from tessera.tokens.models import Revoked, RevokeRequest

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

app = Api("tokens.revoke", raises=(SessionNotFound,))

_PAGE = 100


@app.post("/tokens/revoke", summary="Revoke tokens", tags=["tokens"], operation_id="revokeTokens")
def revoke(wanted: Annotated[RevokeRequest, Body()], exchange: ExchangeDep) -> Response[Revoked]:
    """Kill every token and cookie of the sessions in scope, at once."""
    access = exchange.access
    own = access.find(ME)
    others = _others(access, own) if wanted.scope != "this" else []
    for record in others:
        with suppress(SessionNotFound):  # deleted meanwhile: it has no token left
            access.sessions.change(record.id, lambda found: revoked(found, exchange.graph.clock()))
    if wanted.scope == "others":
        return Response(200, answers.JSON, Revoked(revoked=len(others)))
    access.change(ME, revoked, dead_too=True)
    return Response(200, answers.JSON, Revoked(revoked=len(others) + 1), cookies=[cleared()])


def _others(access: Access, own: Record) -> list[Record]:
    """Return the customer's other live sessions."""
    customer_id, found = own.session.customer_id, list[Record]()
    if customer_id is None:
        return found
    records, last = access.sessions.of_customer(customer_id, _PAGE)
    found += records
    while last:
        records, last = access.sessions.of_customer(customer_id, _PAGE, last)
        found += records
    return [record for record in found if record.id != own.id]


handler = app
