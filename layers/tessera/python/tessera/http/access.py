"""Access: what a caller may reach. Handlers get at sessions only through here, so that none forgets to ask."""

from collections.abc import Callable

from tessera.errors import NotYours, PreconditionFailed, SessionNotFound, TokenRevoked
from tessera.model.caller import ME, Caller, Scope
from tessera.model.changes import Admitted, Change, Clause
from tessera.model.clock import Clock, Millis
from tessera.model.record import Record
from tessera.stores.receipts import Receipt
from tessera.stores.session_store import Admit, Decision, SessionStore

type Decide = Callable[[Record, Millis], Change]
type Read = Callable[[Record], Record]
"""Raises what keeps a caller from reading the session as it is in the record; returns it."""

type DecideAll = Callable[[Record, Millis], Decision]


class Access:
    """The sessions as one caller may see and change them.

    Every method raises NotYours or ScopeMissing for what the caller must not reach, SessionNotFound and
    SessionExpired for what is not there, TokenRevoked when the session has left the caller's token behind.
    """

    def __init__(self, caller: Caller, sessions: SessionStore, clock: Clock, if_match: str | None) -> None:
        self.caller, self.sessions, self._clock, self._if_match = caller, sessions, clock, if_match

    def target(self, session_id: str, scope: Scope) -> str:
        """Return the id of the session that is meant."""
        return self.caller.target(session_id, scope, self.sessions.resolve)

    def get(self, session_id: str, *, degradable: bool = False) -> Record:
        """Return the live session; `degradable` as the store has it, for an answer that says so."""
        target = self.target(session_id, Scope.SESSIONS_READ)
        return _own(self.caller, lambda: self.caller.admit(self.sessions.get(target, degradable=degradable)))

    def find(self, session_id: str) -> Record:
        """Return the session, expired or not."""
        target = self.target(session_id, Scope.SESSIONS_READ)
        return _own(self.caller, lambda: self.caller.admit(self.sessions.find(target)))

    def change(self, session_id: str, decide: Decide) -> Record:
        """Change the live session as `decide` says of what it is at that moment; honours If-Match."""
        return self.change_with(session_id, lambda record, now: (decide(record, now), ()))

    def change_with(self, session_id: str, decide: DecideAll, receipt: Receipt | None = None) -> Record:
        """Change it and write other items with it, all or nothing; honours If-Match. `receipt` as in `using`."""

        def use(target: str, admit: Admit) -> Record:
            def decide_now(record: Record) -> Decision:
                now, clauses = admit(record)
                change, others = decide(record, now)
                return change | Change(clauses=clauses), others

            return self.sessions.change_with(target, decide_now)

        return self.using(session_id, use, receipt)

    def using[T](self, session_id: str, use: Callable[[str, Admit], T], receipt: Receipt | None = None) -> T:
        """Have a store change the session that is meant; it asks before each decision. Honours If-Match.

        Where it leaves a `receipt`, it is not let in a second time: it gets NothingToDo, with what was done.
        """
        target = self.target(session_id, Scope.SESSIONS_WRITE)
        return _own(self.caller, lambda: use(target, lambda record: self._admit(record, receipt)))

    def using_part[T](self, session_id: str, use: Callable[[str, Admit], T]) -> T:
        """Have a store change a part that has versions of its own: If-Match is about these."""
        target = self.target(session_id, Scope.SESSIONS_WRITE)
        return _own(self.caller, lambda: use(target, self._let_in))

    def reading_part[T](self, session_id: str, use: Callable[[str, Read], T]) -> T:
        """Have a store read the session and a part of it at once; it asks before it shows anything."""
        target = self.target(session_id, Scope.SESSIONS_READ)
        return _own(self.caller, lambda: use(target, lambda record: self.caller.admit(record).live(self._clock())))

    @property
    def conditional(self) -> bool:
        """Whether the request has an If-Match."""
        return self._if_match is not None

    def _admit(self, record: Record, receipt: Receipt | None) -> Admitted:
        """Let the caller change the live session, by If-Match in the version that was seen and no later one.

        What the request itself has done before has made another version of it: the receipt comes first.
        """
        now, _ = self._let_in(record)
        if receipt:
            receipt.check(record.id)
        self.check_version(record)
        return Admitted(now, (Clause(("version",), "is", record.session.version),) if self.conditional else ())

    def _let_in(self, record: Record) -> Admitted:
        now = self._clock()
        self.caller.admit(record).live(now)
        return Admitted(now)

    def delete(self, session_id: str, *, purge: bool = False) -> None:
        """Delete the session, with `purge` its archived conversations too; honours If-Match.

        A service deletes without reading, so that it can delete what nobody can read any more.
        """
        target, version = self.target(session_id, Scope.SESSIONS_WRITE), None
        if self._if_match is not None or self.caller.session_id:
            record = _own(self.caller, lambda: self.caller.admit(self.sessions.find(target)))
            self.check_version(record)
            version = None if self._if_match is None else record.session.version
        if not self.sessions.delete(target, version, purge=purge) and self.caller.is_service:
            raise SessionNotFound

    def customer(self, customer_id: str) -> None:
        """Refuse a customer who is not the caller's own; a service reads of all."""
        if self.caller.is_service:
            self.caller.require(Scope.SESSIONS_READ)
        elif self.get(ME).session.customer_id != customer_id:
            raise NotYours

    def check_version(self, record: Record) -> None:
        """Raise PreconditionFailed unless If-Match (RFC 9110, section 13.1.1) is absent or names the version."""
        check_if_match(self._if_match, record.session.version)


def check_if_match(if_match: str | None, version: int | None) -> None:
    """Raise PreconditionFailed unless If-Match is absent or names the version, None for what is not there."""
    if if_match is not None and not _names(if_match, version):
        raise PreconditionFailed(version=version)


def check_if_none_match(if_none_match: str | None, version: int | None) -> None:
    """Raise PreconditionFailed if If-None-Match (RFC 9110, section 13.1.2: weakly) names the version."""
    if if_none_match is not None and _names(if_none_match.replace('W/"', '"'), version):
        raise PreconditionFailed(version=version)


def _names(tags: str, version: int | None) -> bool:
    listed = [tag.strip() for tag in tags.split(",")]
    return version is not None and ("*" in listed or version_tag(version) in listed)


def _own[T](caller: Caller, use: Callable[[], T]) -> T:
    """Return what the use of a session gives. To a session's own token a deleted session is a revoked token."""
    try:
        return use()
    except SessionNotFound as gone:
        if caller.session_id:
            raise TokenRevoked from gone
        raise


def etag(record: Record) -> str:
    """Return the entity tag of a session: its version."""
    return version_tag(record.session.version)


def version_tag(version: int) -> str:
    """Return a version as an entity tag (RFC 9110, section 8.8.3)."""
    return f'"{version}"'
