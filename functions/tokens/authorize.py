"""The Lambda authorizer of the HTTP API (payload 2.0, simple response).

It says who calls and lets every request pass: an HTTP API can neither answer 401 nor shape a denial as a problem
document. The adapter in each function denies by default what is not said here (docs/decisions/0003).
"""

from collections.abc import Mapping
from typing import Any

from tessera.entry import Entry, Remaining
from tessera.errors import Unauthorized
from tessera.model.caller import NOBODY, Caller
from tessera.tokens import cookie
from tessera.wiring import Graph


def authorize(event: Mapping[str, Any], graph: Graph, _: Remaining) -> dict[str, Any]:
    """Return the caller as the authorizer context."""
    return {"isAuthorized": True, "context": _caller(event, graph).context()}


def _caller(event: Mapping[str, Any], graph: Graph) -> Caller:
    """A bearer token comes before a cookie: who sends one means it."""
    scheme, _, token = event.get("headers", {}).get("authorization", "").partition(" ")
    by_cookie = not scheme
    try:
        if not by_cookie:
            return graph.access_tokens.verify(token.strip() if scheme.lower() == "bearer" else "")
        found = cookie.read(graph.seal(cookie.PURPOSE), event)
    except Unauthorized as refusal:
        return Caller(by_cookie=by_cookie, refusal=refusal.slug)
    return found.caller if found else NOBODY


handler = Entry("tokens.authorize", authorize, needs_keys=True)
