"""The Lambda entry point of functions that no browser calls: the authorizer, schedules, streams."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

from tessera.container import Container
from tessera.wiring import Graph

type Remaining = Callable[[], int]
"""How many milliseconds are left before Lambda's time limit."""


class Entry:
    """A function of an event, the object graph and the remaining time as a Lambda handler, logged and counted.

    What it raises goes to Lambda, which retries an asynchronous event and then sends it to its dead-letter queue.
    """

    def __init__(
        self, operation: str, function: Callable[[Any, Graph, Remaining], Any], *, needs_keys: bool = False
    ) -> None:
        self.operation, self._function = operation, function
        self.container = Container(needs_keys=needs_keys)

    def __call__(self, event: Any, context: Any) -> Any:
        """Answer an event."""
        graph = self.container.graph()
        graph.tiers.reset()
        began = perf_counter()
        try:
            with graph.telemetry.traced(self.operation):
                return self._function(event, graph, context.get_remaining_time_in_millis)
        finally:
            milliseconds = round((perf_counter() - began) * 1_000, 1)
            graph.telemetry.log.info(self.operation, milliseconds=milliseconds)
            graph.telemetry.flush()
