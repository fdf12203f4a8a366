"""Stores that fail as AWS does: busy, silent before or after the write took effect, half-way through a batch.

    faults = Faults()
    table, bucket = FaultyStore(MemoryTable(), faults), FaultyStore(MemoryBucket(), faults)
    faults.come(Fault.BUSY, None, Fault.LOST)    # to the next three calls of both, whichever they are

The exceptions are those that `Table` and `Bucket` promise; that DynamoDB's and S3's become these is proved in
tests/unit/stores.
"""

from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import islice
from typing import Any

from tessera.errors import CircuitOpen, Contended, Throttled, Unavailable
from tessera.stores.bucket import Bucket
from tessera.stores.table import Table


class Fault(Enum):
    """What may become of a call."""

    BUSY = "throttled: nothing was done"
    CONTENDED = "another writer held the place: nothing was done"
    SILENT = "no answer: nothing was done"
    OPEN = "the circuit is open: nothing was asked"
    LOST = "it was done, and the answer was lost for good"
    REPEATED = "it was done, the answer was lost, and the SDK asked again"
    PARTLY = "a batch or a page was done in part, then no more"


_NOTHING_DONE = {
    Fault.BUSY: Throttled,
    Fault.CONTENDED: Contended,
    Fault.SILENT: Unavailable,
    Fault.OPEN: CircuitOpen,
}
_DECIDED = {"transact", "update", "delete", "put_new"}
"""What may find the place taken by another writer."""

_PAGES = {"query", "query_between", "keys"}


class Faults:
    """What comes to the next calls of all stores of a container, in their order; then nothing does."""

    def __init__(self) -> None:
        self._coming: deque[Fault | None] = deque()
        self.took_effect = False
        """Whether a call that failed since `come` was done all the same, or in part."""

    def come(self, *faults: Fault | None) -> None:
        """Set what comes, in place of what was still to come."""
        self._coming, self.took_effect = deque(faults), False

    def next(self) -> Fault | None:
        """Return what comes to this call."""
        return self._coming.popleft() if self._coming else None


class FaultyStore:
    """A table or a bucket whose calls fail as `faults` has it. `store` may be put in place of another one."""

    def __init__(self, store: Table | Bucket, faults: Faults) -> None:
        self.store, self._faults = store, faults

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            fault = self._faults.next()
            if fault is Fault.CONTENDED and verb not in _DECIDED:
                fault = Fault.BUSY
            if fault in _NOTHING_DONE:
                raise _NOTHING_DONE[fault]
            act = getattr(self.store, verb)
            if fault is Fault.PARTLY:
                return self._partly(verb, act, *arguments, **options)
            if fault is None:
                return act(*arguments, **options)
            self._faults.took_effect = True
            first = _whole(act(*arguments, **options))
            if fault is Fault.LOST:
                raise Unavailable
            # A transaction carries a token by which DynamoDB knows it again.
            return first if verb == "transact" else act(*arguments, **options)

        return call

    def _partly(self, verb: str, act: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        if verb == "delete_many":
            keys = list(arguments[0])
            self._faults.took_effect = True
            act(keys[: len(keys) // 2])
            raise Throttled
        if verb in _PAGES:
            return _broken_off(list(act(*arguments, **options)))
        raise Unavailable


def _whole(answer: Any) -> Any:
    return list(answer) if isinstance(answer, Iterator) else answer


def _broken_off(found: list[Any]) -> Iterator[Any]:
    yield from islice(found, len(found) // 2)
    raise Unavailable
