"""Pushes to the browsers of a session, and where they are kept.

    SESSION#<id>   PUSH#<id>   {endpoint, p256dh, auth, changes, createdAt}

Whoever is told by a push service that a browser is gone (404, 410) forgets it.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from tessera.model.clock import Clock
from tessera.model.frames import compact
from tessera.model.push import PushSubscription, Registered, subscription_id
from tessera.model.record import Record, ttl
from tessera.realtime.webpush import MAX_PLAIN, Vapid, encrypted
from tessera.stores.keys import PUSH, child_key, partition
from tessera.stores.table import Item, Key, Put, Table

_GONE = (404, 410)


class PushService(Protocol):
    """What takes a push: the address of a browser's push service."""

    def post(self, endpoint: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Return the status; 599 for silence."""
        ...


class HttpPushService:
    """Implements `PushService` over HTTP."""

    def __init__(self) -> None:
        import urllib3  # noqa: PLC0415 - only who pushes pays for it

        self._pool = urllib3.PoolManager(timeout=urllib3.Timeout(total=5), retries=False)
        self._error = urllib3.exceptions.HTTPError

    def post(self, endpoint: str, body: bytes, headers: Mapping[str, str]) -> int:
        """See PushService."""
        try:
            return self._pool.request("POST", endpoint, body=body, headers=dict(headers), redirect=False).status
        except self._error:
            return 599


class Pushes:
    """The push subscriptions of sessions."""

    def __init__(self, table: Table, vapid: Vapid, service: PushService, clock: Clock) -> None:
        self._table, self.vapid, self._service, self._clock = table, vapid, service, clock

    def registered(self, record: Record, wanted: PushSubscription) -> Put:
        """Return what registers a browser, again if need be."""
        last = ttl(record.session.absolute_expires_at, record.retention_seconds)
        return Put(
            {
                **child_key(record.id, PUSH + subscription_id(wanted.endpoint))._asdict(),
                "endpoint": wanted.endpoint,
                "p256dh": wanted.keys.p256dh,
                "auth": wanted.keys.auth,
                "changes": list(wanted.changes),
                "createdAt": self._clock(),
                "ttl": last,
            }
        )

    def of(self, session_id: str) -> list[Registered]:
        """Return what is registered."""
        return [shown(item) for item in self._table.query(partition(session_id), PUSH)]

    def remove(self, session_id: str, subscription: str) -> bool:
        """Forget a browser; False when it was not known."""
        return self._table.delete(child_key(session_id, PUSH + subscription))

    def tell(self, session_id: str, told: Mapping[str, Any]) -> int:
        """Push a change to the browsers that want to hear of it; return how many took it."""
        text = compact(told)
        if len(text.encode()) > MAX_PLAIN:
            text = compact({**told, "patch": None})
        wanting = [
            item for item in self._table.query(partition(session_id), PUSH) if told["change"] in item["changes"]
        ]
        return sum(self._pushed(item, text.encode()) for item in wanting)

    def _pushed(self, item: Item, plain: bytes) -> bool:
        body = encrypted(plain, item["p256dh"], item["auth"])
        status = self._service.post(item["endpoint"], body, self.vapid.headers(item["endpoint"], self._clock()))
        if status in _GONE:
            self._table.delete(Key(item["pk"], item["sk"]))
        return 200 <= status < 300  # noqa: PLR2004 - the successes of HTTP


def shown(item: Item) -> Registered:
    """Return a subscription as it is shown: its address would let others push."""
    return Registered(id=item["sk"].removeprefix(PUSH), changes=item["changes"], created_at=item["createdAt"])
