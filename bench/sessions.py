"""Sessions to measure with, made as the service makes them, and the events that ask for them."""

import json
from typing import Any

from bench.engines import client
from local.paths import EVENTS
from tessera.model.bodies import CreateSession
from tessera.model.clock import Millis, system_clock
from tessera.model.ids import new_session_id
from tessera.model.kinds import kinds
from tessera.model.life import born
from tessera.model.record import Record, Refresh
from tessera.stores.dynamodb import DynamoTable
from tessera.stores.sessions import Sessions
from tessera.stores.tiers import Tiers

_CUSTOMER = {"firstName": "Ada", "lastName": "Lovelace", "phone": "+44 20 7946 0000"}
_PRODUCTS = [{"sku": "tea-0001", "name": "Darjeeling", "quantity": 2, "price": 1290}]
_REFRESH = Refresh("0" * 64, "1" * 32)


def checkout(now: Millis, *, idle_seconds: int | None = None, with_data: bool = False) -> Record:
    """Return a checkout session of a usual size: e-mail, customer, one product."""
    body = {
        "kind": "checkout",
        "email": "ada@example.com",
        "customer": _CUSTOMER,
        "products": _PRODUCTS,
        "amount": 2580,
        "currency": "EUR",
        "ttlSeconds": idle_seconds,
        "data": {"cart": {"note": "gift"}} if with_data else None,
    }
    wanted = CreateSession.model_validate(body)
    return born(new_session_id(), wanted, kinds=kinds({}), by_service=True, refresh=_REFRESH, now=now)


def form(now: Millis) -> Record:
    """Return a form session of somebody unknown."""
    wanted = CreateSession(kind="form")
    return born(new_session_id(), wanted, kinds=kinds({}), by_service=False, refresh=_REFRESH, now=now)


def chat(now: Millis) -> Record:
    """Return a chat session of somebody unknown."""
    wanted = CreateSession(kind="chat")
    return born(new_session_id(), wanted, kinds=kinds({}), by_service=False, refresh=_REFRESH, now=now)


def store(url: str, table: str) -> Sessions:
    """Return the sessions in the table of an engine."""
    return Sessions(DynamoTable(client(url), table, Tiers()), system_clock, shards=16)


def stored(url: str, table: str) -> Record:
    """Write a checkout session to the table of an engine and return it."""
    record = checkout(system_clock())
    store(url, table).create(record, {})
    return record


def get_event(record: Record) -> dict[str, Any]:
    """Return the HTTP API event with which a session reads itself by its own access token."""
    return event_of("sessions/get", record)


def event_of(name: str, record: Record) -> dict[str, Any]:
    """Return the sample event of an operation on a session, by its own access token, without a query."""
    event = json.loads((EVENTS / f"{name}.json").read_text())
    if named := event.get("pathParameters"):
        path = event["rawPath"].replace(named["sessionId"], record.id)
        event |= {"rawPath": path, "pathParameters": named | {"sessionId": record.id}}
        event["requestContext"]["http"]["path"] = path
    event["rawQueryString"] = ""
    event["requestContext"]["authorizer"]["lambda"] = {
        "sessionId": record.id,
        "epoch": str(record.epoch),
        "service": "",
        "scopes": "",
        "byCookie": "",
        "refusal": "",
    }
    event.pop("queryStringParameters", None)
    return event
