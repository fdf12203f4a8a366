"""Faults that live clients of others are known for, each with the network that brings it out.

Every scene ends with the whole promise checked; a test adds what is particular.
"""

from tests.network.conftest import Play
from tests.network.scene import Scene
from tests.support.conditions import until
from tests.support.faulty_proxy import Door, Way
from tests.support.live_server import WINDOW


def offsets(scene: Scene, page: int = 0, topic: int = 0) -> list[int]:
    return [message.place.offset for message in scene.pages[page].messages(scene.topics[topic])]


def recoveries(scene: Scene, page: int = 0, topic: int = 0) -> list[bool]:
    return scene.pages[page].recoveries(scene.topics[topic])


async def told_meanwhile(scene: Scene, times: int) -> None:
    """Cut everybody off, publish, and let them in again."""
    before = len(recoveries(scene))
    await scene.away(0, times)
    await until(lambda: len(recoveries(scene)) > before)


def test_recovery_before_the_first_event(play: Play) -> None:
    """A page that has seen no message yet has a position all the same, and misses none."""

    async def scenario(scene: Scene) -> None:
        await scene.listen()
        await told_meanwhile(scene, 3)
        await until(lambda: offsets(scene) == [1, 2, 3], scene.report)
        assert recoveries(scene) == [False, True]

    play(scenario)


def test_a_second_recovery(play: Play) -> None:
    """What a recovery brought counts as seen in the next."""

    async def scenario(scene: Scene) -> None:
        await scene.listen()
        await told_meanwhile(scene, 2)
        await told_meanwhile(scene, 2)
        await until(lambda: offsets(scene) == [1, 2, 3, 4], scene.report)
        assert recoveries(scene) == [False, True, True]

    play(scenario)


def test_an_expired_position(play: Play) -> None:
    """More was missed than is held: the page is told, gets no part of it, and what comes then is in order."""

    async def scenario(scene: Scene) -> None:
        await scene.listen()
        await scene.told(0)
        await until(lambda: offsets(scene) == [1])
        await told_meanwhile(scene, WINDOW + 1)
        await scene.told(0)
        await until(lambda: offsets(scene) == [1, WINDOW + 3], scene.report)
        assert recoveries(scene) == [False, False]

    play(scenario)


def test_the_last_position_that_is_held(play: Play) -> None:
    """As many were missed as are held: all of them come."""

    async def scenario(scene: Scene) -> None:
        await scene.listen()
        await scene.told(0)
        await until(lambda: offsets(scene) == [1])
        await told_meanwhile(scene, WINDOW)
        await until(lambda: offsets(scene) == [*range(1, WINDOW + 2)], scene.report)
        assert recoveries(scene) == [False, True]

    play(scenario)


def test_an_old_offset_is_not_mixed_with_a_new_epoch(play: Play) -> None:
    """History was lost and another one is longer by now: an offset of the old one is no place in it."""

    async def scenario(scene: Scene) -> None:
        await scene.listen()
        await scene.told(0, 2)
        await until(lambda: offsets(scene) == [1, 2])
        await scene.door(Door.REFUSED)
        await scene.reset()
        await scene.forget(0)
        await scene.told(0, 4)
        await scene.door(Door.OPEN)
        await until(lambda: recoveries(scene) == [False, False], scene.report)
        await scene.told(0)
        await until(lambda: offsets(scene) == [1, 2, 5], scene.report)

    play(scenario)


def test_what_was_shown_is_not_replayed(play: Play) -> None:
    """The stream comes twice, and once more by a recovery from before it."""

    async def scenario(scene: Scene) -> None:
        await scene.listen()
        await scene.hold()
        await scene.told(0, 3)
        scene.server.repeats = True
        await scene.reset()
        await until(lambda: recoveries(scene) == [False, True], scene.report)
        await scene.release(repeat=True)
        await scene.told(0)
        await until(lambda: offsets(scene) == [1, 2, 3, 4], scene.report)

    play(scenario)


def test_messages_that_overtake_each_other(play: Play) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.listen()
        for _ in range(3):
            await scene.overtaken(0, 4, repeat=True)
        await until(lambda: offsets(scene) == [*range(1, 13)], scene.report)

    play(scenario)


def test_a_message_that_the_gateway_lost_is_fetched(play: Play) -> None:
    """A hole shows with the next message; it is filled, and what waited comes after it."""

    async def scenario(scene: Scene) -> None:
        await scene.listen()
        await scene.lose(2)
        await scene.told(0, 3)
        await until(lambda: offsets(scene) == [1, 2, 3], scene.report)
        assert recoveries(scene)[-1]

    play(scenario)


