"""Problems as HTTP answers (RFC 9457), and the errors of the resolver as problems."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tessera.errors import Invalid, MalformedJson, Problem, TooManyRequests
from tessera.http.limits import headers as rate_limit_headers

CONTENT_TYPE = "application/problem+json"


def answer(problem: Problem) -> dict[str, Any]:
    """Return the answer as API Gateway takes it."""
    headers = {"Content-Type": CONTENT_TYPE}
    if isinstance(problem, TooManyRequests):
        headers |= rate_limit_headers(problem.policy, problem.limit, 0, problem.reset)
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


def of_validation(errors: Iterable[Mapping[str, Any]]) -> Problem:
    """Translate the errors of the resolver's validation (`loc`, `type`, `msg`, as pydantic has them).

    The value that was refused is not repeated: it may be personal, or a secret.
    """
    errors = list(errors)
    if any(error["type"] == "json_invalid" for error in errors):
        return MalformedJson()
    return Invalid(errors=[{"pointer": _pointer(e["loc"]), "detail": _detail(e)} for e in errors])


def _pointer(loc: Iterable[Any]) -> str:
    """Return an RFC 6901 pointer into the body, or `query/limit`, `path/sessionId` for what is not in it."""
    place, *parts = (str(part).replace("~", "~0").replace("/", "~1") for part in loc)
    inside = "".join(f"/{part}" for part in parts)
    return inside if place == "body" else place + inside


def _detail(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "is read-only or unknown"
    return str(error["msg"]).removeprefix("Value error, ")
