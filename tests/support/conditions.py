"""Waiting for a condition: generous, since machines are slow at times, and never longer than it takes."""

import asyncio
import time
from collections.abc import Callable

PATIENCE = 30.0
"""Seconds after which a test gives up. Nothing is measured by it."""

_PAUSE = 0.002


async def until(condition: Callable[[], object], what: Callable[[], object] | str = "") -> None:
    """Return when the condition holds; fail the test, saying what was so instead, when it never does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"never came: {what() if callable(what) else what}")
        await asyncio.sleep(_PAUSE)
