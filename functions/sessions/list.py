"""GET /sessions: the live sessions of a customer, newest first: their devices."""

from typing import Annotated

from tessera.errors import Invalid, NotYours, SessionExpired
from tessera.http import cursors
from tessera.http.access import Access
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.model.caller import ME, Scope
from tessera.model.session import SessionPage

from aws_lambda_powertools.event_handler.openapi.params import Query

app = Api("sessions.list", raises=(NotYours, SessionExpired))

CustomerId = Annotated[
    str | None,
    Query(alias="customerId", min_length=1, max_length=200, description="By default the caller's own."),
]
Limit = Annotated[int, Query(ge=1, le=100, description="Sessions on a page, at most.")]
Cursor = Annotated[str | None, Query(max_length=200, description="From the page before.")]


@app.get("/sessions", summary="List a customer's sessions", tags=["sessions"], operation_id="listSessions")
def list_sessions(
    exchange: Exchange, customer_id: CustomerId = None, limit: Limit = 50, cursor: Cursor = None
) -> SessionPage:
    """Return a page. A session sees those of its own customer, a service those of any."""
    access = exchange.access
    whose = _whose(access, customer_id)
    if whose is None:
        return SessionPage(sessions=[access.get(ME).session], cursor=None)
    records, last = access.sessions.of_customer(whose, limit, cursors.read(cursor))
    return SessionPage(sessions=[record.session for record in records], cursor=cursors.write(last))


def _whose(access: Access, customer_id: str | None) -> str | None:
    """Return the customer that is meant; None for a session that has none: it sees itself alone."""
    if access.caller.is_service:
        access.caller.require(Scope.SESSIONS_READ)
        if customer_id is None:
            raise Invalid.at("query/customerId", "is needed from a service")
        return customer_id
    own = access.get(ME).session.customer_id
    if customer_id not in (None, own):
        raise NotYours
    return own


handler = app
