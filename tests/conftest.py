"""What all tests share: the engines, their order, and Hypothesis without a stopwatch."""

from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.engines", "tests.support.chromium"]

# How long an example takes says more about the machine than about the code.
settings.register_profile("tessera", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tessera")

WAITING = (("browser", "client"), ("deployed",), ("documents",))
"""Rooms whose tests wait for running systems, by the worker of `make test` that begins with them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each worker begin with tests that wait. It gets a third of all, in a row; the others count meanwhile."""
    rooms = [item.path.relative_to(Path(__file__).parent, walk_up=True).parts[0] for item in items]
    found = list(zip(rooms, items, strict=True))
    counting = (item for room, item in found if not any(room in waiting for waiting in WAITING))
    share = -(-len(items) // len(WAITING))
    ordered: list[pytest.Item] = []
    for waiting in WAITING:
        begun = [item for room, item in found if room in waiting]
        ordered += [*begun, *islice(counting, max(0, share - len(begun)))]
    items[:] = [*ordered, *counting]
