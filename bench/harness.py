"""What the benchmarks share: a timing loop that hits subject and baseline with the same noise, and the report."""

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

RESULTS = Path(__file__).parent / "results"

type Milliseconds = float


@dataclass(frozen=True)
class Target:
    """What a figure shall reach: at most, or at least, so much."""

    figure: str
    at_most: float | None = None
    at_least: float | None = None

    def reached(self, figures: Mapping[str, float]) -> bool:
        """Whether the figure is within the target."""
        value = figures[self.figure]
        return (self.at_most is None or value <= self.at_most) and (
            self.at_least is None or value >= self.at_least
        )

    def __str__(self) -> str:
        return f"≤ {self.at_most}" if self.at_least is None else f"≥ {self.at_least}"


@dataclass(frozen=True)
class Outcome:
    """The result of a benchmark. A figure's unit is the end of its name; one without unit is a ratio."""

    name: str
    figures: Mapping[str, float]
    targets: Sequence[Target]

    def write(self, folder: Path = RESULTS) -> None:
        """Write the result file."""
        folder.mkdir(exist_ok=True)
        content = {
            "name": self.name,
            "command": f"python -m bench {self.name}",
            "date": datetime.now(UTC).date().isoformat(),
            "machine": machine(),
            "figures": dict(self.figures),
            "target": {target.figure: str(target) for target in self.targets},
            "reached": {target.figure: target.reached(self.figures) for target in self.targets},
        }
        (folder / f"{self.name}.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def show(self) -> None:
        """Print a small table."""
        targets = {target.figure: target for target in self.targets}
        print(f"\n{self.name}")
        for figure, value in self.figures.items():
            target = targets.get(figure)
            verdict = f"{target}  {'reached' if target.reached(self.figures) else 'missed'}" if target else ""
            print(f"  {figure:<44}{value:>12,.3f}  {verdict}".rstrip())


def machine() -> dict[str, str | float]:
    """Describe the machine and how busy it was, without anything that names it."""
    return {
        "cores": os.cpu_count() or 0,
        "cpu": _described("/proc/cpuinfo", "model name") or platform.machine(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[2], 1),
        "nice": os.nice(0),
    }


def _described(path: str, field: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except FileNotFoundError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def in_turns(
    subjects: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: int = 0
) -> dict[str, list[Milliseconds]]:
    """Call the subjects in turns and time each call; the order turns round each time, so that none profits."""
    for _ in range(warm_up):
        for call in subjects.values():
            call()
    times: dict[str, list[Milliseconds]] = {name: [] for name in subjects}
    order = list(subjects.items())
    for _ in range(rounds):
        for name, call in order:
            began = perf_counter()
            call()
            times[name].append((perf_counter() - began) * 1_000)
        order.reverse()
    return times


def p50(times: Sequence[float]) -> float:
    """Return the median, to the microsecond."""
    return round(median(times), 3)


def p99(times: Sequence[float]) -> float:
    """Return the 99th percentile, to the microsecond."""
    return round(quantiles(times, n=100)[98], 3)
