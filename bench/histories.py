"""What bench/append does with a history of messages, whoever keeps it. Knows no package of ours, nor LangChain."""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from statistics import fmean, median, quantiles
from time import perf_counter
from typing import Protocol

from bench.metering import Meter

TEXT = "x" * 1_000
POSITIONS = (1, 100, 300)
SAMPLES = 200
ROUND = 5
"""Messages that each of several writers appends, one after the other."""

WRITERS = (20, 50)
AT_ONCE = 90
"""Messages in one request of those that only fill: with ids of their own they fit one transaction of ours."""


class History(Protocol):
    """A conversation somewhere."""

    def append(self, texts: Sequence[str]) -> None:
        """Append messages, up to `AT_ONCE`."""
        ...

    def read(self) -> list[str]:
        """Return the texts of all messages."""
        ...


type Begin = Callable[[], History]
"""Gives a way to a history: to a new one for each sample, or to the same one for each writer."""


def appended_at(
    begin: Begin,
    meter: Meter,
    positions: Sequence[int] = POSITIONS,
    *,
    text: str = TEXT,
    samples: int = SAMPLES,
) -> dict[str, float]:
    """Measure the append of one message of 1 KB to histories that have one less than so many, each a fresh one."""
    figures: dict[str, float] = {}
    for position in positions:
        times: list[float] = []
        took: list[tuple[float, int, int]] = []
        for _ in range(samples):
            history = begin()
            fill(history, position - 1)
            meter.taken()
            times.append(timed(history, text))
            took.append(meter.taken())
        figures |= report(f"at_{position}", times, took)
    return figures


def timed(history: History, text: str = TEXT) -> float:
    """Append one message; return the milliseconds."""
    began = perf_counter()
    history.append([text])
    return (perf_counter() - began) * 1_000


def fill(history: History, count: int) -> None:
    """Append so many messages, in large requests."""
    for start in range(0, count, AT_ONCE):
        history.append([TEXT] * min(AT_ONCE, count - start))


def report(name: str, times: Sequence[float], took: Sequence[tuple[float, int, int]]) -> dict[str, float]:
    """Return what single appends took: milliseconds, and on average write capacity, calls and bytes sent."""
    units, calls, sent = (fmean(column) for column in zip(*took, strict=True))
    return {
        f"{name}_p50_ms": median(times),
        f"{name}_p99_ms": quantiles(times, n=100)[98],
        f"{name}_wcu": units,
        f"{name}_calls": calls,
        f"{name}_sent_bytes": sent,
    }


def written_by(join: Begin, writers: int) -> dict[str, float]:
    """Have so many processes, each with its own way to one history, append at once; count what went wrong."""
    processes = get_context("fork")
    ready = processes.Barrier(writers + 1)

    def write(number: int) -> None:
        history = join()
        ready.wait()
        for turn in range(ROUND):
            history.append([f"{number}:{turn}:{TEXT}"])

    children = [processes.Process(target=write, args=[number]) for number in range(writers)]
    for child in children:
        child.start()
    ready.wait()
    began = perf_counter()
    for child in children:
        child.join()
    seconds = perf_counter() - began
    if any(child.exitcode for child in children):
        raise RuntimeError("a writer has failed")
    said = [text.rpartition(":")[0] for text in join().read()]
    figures = faults(said, writers) | {"appends_per_second": ROUND * writers / seconds}
    return {f"writers_{writers}_{name}": value for name, value in figures.items()}


def faults(said: Sequence[str], writers: int) -> dict[str, float]:
    """Count the messages that are lost, that are there twice, that come before an earlier one of their writer."""
    times = Counter(said)
    wanted = [f"{number}:{turn}" for number in range(writers) for turn in range(ROUND)]
    latest: dict[str, int] = {}
    disordered = 0
    for text in said:
        number, _, turn = text.partition(":")
        disordered += int(turn) < latest.get(number, 0)
        latest[number] = max(int(turn), latest.get(number, 0))
    return {
        "lost": sum(text not in times for text in wanted),
        "repeated": sum(count - 1 for count in times.values()),
        "out_of_order": disordered,
    }


def fails_at(history: History, error: type[Exception], most: int) -> int:
    """Append until it cannot be; return the number of the message that did not fit, 0 if all did."""
    for number in range(1, most + 1):
        try:
            history.append([TEXT])
        except error as failure:
            print(f"message {number}: {failure}", file=sys.stderr)
            return number
    return 0
