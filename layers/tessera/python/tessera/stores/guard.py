"""What stands before a client of AWS: nothing at all, and from its first outage on a circuit breaker.

An outage that swallows calls costs every call its time-outs; a container that waits for them answers nobody else.
The breaker ends that. Its package is loaded by the first outage, so that neither a cold start nor a healthy call
pays for it, and its state is the container's own: a table could not keep the state of its own outage.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tessera.errors import Unavailable

if TYPE_CHECKING:
    from tessera.stores.breaker import Breaker


class Guard:
    """Calls what it is given, until that fails too often; then raises CircuitOpen without a call, for a while."""

    def __init__(self, make: "Callable[[], Breaker] | None" = None) -> None:
        """`make` makes the breaker; without it nothing ever stands in the way."""
        self._make = make
        self._breaker: Breaker | None = None

    def call[**P, T](self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the function returns; what it raises comes through. It raises Unavailable for an outage."""
        if self._breaker is not None:
            return self._breaker.call(function, *args, **kwargs)
        try:
            return function(*args, **kwargs)
        except Unavailable:
            if self._make is not None:
                self._breaker = self._make()
            raise
