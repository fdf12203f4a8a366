"""What operations ask for by Depends, and the parameter that many of them have.

One dependency, not several: Powertools looks up the type hints of each anew for every request.
"""

from typing import Annotated
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import Depends, Request
from aws_lambda_powertools.event_handler.openapi.params import Path
from pydantic import BeforeValidator

from tessera.http.exchange import Exchange


def exchange(request: Request) -> Exchange:
    """Return the request in full, with what its caller may reach."""
    return request.context["exchange"]


decoded = BeforeValidator(unquote)
"""Undoes the encoding of a path's parameters, of which `exchange` sees to it that it is there."""

ExchangeDep = Annotated[Exchange, Depends(exchange)]
SessionId = Annotated[
    str,
    decoded,
    Path(alias="sessionId", description="A session id, an alias of one, or `me`: the token's own session."),
]
