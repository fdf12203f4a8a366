"""Whatever the network does, each message comes once and in order, or the page is told that some are missing."""

import asyncio

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.network.scene import World
from tests.support.faulty_proxy import Door, Way
from tests.support.live_server import WINDOW

PAGES, TOPICS = st.integers(0, 1), st.integers(0, 1)


def step(name: str, *arguments: st.SearchStrategy) -> st.SearchStrategy:
    return st.tuples(st.just(name), *arguments)


TRAFFIC = st.one_of(
    step("say", PAGES, TOPICS, st.sampled_from([0, 5, 10]), st.integers(1, 3)),
    step("told", TOPICS, st.sampled_from([1, 3, WINDOW + 2])),
    step("overtaken", TOPICS, st.integers(2, 4), st.booleans()),
    step("unheard", PAGES, TOPICS),
    step("away", TOPICS, st.sampled_from([2, WINDOW + 2])),
    step("left", PAGES, TOPICS),
)
NETWORK = st.one_of(
    step("blackhole"),
    step("drop", st.sampled_from(Way)),
    step("reset"),
    step("cut", st.sampled_from(Way)),
    step("delay", st.sampled_from([0, 0.02])),
    step("door", st.sampled_from(Door)),
)
SERVICE = st.one_of(
    step("hold"),
    step("release", st.booleans(), st.booleans()),
    step("rotate"),
    step("hang_up"),
    step("fail", st.integers(1, 2), st.booleans()),
    step("lose", st.integers(1, 2)),
    step("forget", TOPICS),
)
PAGE = st.one_of(
    step("reload", PAGES),
    step("listen"),
    step("listen"),
    step("wait", st.sampled_from([1, 20, 120])),
)
STEPS = st.lists(st.one_of(TRAFFIC, TRAFFIC, NETWORK, SERVICE, PAGE), min_size=3, max_size=14)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, early=st.sampled_from([False, False, True]), seed=st.integers(1, 1000))
def test_every_message_once_and_in_order_or_the_page_is_told(
    runner: asyncio.Runner, world: World, steps: list[tuple], early: bool, seed: int
) -> None:
    note(f"seed {seed}, {'early, ' if early else ''}{steps}")

    async def play() -> None:
        async with world.scene(seed) as scene:
            await scene.begin()
            if not early:
                await scene.listen()
            for name, *arguments in steps:
                await getattr(scene, name)(*arguments)
            await scene.end()

    runner.run(play())
