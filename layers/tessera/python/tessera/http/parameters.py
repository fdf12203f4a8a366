"""The parameter of the path that many operations have, and how any of a path is read."""

from typing import Annotated
from urllib.parse import unquote

from aws_lambda_powertools.event_handler.openapi.params import Path
from pydantic import BeforeValidator

decoded = BeforeValidator(unquote)
"""Undoes the encoding of a path's parameters, of which `http.exchange` sees to it that it is there."""

SessionId = Annotated[
    str,
    decoded,
    Path(alias="sessionId", description="A session id, an alias of one, or `me`: the token's own session."),
]
