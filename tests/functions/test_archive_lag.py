"""The schedule of the archive says how long what it had no time for waits."""

from collections.abc import Iterable

from tests.functions.conftest import Output
from tests.functions.service import Service
from tests.functions.talking import MINUTE, append, inserted, said, stream, sweep
from tests.support.fakes import FakeClock


class Passing:
    """Lambda's context, with less time left at each look."""

    def __init__(self, left: Iterable[int]) -> None:
        self._left = iter(left)

    def get_remaining_time_in_millis(self) -> int:
        return next(self._left)


def test_what_a_run_has_no_time_for_counts_as_waiting(service: Service, clock: FakeClock, output: Output) -> None:
    """Else an archive that never comes to its last shards would look healthy."""
    for _ in range(12):
        owner = service.create(kind="chat")
        append(service, owner, said("x"))
        stream(service, *inserted(service, owner.id))
    clock.forward(45 * MINUTE)
    output.lines()
    assert sweep(service, 10_000) == {"tended": 0, "lagSeconds": 40 * MINUTE}
    assert output.metrics()["ArchiveLagSeconds"] == [40 * MINUTE]
    assert sweep(service) == {"tended": 12, "lagSeconds": 0}


def test_it_looks_at_the_time_before_each_conversation(service: Service, clock: FakeClock) -> None:
    """A page of them takes long while the bucket hangs."""
    one = service.another(CLEANUP_SHARDS="1")
    for _ in range(5):
        owner = one.create(kind="chat")
        append(one, owner, said("x"))
        stream(one, *inserted(one, owner.id))
        clock.forward(MINUTE)
    clock.forward(10 * MINUTE)
    run = one.handler("conversations/archive")({}, Passing([60_000, 60_000, 9_000]))
    assert run == {"tended": 2, "lagSeconds": 8 * MINUTE}
