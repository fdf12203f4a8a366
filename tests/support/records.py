"""Sessions for tests, made the way the service makes them."""

from typing import Any

from tessera.model.bodies import CreateSession
from tessera.model.ids import new_session_id
from tessera.model.kinds import kinds
from tessera.model.life import born
from tessera.model.record import Record, Refresh
from tests.support.fakes import START

KINDS = kinds({"chat": {"cacheSeconds": 2}})


def session(*, now: int = START, session_id: str | None = None, **body: Any) -> Record:
    """Return a new session of `POST /sessions` with that body (camelCase), created by a service."""
    wanted = CreateSession.model_validate(body)
    refresh = Refresh("hash-0", "family")
    return born(session_id or new_session_id(), wanted, kinds=KINDS, by_service=True, refresh=refresh, now=now)


def of_customer(customer_id: str, **body: Any) -> Record:
    """Return a new session that is linked to the customer."""
    return session(customer={"customerId": customer_id}, **body)
