"""The compaction's handler: it works until nothing waits or time runs short, and tells how far it came."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

import pytest

from local.paths import OUR_LAYER, ROOT
from tessera.archive import objects
from tessera.archive.compaction import Compacted
from tests.functions.conftest import Output
from tests.functions.service import Context, Service, sample
from tests.support.fakes import START, FakeClock


def test_messages_of_a_session_come_into_the_table_of_their_day(
    service: Service, output: Output, clock: FakeClock
) -> None:
    owner = service.create()
    said = [{"role": "user", "content": "Where is my order?"}, {"role": "assistant", "content": {"text": "Here"}}]
    assert service.call("conversations/append", owner.id, token=owner.token, body={"messages": said}).status == 201
    assert service.graph.archiver.flush(owner.id) == 2
    clock.forward(60)
    output.lines()
    assert _compact(service) == _run(batches=1, rows=2)
    metrics = output.metrics()
    assert (metrics["MessagesCompacted"], metrics["CompactionLagSeconds"]) == ([2], [0])
    assert [*service.analytics_bucket.keys("messages/")] == ["messages/day=2026-11-20/0000000001.parquet"]
    assert _compact(service) == _run()


def test_rows_carry_the_pseudonyms_of_facts_and_logs(service: Service) -> None:
    """So messages and facts of a session can be told together, and nobody can go back from them."""
    owner = service.create()
    said = [{"role": "user", "content": "Where is my order?"}]
    service.call("conversations/append", owner.id, token=owner.token, body={"messages": said})
    service.graph.archiver.flush(owner.id)
    _compact(service)
    body = service.analytics_bucket.get("messages/day=2026-11-20/0000000001.parquet") or b""
    assert service.graph.telemetry.pseudonym(owner.id).encode() in body
    assert owner.id.encode() not in body


def test_it_begins_no_batch_when_time_runs_short_and_tells_what_waits(
    service: Service, output: Output, clock: FakeClock
) -> None:
    _archived(service, clock)
    clock.forward(90)
    output.lines()
    assert _compact(service, [119_000]) == _run(done=False, lag=90)
    assert output.metrics()["CompactionLagSeconds"] == [90]
    assert _compact(service, [300_000, 119_000]) == _run(done=False, batches=1, rows=1), "nobody looked for more"
    assert _compact(service) == _run()


def test_an_object_that_cannot_be_read_is_logged_and_counted(
    service: Service, output: Output, clock: FakeClock
) -> None:
    owner = _archived(service, clock)
    (key,) = service.archive_bucket.keys("archive/")
    service.archive_bucket.put(key, b"no gzip")
    output.lines()
    assert _compact(service) == _run(batches=1, unreadable=1)
    lines = output.lines()
    (line,) = [line for line in lines if line.get("message") == "unreadable archive object"]
    assert line["session"] == service.graph.telemetry.pseudonym(owner)
    assert owner not in str(lines)


def test_an_empty_system_has_nothing_to_compact(service: Service) -> None:
    assert service.handler("lifecycle/compact")(sample("lifecycle/compact"), Context(900_000)) == _run()


def test_no_other_function_loads_what_the_compaction_alone_carries() -> None:
    """In a process of its own: Lambda would not find it, and each cold start would pay for it."""
    program = (
        "import sys; from local.openapi.handlers import load; from local.paths import FUNCTIONS\n"
        "for file in FUNCTIONS.glob('*/*.py'): load(file)\n"
        "print({'pyarrow', 'numpy', 'snowballstemmer'} & sys.modules.keys())"
    )
    path = {"PYTHONPATH": f"{OUR_LAYER}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run([sys.executable, "-c", program], env=path, check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "set()"


@pytest.mark.parametrize("rows", [[5, 0, 7], [0, 0], []])
def test_it_adds_up_what_the_batches_came_to(service: Service, rows: list[int]) -> None:
    class Batches:
        left = iter([Compacted(count) for count in rows])

        def batch(self) -> Compacted | None:
            return next(self.left, None)

    batches: Any = Batches()
    service.graph.compaction = batches
    assert _compact(service) == _run(batches=len(rows), rows=sum(rows))


def _archived(service: Service, clock: FakeClock) -> str:
    """Archive a message of a new session; return the session's id."""
    owner = service.create()
    body = {"messages": [{"role": "user", "content": "Where is my order?"}]}
    assert service.call("conversations/append", owner.id, token=owner.token, body=body).status == 201
    service.graph.archiver.flush(owner.id)
    assert objects.prefix(owner.id)
    assert clock() >= START
    return owner.id


class _Times(Context):
    """A context in which so much time is left at each look; the last figure stays."""

    def __init__(self, times: list[int]) -> None:
        self._times: Iterator[int] = chain(times, repeat(times[-1]))

    def get_remaining_time_in_millis(self) -> int:
        return next(self._times)


def _compact(service: Service, times: list[int] | None = None) -> dict[str, Any]:
    return service.handler("lifecycle/compact")({}, _Times(times or [900_000]))


def _run(**what: Any) -> dict[str, Any]:
    return {"done": True, "batches": 0, "rows": 0, "unreadable": 0, "lag": 0} | what
