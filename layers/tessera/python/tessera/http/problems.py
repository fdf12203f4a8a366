"""Problems as HTTP answers (RFC 9457), and the errors of the resolver as problems."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tessera.errors import Invalid, MalformedJson, Problem, TooManyRequests
from tessera.http.limits import headers as rate_limit_headers
from tessera.stores.limits import Room

CONTENT_TYPE = "application/problem+json"
_KEY = "[key]"
"""What pydantic adds to a place whose name is wrong, not what stands there."""


def answer(problem: Problem) -> dict[str, Any]:
    """Return the answer as API Gateway takes it."""
    headers = {"Content-Type": CONTENT_TYPE}
    if isinstance(problem, TooManyRequests):
        headers |= rate_limit_headers(problem.policy, problem.limit, Room(0, problem.reset))
        headers["Retry-After"] = str(problem.reset)
    elif problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    return {
        "statusCode": problem.status,
        "headers": headers,
        "cookies": [],
        "body": json.dumps(problem.as_json(), separators=(",", ":")),
        "isBase64Encoded": False,
    }


def of_validation(errors: Iterable[Mapping[str, Any]], sent: Any = None) -> Problem:
    """Translate the errors of the resolver's validation (`loc`, `type`, `msg`, as pydantic has them).

    The value that was refused is not repeated: it may be personal, or a secret. `sent` is the body, if it is at
    hand: what of a `loc` is no place in it names the choice of a union, and is left out.
    """
    errors = list(errors)
    if any(error["type"] == "json_invalid" for error in errors):
        return MalformedJson()
    return Invalid(errors=[{"pointer": _pointer(e, sent), "detail": _detail(e)} for e in errors])


def _pointer(error: Mapping[str, Any], sent: Any) -> str:
    """Return an RFC 6901 pointer into the body, or `query/limit`, `path/sessionId` for what is not in it."""
    place, *parts = error["loc"]
    if place == "body" and sent is not None:
        parts = _places(parts, sent, missing=error["type"] == "missing")
    inside = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
    return inside if place == "body" else place + inside


def _places(parts: Sequence[Any], sent: Any, *, missing: bool) -> Iterator[Any]:
    for number, part in enumerate(parts, start=1):
        if (isinstance(sent, dict) and part in sent) or (isinstance(sent, list) and isinstance(part, int)):
            sent = sent[part]  # pyright: ignore[reportUnknownVariableType] - any JSON
            yield part
        elif number == len(parts) and missing:
            yield part


def _detail(error: Mapping[str, Any]) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "is read-only or unknown"
        case "union_tag_invalid":
            return f"{error['ctx']['discriminator']} must be one of {error['ctx']['expected_tags']}"
        case "union_tag_not_found":
            return f"{error['ctx']['discriminator']} is missing"
        case _:
            of_its_name = "its name: " if error["loc"][-1] == _KEY else ""
            return of_its_name + str(error["msg"]).removeprefix("Value error, ")
