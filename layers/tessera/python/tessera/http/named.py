"""The session that a body names, where the path names none."""

import json

from tessera.errors import NotFound
from tessera.http.exchange import Exchange, Holder
from tessera.model.caller import ME


def session_of_body(exchange: Exchange) -> Holder:
    """Return whose answer it is for Idempotency-Key: its record lies, and goes, with that session."""
    try:
        named = json.loads(exchange.event["body"] or "{}").get("sessionId")
        known = isinstance(named, str) and named != ME
        return Holder(exchange.graph.sessions.resolve(named)) if known else Holder()
    except (ValueError, AttributeError, NotFound):  # it is refused later, and errors are not kept
        return Holder()