def test_a_half_open_socket_loses_no_sends(play: Play) -> None:
    """Nothing says that the network is gone. What was published into the void comes through, once."""

    async def scenario(scene: Scene) -> None:
        await scene.listen()
        await scene.blackhole()
        await scene.say(0, 0, times=3)
        await until(lambda: len(scene.pages[0].published) == 3, scene.report)
        await until(lambda: offsets(scene, 1) == [1, 2, 3], scene.report)

    play(scenario)


def test_a_lost_acknowledgement_publishes_nothing_twice(play: Play) -> None:
    """The service has it, and the page cannot know: it asks again, and is told the first place."""

    async def scenario(scene: Scene) -> None:
        await scene.listen()
        scene.proxy.drop(Way.DOWN)
        await scene.say(0, 0)
        await until(lambda: len(scene.server.log(scene.topics[0])) == 1)
        await until(lambda: len(scene.pages[0].published) == 1, scene.report)
        assert [place.offset for place in scene.pages[0].published.values()] == [1]

    play(scenario)


def test_a_frame_that_is_cut_is_not_shown_and_comes_whole(play: Play) -> None:
    async def scenario(scene: Scene) -> None:
        await scene.listen()
        scene.proxy.cut(Way.DOWN)
        await scene.told(0, 2)
        await until(lambda: offsets(scene) == [1, 2], scene.report)
        scene.proxy.cut(Way.UP)
        await scene.say(0, 0)
        await until(lambda: offsets(scene) == [1, 2, 3], scene.report)

    play(scenario)


def test_what_was_published_offline_outlives_the_page(play: Play) -> None:
    """No network, and the page is closed: it is sent, in its order, when the page is next open."""

    async def scenario(scene: Scene) -> None:
        await scene.door(Door.REFUSED)
        await scene.reset()
        await scene.say(0, 0, times=3)
        await scene.reload(0)
        assert scene.server.log(scene.topics[0]) == []
        await scene.door(Door.OPEN)
        await until(lambda: len(scene.server.log(scene.topics[0])) == 3, scene.report)

    play(scenario)


def test_a_planned_rotation_loses_and_repeats_nothing(play: Play) -> None:
    """The new socket is up before the old one goes; for a while messages come over both."""

    async def scenario(scene: Scene) -> None:
        await scene.listen()
        for _ in range(3):
            before = len(recoveries(scene))
            await scene.rotate()
            await scene.told(0, 2)
            await until(lambda before=before: len(recoveries(scene)) > before, scene.report)
        await until(lambda: offsets(scene) == [1, 2, 3, 4, 5, 6], scene.report)
        assert "waiting" not in [status["state"] for status in scene.pages[0].statuses]

    play(scenario)


def test_a_server_that_answers_nothing_is_left(play: Play) -> None:
    """The door takes connections in and says no word."""

    async def scenario(scene: Scene) -> None:
        await scene.listen()
        await scene.door(Door.SILENT)
        await scene.reset()
        swallowed = scene.proxy.swallowed
        await until(lambda: swallowed[Way.UP] > 0)
        await scene.door(Door.OPEN)
        await scene.told(0)
        await until(lambda: offsets(scene) == [1], scene.report)

    play(scenario)


def test_more_was_missed_than_fits_a_frame_and_the_network_fails_amid_it(play: Play) -> None:
    """The rest comes in frames of its own; a recovery that breaks off is taken up where it broke."""

    async def scenario(scene: Scene) -> None:
        await scene.listen()
        await scene.door(Door.REFUSED)
        await scene.reset()
        for _ in range(WINDOW):
            await scene.told(0, data="x" * 20_000)
        await scene.hold()
        await scene.door(Door.OPEN)
        await until(lambda: True in recoveries(scene), scene.report)
        scene.proxy.cut(Way.DOWN)
        await scene.release()
        await until(lambda: offsets(scene) == [*range(1, WINDOW + 1)], scene.report)

    play(scenario)


def test_a_connection_that_the_service_has_forgotten_is_replaced(play: Play) -> None:
    """It could be neither reached nor closed, so it stands and is nobody's: that is not the end of its session."""

    async def scenario(scene: Scene) -> None:
        await scene.listen()
        await scene.fail(2, stuck=True)
        await scene.told(0)
        await scene.say(0, 0)
        await until(lambda: offsets(scene) == [1, 2] == offsets(scene, 1), scene.report)

    play(scenario)
