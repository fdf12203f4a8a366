"""What all tests share: the engines, their order, and Hypothesis without a stopwatch."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

FIRST = ("deployed", "documents", "browser", "client")
"""They wait for running systems most of the time, so others may count beside them: they begin."""

pytest_plugins = ["tests.support.engines", "tests.support.chromium"]

# How long an example takes says more about the machine than about the code.
settings.register_profile("tessera", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tessera")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what waits before what counts, each in its order."""
    first = tuple(Path(__file__).parent / room for room in FIRST)
    items.sort(key=lambda item: not any(item.path.is_relative_to(room) for room in first))
