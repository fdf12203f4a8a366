"""The functions' logs, readable: one line for each record, newest last."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from threading import Event
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import EndpointConnectionError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

type Seen = tuple[str, int, int]
"""A log stream, a time in milliseconds, and the how-manieth event of that."""

PREFIX = "/aws/lambda/tessera-local-"
_RUNTIME_LINES = ("START ", "END ", "REPORT ", "INIT_START ")
_LEFT_OUT = {"level", "message", "timestamp", "location", "service", "sampling_rate", "xray_trace_id"}
_LEFT_OUT.update({"function_name", "function_arn", "function_memory_size", "cold_start"})
_LATE_MILLIS = 5_000
"""How much later than the newest event an older one may still come in."""
_COLOURS = {"WARNING": "\033[33m", "ERROR": "\033[31m", "CRITICAL": "\033[31m"}


@dataclass
class Tail:
    """Follows every log group of the functions from `since`, milliseconds since the epoch."""

    logs: "CloudWatchLogsClient"
    since: int
    _seen: set[Seen] = field(default_factory=set[Seen])

    def lines(self) -> Iterator[str]:
        """Yield what was logged since the last call, in time order."""
        news = sorted(self._news(), key=itemgetter(0))
        for moment, function, message in news:
            if (text := readable(message)) is not None:
                yield f"{_clock(moment)} {function:20} {text}"
        if news:
            self.since = max(self.since, news[-1][0] - _LATE_MILLIS)
            self._seen = {seen for seen in self._seen if seen[1] >= self.since}

    def follow(self, ended: Event, pause: float = 0.5) -> Iterator[str]:
        """Yield lines until `ended` is set or the engine has gone."""
        while not ended.wait(pause):
            try:
                yield from self.lines()
            except EndpointConnectionError:
                return

    def _news(self) -> Iterator[tuple[int, str, str]]:
        for group in self.logs.describe_log_groups(logGroupNamePrefix=PREFIX)["logGroups"]:
            name = group.get("logGroupName", "")
            # The embedded AWS gives events no id: count them within a stream and a millisecond.
            counts: Counter[tuple[str, int]] = Counter()
            for event in self.logs.filter_log_events(logGroupName=name, startTime=self.since)["events"]:
                place = event.get("logStreamName", ""), event.get("timestamp", 0)
                counts[place] += 1
                if (seen := (*place, counts[place])) not in self._seen:
                    self._seen.add(seen)
                    yield place[1], name.removeprefix(PREFIX), event.get("message", "")


def readable(message: str) -> str | None:
    """Return a log message as one line for people; None for those that the runtime adds."""
    text = message.rstrip()
    if not text or text.startswith(_RUNTIME_LINES):
        return None
    try:
        record = json.loads(text)
    except ValueError:
        return text
    return _record(cast("dict[str, Any]", record)) if isinstance(record, dict) else text


def _record(record: dict[str, Any]) -> str:
    if "_aws" in record:
        names = [metric["Name"] for group in record["_aws"]["CloudWatchMetrics"] for metric in group["Metrics"]]
        return "metrics " + " ".join(f"{name}={record.get(name)}" for name in names)
    level = str(record.get("level", "INFO"))
    rest = " ".join(f"{name}={value}" for name, value in record.items() if name not in _LEFT_OUT)
    line = f"{level:7} {record.get('message', '')} {rest}".rstrip()
    return f"{_COLOURS[level]}{line}\033[0m" if level in _COLOURS else line


def _clock(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]
