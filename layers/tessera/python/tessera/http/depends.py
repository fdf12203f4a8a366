"""What operations ask for by Depends, and the parameters that many of them have."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Depends, Request
from aws_lambda_powertools.event_handler.openapi.params import Path

from tessera.http.access import Access
from tessera.http.exchange import Exchange
from tessera.wiring import Graph


def exchange(request: Request) -> Exchange:
    """Return the request in full."""
    return request.context["exchange"]


def graph(request: Request) -> Graph:
    """Return the container's object graph."""
    return exchange(request).graph


def access(request: Request) -> Access:
    """Return what the caller may reach."""
    at = exchange(request)
    return Access(at.caller, at.graph.sessions, at.graph.clock, at.headers.get("if-match"))


ExchangeDep = Annotated[Exchange, Depends(exchange)]
GraphDep = Annotated[Graph, Depends(graph)]
AccessDep = Annotated[Access, Depends(access)]
SessionId = Annotated[
    str,
    Path(alias="sessionId", description="A session id, an alias of one, or `me`: the token's own session."),
]
