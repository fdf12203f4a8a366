"""Time as the model has it: whole milliseconds since the epoch, UTC."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

type Millis = int
type Clock = Callable[[], Millis]

SECOND: Millis = 1_000
MINUTE_SECONDS = 60
HOUR_SECONDS = 3_600
DAY_SECONDS = 86_400
_RFC3339 = re.compile(
    r"(19[7-9]|[2-9]\d\d)\d-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)  # from 1970 on
_YEAR_10000: Millis = 253_402_300_800_000
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive, so that isoformat leaves the offset to us


def system_clock() -> Millis:
    """Now, by this machine."""
    return time.time_ns() // 1_000_000


def rfc3339(at: Millis) -> str:
    """The moment as RFC 3339 in UTC with milliseconds, e.g. 2026-11-20T10:00:00.000Z."""
    return (_EPOCH + timedelta(milliseconds=at)).isoformat(timespec="milliseconds") + "Z"


def parse_rfc3339(text: object) -> Millis:
    """Return the moment that RFC 3339 writes, with its offset; raise ValueError for anything else."""
    if not isinstance(text, str) or not _RFC3339.fullmatch(text):
        raise ValueError("must be a time of RFC 3339, such as 2026-11-20T10:00:00.000Z")
    moment = datetime.fromisoformat(text.upper())
    at = (moment - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
    if not 0 <= at < _YEAR_10000:
        raise ValueError("must lie in the years from 1970 to 9999, in UTC")
    return at


Moment = Annotated[
    Millis,
    Field(strict=True),
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-20T10:00:00.000Z"]}),
]
"""A moment in a model: an integer inside, RFC 3339 in JSON."""


GivenMoment = Annotated[
    Millis,
    BeforeValidator(parse_rfc3339),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-20T10:00:00.000Z"]}),
]
"""A moment in a body: RFC 3339 with an offset; milliseconds inside."""
