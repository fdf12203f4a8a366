"""Push subscriptions: what a browser gives us so that we can reach it when no socket of its session is open."""

import base64
import hashlib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from tessera.errors import Invalid
from tessera.model.bodies import Body
from tessera.model.changes import Change, Clause
from tessera.model.clock import Millis, Moment
from tessera.model.life import touched
from tessera.model.record import Record
from tessera.model.session import Model
from tessera.model.values import storable

PART = "push"
"""The part of a session (`Record.parts`) that its push subscriptions are."""

type Told = Literal["session", "flow", "data", "messages", "cart"]
_POINT_BYTES, _SECRET_BYTES = 65, 16


def _of_bytes(length: int) -> AfterValidator:
    def check(text: str) -> str:
        if len(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))) != length:
            raise ValueError(f"must be {length} bytes in base64url")
        return text

    return AfterValidator(check)


class PushKeys(Body):
    """The keys of a browser, in base64url."""

    p256dh: Annotated[str, Field(max_length=200), _of_bytes(_POINT_BYTES)] = Field(alias="p256dh")
    auth: Annotated[str, Field(max_length=100), _of_bytes(_SECRET_BYTES)]


class PushSubscription(Body):
    """The body of POST …/push-subscriptions: PushSubscription.toJSON() of a browser, and what to tell."""

    endpoint: Annotated[str, Field(max_length=1_000), AfterValidator(storable)]
    keys: PushKeys
    expiration_time: int | None = Field(default=None, description="Of the browser; not looked at.")
    changes: Annotated[list[Told], Field(max_length=5)] = Field(
        default=["messages"], description="Which changes of the session are worth a push."
    )


class Registered(Model):
    """A push subscription as it is shown."""

    id: str
    changes: list[str]
    created_at: Moment


class PushSubscriptions(Model):
    """What a page needs to subscribe (`publicKey` is its applicationServerKey), and what there is."""

    public_key: str
    subscriptions: list[Registered]


def subscription_id(endpoint: str) -> str:
    """Return the id of a subscription: the same browser is registered once."""
    return hashlib.sha256(endpoint.encode()).hexdigest()[:32]


def check_host(endpoint: str, hosts: Sequence[str]) -> None:
    """Raise Invalid unless it is an address of a push service: nobody makes us call another."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    plain = parts.scheme == "http" and host in ("127.0.0.1", "localhost")
    if not (parts.scheme == "https" or plain) or not any(fnmatchcase(host, pattern) for pattern in hosts):
        raise Invalid.at("/endpoint", "must be an address of a push service that is known here")


def noted(record: Record, now: Millis) -> Change:
    """Decide what a registration does to the session itself; the clean-up knows of it then."""
    if PART in record.parts:
        return touched(record, now)
    parts = list(record.parts)
    # Two that each add their own part must not forget the other's.
    return touched(record, now) | Change({("parts",): [*parts, PART]}, clauses=(Clause(("parts",), "is", parts),))
