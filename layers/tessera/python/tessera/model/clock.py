"""Time as the model has it: whole milliseconds since the epoch, UTC."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field, PlainSerializer, WithJsonSchema

type Millis = int
type Clock = Callable[[], Millis]

SECOND: Millis = 1_000
MINUTE_SECONDS = 60
HOUR_SECONDS = 3_600
DAY_SECONDS = 86_400
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive, so that isoformat leaves the offset to us


def system_clock() -> Millis:
    """Now, by this machine."""
    return time.time_ns() // 1_000_000


def rfc3339(at: Millis) -> str:
    """The moment as RFC 3339 in UTC with milliseconds, e.g. 2026-11-20T10:00:00.000Z."""
    return (_EPOCH + timedelta(milliseconds=at)).isoformat(timespec="milliseconds") + "Z"


Moment = Annotated[
    Millis,
    Field(strict=True),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-20T10:00:00.000Z"]}),
]
"""A moment in a model: an integer inside, RFC 3339 in JSON."""
