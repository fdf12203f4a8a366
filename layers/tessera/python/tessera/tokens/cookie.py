"""The browser's cookie: `__Host-tessera`, unreadable outside, HttpOnly, Secure, SameSite=Lax.

The prefix binds it to this host and to the path / (RFC 6265bis, section 4.1.3.2). It carries the session, the
epoch and the refresh token; it is as dead as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.shared.cookies import Cookie, SameSite

from tessera.errors import TokenInvalid
from tessera.model.caller import Caller
from tessera.model.clock import Millis
from tessera.model.record import Record
from tessera.tokens.access import expires_in
from tessera.tokens.sealed import Seal

NAME = "__Host-tessera"
PURPOSE = "cookie"


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """What the cookie says."""

    caller: Caller
    refresh_token: str


def bake(seal: Seal, record: Record, refresh_token: str, now: Millis) -> Cookie:
    """Return the cookie of a session; it lasts as long as the session may."""
    value = seal.close({"sub": record.id, "epoch": record.epoch, "refresh": refresh_token})
    return _cookie(value, expires_in(record.session.absolute_expires_at, now))


def cleared() -> Cookie:
    """Return the cookie that removes it."""
    return _cookie("", -1)  # Powertools writes Max-Age=0 for what is below 0


def _cookie(value: str, max_age: int) -> Cookie:
    return Cookie(NAME, value, path="/", secure=True, http_only=True, same_site=SameSite.LAX_MODE, max_age=max_age)


def read(seal: Seal, event: Mapping[str, Any]) -> SessionCookie | None:
    """Return what the request's cookie says, None when it has none.

    Raises:
        TokenInvalid: there is one and it does not open.

    """
    value = _value(event)
    if value is None:
        return None
    match seal.open(value):
        case {"sub": str(session_id), "epoch": int(epoch), "refresh": str(refresh_token)}:
            return SessionCookie(Caller(session_id, epoch, by_cookie=True), refresh_token)
        case _:
            raise TokenInvalid


def _value(event: Mapping[str, Any]) -> str | None:
    """API Gateway lists cookies apart; other front ends leave them in the header."""
    crumbs = event.get("cookies") or event.get("headers", {}).get("cookie", "").split(";")
    for crumb in crumbs:
        name, _, value = crumb.strip().partition("=")
        if name == NAME:
            return value
    return None
