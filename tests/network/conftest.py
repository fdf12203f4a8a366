"""Fixtures: one event loop for all, and one world on it. Scenes have fresh pages and topics."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from tests.network.scene import Scene, World

type Scenario = Callable[[Scene], Coroutine[Any, Any, None]]
type Play = Callable[[Scenario], None]


@pytest.fixture(scope="package")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="package")
def world(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as environment:
        # What Powertools reads from it.
        environment.setenv("POWERTOOLS_SERVICE_NAME", "tessera-test")
        environment.setenv("POWERTOOLS_METRICS_NAMESPACE", "Tessera")
        opening = World.opened(tmp_path_factory.mktemp("pages"))
        yield runner.run(opening.__aenter__())
        runner.run(opening.__aexit__(None, None, None))


@pytest.fixture
def play(runner: asyncio.Runner, world: World) -> Play:
    """Play a scene from its beginning to its end, where all of it is held to the promise."""

    def play(scenario: Scenario) -> None:
        async def run() -> None:
            async with world.scene() as scene:
                await scene.begin()
                await scenario(scene)
                await scene.end()

        runner.run(run())

    return play
