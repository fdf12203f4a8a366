"""What writers need who race for the same session: patience, and a memory of how they left it."""

import random
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from tessera.model.record import Record
from tessera.model.session import Upsells

TRIES = 60
"""How often a decision is taken anew: within the seconds that a function has, pauses included."""

_LONGEST_PAUSE = 0.2  # seconds


class Patience:
    """Lets others go first."""

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep

    def pause(self, attempt: int) -> None:
        """Wait, the longer the more of others there seem to be; who lost once goes on at once."""
        longest = min(_LONGEST_PAUSE, 0.005 * 2**attempt) if attempt else 0
        self._sleep(random.uniform(0, longest))  # noqa: S311 - jitter, no secret


class Remembered[Key, Value]:
    """What a container remembers, the latest `capacity` of it. It is a guess, for conditions to prove."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._held: OrderedDict[Key, Value] = OrderedDict()

    def take(self, key: Key) -> Value | None:
        """Return what is remembered, and forget it: who writes it right puts it back."""
        return self._held.pop(key, None)

    def put(self, key: Key, value: Value) -> None:
        """Remember."""
        self._held[key] = value
        if len(self._held) > self._capacity:
            self._held.popitem(last=False)


def bare(record: Record) -> Record:
    """Return a record without what anybody may fill a session with, or what is secret."""
    session = record.session.model_copy(
        update={"email": None, "customer": None, "products": None, "metadata": None, "upsells": Upsells()}
    )
    return replace(record, session=session, claims={}, refresh=None)
