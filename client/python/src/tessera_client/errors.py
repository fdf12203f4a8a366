"""What can go wrong.

TesseraError
├── Problem      the service refused: a status and a problem document (RFC 9457)
└── Unreachable  no answer came, after every try
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

import httpx

CONTENT_TYPE = "application/problem+json"


class TesseraError(Exception):
    """Anything that this package raises."""


class Unreachable(TesseraError):
    """No answer came; the error of the last try is the cause. A request may have been done all the same."""


class Problem(TesseraError):
    """An answer that is an error.

    `slug` tells which one it is (`session-expired`), and is empty if no problem document came, as from a gateway.
    `errors` are the places of a request that is not valid: `{"pointer": …, "detail": …}`. `members` is the whole
    document. `retry_after` is in seconds.
    """

    def __init__(self, status: int, members: Mapping[str, Any], retry_after: float | None = None) -> None:
        self.status = status
        self.members = members
        self.retry_after = retry_after
        self.slug = str(members.get("type", "")).rpartition("/problems/")[2]
        self.title = str(members.get("title", ""))
        self.detail: str | None = members.get("detail")
        self.errors: list[dict[str, str]] = members.get("errors", [])
        said = [f"{status} {self.slug or self.title}".rstrip(), self.detail or (self.slug and self.title)]
        said += [f"{error.get('pointer', '')} {error.get('detail', '')}".strip() for error in self.errors]
        super().__init__(": ".join(part for part in said if part))

    @classmethod
    def of(cls, response: httpx.Response) -> "Problem":
        """Read it from an answer; one that is no problem document keeps its status alone."""
        members: Mapping[str, Any] = {"title": response.reason_phrase}
        if response.headers.get("content-type", "").startswith(CONTENT_TYPE):
            members = _object(response) or members
        return cls(response.status_code, members, _seconds(response.headers.get("retry-after")))


def _object(response: httpx.Response) -> dict[str, Any] | None:
    try:
        document = response.json()
    except ValueError:
        return None
    return cast("dict[str, Any]", document) if isinstance(document, dict) else None


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which also may be a date (RFC 9110, 10.2.3)."""
    if retry_after is None:
        return None
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
