"""Repetitions by whoever calls us: what was cancelled, or failed, and is then asked for again."""

import hashlib
import json
from threading import Lock
from typing import Any
from uuid import uuid4

from tessera_client.errors import Problem

NOT_KEPT = "answer-not-kept"
"""It was done, says the service, and nobody has the answer any more: to ask for it again gives the same."""


class Unsettled:
    """The ids of the last requests whose outcome nobody knows.

    A request is cancelled, or its answer never comes: it may have been done. If the very same is asked for next,
    it gets the ids that it had, and the service does it once. Anything else that succeeds in between settles the
    matter: then the same words are said anew, with new ids.
    """

    def __init__(self) -> None:
        self._ids: dict[str, list[str]] = {}
        self._lock = Lock()

    def ids(self, *request: Any, count: int) -> "Ids":
        """Return the ids of a request that needs `count` of them, as a context that notes how it ends."""
        written = json.dumps(request).encode(errors="surrogatepass")
        print_ = hashlib.sha256(written).hexdigest()
        with self._lock:
            known = self._ids.pop(print_, None)
        return Ids(self, print_, known or [str(uuid4()) for _ in range(count)])

    def settle(self) -> None:
        """Note that something has succeeded."""
        with self._lock:
            self._ids.clear()

    def keep(self, print_: str, ids: list[str]) -> None:
        """Note that nobody knows what became of a request."""
        with self._lock:
            self._ids[print_] = ids


class Ids:
    """The ids of one request."""

    def __init__(self, unsettled: Unsettled, print_: str, ids: list[str]) -> None:
        self._unsettled, self._print, self._ids = unsettled, print_, ids

    def __enter__(self) -> list[str]:
        return self._ids

    def __exit__(self, _: object, failure: BaseException | None, __: object) -> None:
        if failure is None:
            self._unsettled.settle()
        elif not (isinstance(failure, Problem) and failure.slug == NOT_KEPT):
            self._unsettled.keep(self._print, self._ids)
