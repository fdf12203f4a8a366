"""The bodies of the token operations."""

from typing import Literal

from pydantic import Field

from tessera.model.bodies import Body
from tessera.model.clock import Moment
from tessera.model.session import Model, Session


class Tokens(Model):
    """The tokens of a session."""

    access_token: str = Field(description="A JWT; send it as Authorization: Bearer.")
    refresh_token: str = Field(description="Opaque; for POST /tokens/refresh, each only once.")
    expires_in: int = Field(description="Seconds until the access token expires.")


class SessionWithTokens(Model):
    """A session and the tokens that open it."""

    session: Session
    tokens: Tokens


class RefreshRequest(Body):
    """The body of POST /tokens/refresh; empty where the cookie carries the token."""

    refresh_token: str | None = Field(default=None, max_length=200)


class RevokeRequest(Body):
    """The body of POST /tokens/revoke."""

    scope: Literal["this", "others", "all"] = Field(
        description="this: the caller's session. others: the customer's other sessions. all: both."
    )


class Revoked(Model):
    """How many sessions lost their tokens."""

    revoked: int


class SocketTicket(Model):
    """What opens one WebSocket connection, once, until then."""

    ticket: str
    expires_at: Moment
