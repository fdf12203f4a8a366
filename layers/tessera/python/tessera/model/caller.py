"""Who calls: a session by its own token or cookie, a service by its scopes, or nobody."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tessera.errors import (
    NotFound,
    NotYours,
    ScopeMissing,
    SessionNotFound,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
    TokenRevoked,
    Unauthorized,
)
from tessera.model.ids import is_session_id
from tessera.model.record import Record

ME = "me"


class Scope(StrEnum):
    """What a service token may do. `admin` implies all."""

    SESSIONS_READ = "sessions:read"
    SESSIONS_WRITE = "sessions:write"
    CUSTOMERS_WRITE = "customers:write"
    AGENTS_WRITE = "agents:write"
    SYSTEM_WRITE = "system:write"
    ADMIN = "admin"


REFUSALS: Mapping[str, type[Unauthorized]] = {
    problem.slug: problem for problem in (TokenMissing, TokenInvalid, TokenExpired, TokenRevoked)
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as the authorizer found; it travels to the handlers in the authorizer's context.

    A session has `session_id` and `epoch`; a service has `service` and `scopes`; nobody has a `refusal`,
    the slug of the reason.
    """

    session_id: str = ""
    epoch: int = 0
    service: str = ""
    scopes: frozenset[str] = frozenset()
    by_cookie: bool = False
    refusal: str = ""

    @property
    def name(self) -> str:
        """What tells callers apart; empty for nobody."""
        return self.session_id or self.service

    @property
    def is_service(self) -> bool:
        """Whether a service calls."""
        return bool(self.service)

    def context(self) -> dict[str, str]:
        """Write it as an authorizer context (which carries strings)."""
        return {
            "sessionId": self.session_id,
            "epoch": str(self.epoch),
            "service": self.service,
            "scopes": " ".join(sorted(self.scopes)),
            "byCookie": "1" if self.by_cookie else "",
            "refusal": self.refusal,
        }

    @staticmethod
    def of(context: Mapping[str, Any]) -> "Caller":
        """Read an authorizer context. An empty or foreign one is nobody: deny by default."""
        epoch = str(context.get("epoch"))
        caller = Caller(
            session_id=context.get("sessionId", ""),
            epoch=int(epoch) if epoch.isdecimal() else 0,
            service=context.get("service", ""),
            scopes=frozenset((context.get("scopes") or "").split()),
            by_cookie=context.get("byCookie") == "1",
            refusal=context.get("refusal", ""),
        )
        return caller if caller.name or caller.refusal else NOBODY

    def known(self) -> "Caller":
        """Return itself, or raise the Unauthorized that its refusal names."""
        if self.name:
            return self
        raise REFUSALS.get(self.refusal, TokenInvalid)

    def anonymous(self) -> "Caller":
        """Return who calls where nobody may call too: a session is nobody there, a service remains one.

        A cookie that came along by itself does not matter, nor does a token past its time; a forged one does.
        """
        if self.refusal == TokenInvalid.slug and not self.by_cookie:
            raise TokenInvalid
        return self if self.is_service else NOBODY

    def require(self, scope: Scope) -> None:
        """Raise ScopeMissing unless a service with the scope calls."""
        if not self.scopes & {scope, Scope.ADMIN}:
            raise ScopeMissing(scope=scope)

    def target(self, session_id: str, scope: Scope, resolve: Callable[[str], str]) -> str:
        """Return the session that the caller means and may reach for.

        A session reaches itself (`me`, its id, its aliases) and nothing else, whether that exists or not; a
        service with the scope reaches all. `resolve` maps an alias to an id or raises SessionNotFound.
        """
        if self.is_service:
            self.require(scope)
            if session_id == ME:
                raise SessionNotFound("A service token has no session of its own")
            return resolve(session_id)
        if session_id in (ME, self.session_id):
            return self.session_id
        try:
            if not is_session_id(session_id) and resolve(session_id) == self.session_id:
                return self.session_id
        except NotFound:
            pass  # unknown or another's: the caller must not learn which
        raise NotYours

    def admit(self, record: Record) -> Record:
        """Return the record unless it has left the caller's token behind. Revocation is immediate by this."""
        if self.session_id and (record.id != self.session_id or record.epoch != self.epoch):
            raise TokenRevoked
        return record


NOBODY = Caller(refusal=TokenMissing.slug)
"""No token, no cookie."""
