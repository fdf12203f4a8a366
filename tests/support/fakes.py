"""Fakes with behaviour: a clock that one moves, a secret that counts looks, clients and stores that fail.

A store is a table or a bucket.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError

from tessera.errors import Unavailable
from tessera.model.clock import SECOND, Millis
from tessera.stores.bucket import Bucket
from tessera.stores.table import Table
from tessera.tokens.keyring import Keys, new_ring

START: Millis = 1_795_169_000_000
"""A Friday in November 2026, some minutes past the hour."""


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self, now: Millis = START) -> None:
        self.now = now

    def __call__(self) -> Millis:
        return self.now

    def forward(self, seconds: float = 0, *, ms: Millis = 0) -> Millis:
        """Move on; return the new time."""
        self.now += int(seconds * SECOND) + ms
        return self.now


class FakeSecret:
    """The secret with the key ring: `looks` counts those that went past the cache to Secrets Manager."""

    def __init__(self, ring: Mapping[str, Any] | None = None) -> None:
        self.ring: Mapping[str, Any] = ring or new_ring(START)
        self.looks = 0
        self._cached = self.ring

    def fetch(self, fresh: bool) -> str:
        if fresh:
            self.looks += 1
            self._cached = self.ring
        return json.dumps(self._cached)

    def keys(self, clock: Callable[[], Millis]) -> Keys:
        """Return a container's view of the secret."""
        return Keys(self.fetch, clock)


class Crash(BaseException):
    """The container died here: nothing that it runs catches this."""


class CrashingStore:
    """A store before which the container dies: at its call number `at`, counted from 0, and at all later ones.

    With `after` it dies when the call has been done, before anybody hears of it.
    """

    def __init__(
        self, store: Table | Bucket, at: int, *, after: bool = False, calls: Iterator[int] | None = None
    ) -> None:
        self._store, self._at, self._after, self._calls = store, at, after, calls or count()

    def beside(self, store: Table | Bucket) -> "CrashingStore":
        """Return another store of the same container: the calls of both count."""
        return CrashingStore(store, self._at, after=self._after, calls=self._calls)

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            number = next(self._calls)
            if number > self._at or (number == self._at and not self._after):
                raise Crash
            answer = getattr(self._store, verb)(*arguments, **options)
            # What a generator reads counts as one call.
            answer = iter(list(answer)) if isinstance(answer, Iterator) else answer
            if number == self._at:
                raise Crash
            return answer

        return call


class InterruptedStore:
    """A store where others act in between: `meanwhile` is called once, before the first call of `verb`."""

    def __init__(self, store: Table | Bucket, verb: str, meanwhile: Callable[[], object]) -> None:
        self._store, self._verb, self._meanwhile = store, verb, meanwhile

    def __getattr__(self, verb: str) -> Any:
        if verb == self._verb:
            self._verb = ""
            self._meanwhile()
        return getattr(self._store, verb)


class OvertakenStore:
    """A store whose container is overtaken: `meanwhile` is called once, before its call number `at`, from 0 on."""

    def __init__(
        self, store: Table | Bucket, at: int, meanwhile: Callable[[], object], calls: Iterator[int] | None = None
    ) -> None:
        self._store, self._at, self._meanwhile, self._calls = store, at, meanwhile, calls or count()

    def beside(self, store: Table | Bucket) -> "OvertakenStore":
        """Return another store of the same container: the calls of both count."""
        return OvertakenStore(store, self._at, self._meanwhile, self._calls)

    def __getattr__(self, verb: str) -> Any:
        if next(self._calls) == self._at:
            self._meanwhile()
        return getattr(self._store, verb)


class FailingStore:
    """A store that can be switched off."""

    def __init__(self, store: Table | Bucket) -> None:
        self._store = store
        self.down = False
        self.calls: defaultdict[str, int] = defaultdict(int)

    def __getattr__(self, verb: str) -> Any:
        self.calls[verb] += 1
        if self.down:
            raise Unavailable
        return getattr(self._store, verb)


class StingyClient:
    """A DynamoDB client whose batches do only `at_once` keys each time and give the rest back as unprocessed."""

    def __init__(self, client: Any, at_once: int) -> None:
        self._client, self._at_once = client, at_once
        self.requests: list[int] = []
        """The sizes of the batches that were asked for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def batch_get_item(self, *, RequestItems: dict[str, Any]) -> Any:  # noqa: N803 - the SDK's name
        ((table, request),) = RequestItems.items()
        self.requests.append(len(request["Keys"]))
        done, left = request["Keys"][: self._at_once], request["Keys"][self._at_once :]
        answer = self._client.batch_get_item(RequestItems={table: {**request, "Keys": done}})
        return {**answer, "UnprocessedKeys": {table: {**request, "Keys": left}} if left else {}}

    def batch_write_item(self, *, RequestItems: dict[str, Any]) -> Any:  # noqa: N803 - the SDK's name
        ((table, request),) = RequestItems.items()
        self.requests.append(len(request))
        done, left = request[: self._at_once], request[self._at_once :]
        answer = self._client.batch_write_item(RequestItems={table: done}) if done else {}
        return {**answer, "UnprocessedItems": {table: left} if left else {}}


class RefusingClient:
    """A DynamoDB client that answers everything with one error of AWS, or with none at all."""

    def __init__(self, code: str | None, **details: Any) -> None:
        self._code, self._details = code, details

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def refuse(**_: Any) -> Any:
            if self._code is None:
                raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
            raise ClientError({"Error": {"Code": self._code}, **self._details}, operation)

        return refuse


class FakeEvents:
    """Events, by the sessions that they name; none are taken while it is down."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.down = False

    def orders_completed(self, session_ids: Sequence[str]) -> None:
        if self.down:
            raise Unavailable
        self.told += session_ids


class FakeLetters:
    """Dead letters, in the order in which they came."""

    def __init__(self) -> None:
        self.letters: list[Mapping[str, Any]] = []

    def put(self, letter: Mapping[str, Any]) -> None:
        self.letters.append(letter)


class FakeWebhook:
    """The secret with the webhook; a container remembers the last one that it saw."""

    def __init__(self) -> None:
        self.address: str | None = None
        self._cached = "{}"

    def fetch(self, fresh: bool) -> str:
        if fresh:
            self._cached = json.dumps({"webhook": self.address} if self.address else {})
        return self._cached
