"""$connect: a socket opens, for who brings a ticket. No other check is there: the gateway has no authorizer."""

from typing import Any

from tessera.entry import Entry, Remaining
from tessera.errors import BadRequest, CrossSiteRequest, Problem
from tessera.http import origins, problems
from tessera.model import frames
from tessera.telemetry import SOCKETS
from tessera.wiring import Graph

PROTOCOL = "tessera.v1"
_TICKET = "ticket."


def connect(event: dict[str, Any], graph: Graph, _remaining: Remaining) -> dict[str, Any]:
    """Let the connection in and echo the protocol, never the ticket; or answer the problem's status."""
    context = event["requestContext"]
    if context.get("eventType") == "MESSAGE":  # a frame of the type $connect
        return {"statusCode": 200, "body": frames.refuse(event.get("body") or "")}
    sent: dict[str, str] = event.get("headers") or {}
    headers = {name.lower(): value for name, value in sent.items()}
    try:
        ticket = _ticket(headers.get("sec-websocket-protocol", ""))
        origin = headers.get("origin")
        if origin is not None and not origins.is_allowed(origin, graph.settings.allowed_origins):
            raise CrossSiteRequest("Sockets are opened by pages of allowed Origins")
        graph.sockets.open(context["connectionId"], ticket)
    except Problem as problem:
        graph.telemetry.log.info("refused", reason=problem.slug)
        return problems.answer(problem)
    graph.telemetry.count(SOCKETS)
    return {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": PROTOCOL}}


def _ticket(offered: str) -> str:
    """Return the ticket among the protocols that are offered."""
    protocols = [protocol.strip() for protocol in offered.split(",")]
    tickets = [protocol.removeprefix(_TICKET) for protocol in protocols if protocol.startswith(_TICKET)]
    if PROTOCOL not in protocols or len(tickets) != 1:
        raise BadRequest(f"Connect with Sec-WebSocket-Protocol: {PROTOCOL}, {_TICKET}<ticket>")
    return tickets[0]


handler = Entry("realtime.connect", connect)
