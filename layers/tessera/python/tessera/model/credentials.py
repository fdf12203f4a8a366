"""The credentials of a session: login, rotation with replay, reuse detection, revocation.

Only hashes come here; the secrets stay with `tessera.tokens`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tessera.errors import Invalid, LinkedToAnother, SessionExists, TokenRevoked
from tessera.model.changes import Change, Clause
from tessera.model.clock import DAY_SECONDS, SECOND, Millis
from tessera.model.life import touched
from tessera.model.record import REFRESH_ATTRIBUTES, Record, Refresh, refresh_attributes
from tessera.model.session import Session

GRACE: Millis = 30 * SECOND
"""For how long a rotated refresh token still leads to its successor."""

_REMEMBERED = 20
MAX_CLAIMS_BYTES = 1_024


@dataclass(frozen=True, slots=True)
class Presented:
    """A refresh token that came: its generation, its hash, and whether we issued it in the present family."""

    generation: int
    hash: str
    genuine: bool


def rotated(record: Record, presented: Presented, successor_hash: str, now: Millis) -> Change:
    """Decide a refresh; `successor_hash` is of the token of the next generation.

    In time order, for one token presented by twenty tabs at once: the first writes the successor on the
    condition that the token is still the present one; the others find that condition broken, see that the
    token was rotated just now, and get the same successor, since it is derived and not drawn. Later than the
    grace it is a stolen one, or the thief was first: the whole family is revoked (RFC 9700, section 4.14.2).

    Raises:
        TokenRevoked: the token is of no present family, or made up.

    """
    refresh = record.refresh
    if refresh is None:
        raise TokenRevoked
    if presented.hash == refresh.hash or (presented.genuine and presented.generation == refresh.generation):
        recent = [at for at in refresh.rotated_at if now - at <= GRACE][-_REMEMBERED:]
        following = Refresh(successor_hash, refresh.family, refresh.generation + 1, (*recent, now))
        present = Clause(("refreshHash",), "is", refresh.hash)
        return _credentials(following) | Change(clauses=(present,)) | touched(record, now)
    if not presented.genuine or presented.generation > refresh.generation:
        raise TokenRevoked
    if _in_grace(refresh, presented.generation, now):
        return Change(clauses=(_same_epoch(record),)) | touched(record, now)
    return revoked(record, now)


def _in_grace(refresh: Refresh, generation: int, now: Millis) -> bool:
    ago = refresh.generation - generation
    return ago <= len(refresh.rotated_at) and now - refresh.rotated_at[-ago] <= GRACE


def revoked(record: Record, now: Millis) -> Change:
    """Kill every token and cookie of the session. It lives on, without a holder."""
    return Change(
        {("epoch",): next_epoch(record, now), ("updatedAt",): now},
        remove=frozenset((name,) for name in REFRESH_ATTRIBUTES),
        clauses=(_same_epoch(record),),
    )


def _same_epoch(record: Record) -> Clause:
    return Clause(("epoch",), "is", record.epoch)


def _credentials(refresh: Refresh) -> Change:
    return Change({(name,): value for name, value in refresh_attributes(refresh).items()})


def logged_in(
    record: Record, customer_id: str, claims: Mapping[str, Any], refresh: Refresh, now: Millis
) -> Change:
    """Link the session to the customer under new credentials; every older token and cookie dies.

    A session of another customer is refused: it holds what is theirs. The device needs a new session.

    This is the privilege change at which a session must renew (OWASP ASVS 7.2): whoever planted the
    session on a victim holds nothing afterwards.
    """
    if len(json.dumps(dict(claims)).encode()) > MAX_CLAIMS_BYTES:
        raise Invalid.at("/claims", f"at most {MAX_CLAIMS_BYTES} bytes")
    known = record.session.customer
    if record.session.customer_id not in (None, customer_id):
        raise LinkedToAnother
    customer = (known.model_dump(by_alias=True, exclude_none=True) if known else {}) | {"customerId": customer_id}
    link: dict[tuple[str, ...], Any] = {
        ("customer",): customer,
        ("customerId",): customer_id,
        ("claims",): dict(claims),
    }
    unchanged = Clause(("version",), "is", record.session.version)
    return Change(link, clauses=(unchanged,)) | reissued(record, refresh, now)


def reissued(record: Record, refresh: Refresh, now: Millis) -> Change:
    """Begin a new family of credentials; every older token and cookie dies."""
    epoch = Change({("epoch",): next_epoch(record, now)}, clauses=(_same_epoch(record),))
    return epoch | _credentials(refresh) | touched(record, now)


def next_epoch(record: Record, now: Millis) -> int:
    """Epochs only grow, also when a clock goes back."""
    return max(now, record.epoch + 1)


def recovered(found: Record, wanted: Record, refresh: Refresh, now: Millis) -> Change:
    """Take up a session whose creation was answered into the void: its tokens are lost, so it gets new ones.

    Raises:
        SessionExists: another session was wanted, or this one was used since, or is a day old.

    """
    same = _as_born(found.session) == _as_born(wanted.session) and found.parts == wanted.parts
    if not same or now - found.session.created_at > DAY_SECONDS * SECOND or not found.session.live(now):
        raise SessionExists
    return reissued(found, refresh, now)


def _as_born(session: Session) -> dict[str, Any]:
    """What two creations by the same request have in common: everything but the times."""
    return {name: value for name, value in session.model_dump().items() if not name.endswith("_at")}
