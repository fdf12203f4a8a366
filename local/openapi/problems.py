"""Problems in the document: one schema, an example of each slug, and the answers of an operation by status."""

from collections.abc import Iterable
from http import HTTPStatus
from itertools import groupby
from typing import Any

from local.openapi import headers
from tessera.errors import (
    AnswerNotKept,
    CircuitOpen,
    Contended,
    ContentTooLarge,
    CrossSiteRequest,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    InternalError,
    Invalid,
    MalformedJson,
    NotYours,
    Problem,
    ScopeMissing,
    Throttled,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
    TokenRevoked,
    TooManyRequests,
    Unavailable,
    UnsupportedMediaType,
)

type Json = dict[str, Any]
type Problems = frozenset[type[Problem]]

ALWAYS: Problems = frozenset({InternalError, Unavailable, Throttled, CircuitOpen})
TOKEN: Problems = frozenset(
    {TokenMissing, TokenInvalid, TokenExpired, TokenRevoked, ScopeMissing, TooManyRequests}
)
PATH: Problems = frozenset({NotYours})
COOKIE: Problems = frozenset({CrossSiteRequest})
WRITE: Problems = frozenset({Contended})
BODY: Problems = frozenset({MalformedJson, ContentTooLarge, UnsupportedMediaType, Invalid})
QUERY: Problems = frozenset({Invalid})
IDEMPOTENT: Problems = frozenset({AnswerNotKept, IdempotencyInProgress, IdempotencyKeyReused, Invalid})

_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "integer"}

SCHEMA: Json = {
    "type": "object",
    "title": "Problem",
    "description": "A problem document (RFC 9457). `type` is stable; the other members depend on it.",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "pattern": "^/problems/[a-z-]+$"},
        "title": _TEXT,
        "status": _NUMBER | {"minimum": 400, "maximum": 599},
        "detail": _TEXT,
        "errors": {
            "type": "array",
            "description": "Where (RFC 6901, into the body; `query/…`, `path/…`, `header/…` beside it) and what.",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": _TEXT, "detail": _TEXT},
            },
        },
        "allowed": {"type": "array", "description": "The moves or transitions that there are.", "items": {}},
        "pointer": _TEXT | {"description": "The field that may not be set."},
        "scope": _TEXT | {"description": "The scope that is missing."},
        "version": {"type": ["integer", "null"], "description": "The present version; null where nothing is."},
        "conflicts": {
            "type": "array",
            "description": "Fields that both sides have changed; without `base` where that is not known any more.",
            "items": {
                "type": "object",
                "required": ["pointer", "yours", "theirs"],
                "properties": {"pointer": _TEXT, "base": {}, "yours": {}, "theirs": {}},
            },
        },
        "limit": _NUMBER | {"description": "In bytes, buckets, or requests per `window` seconds."},
        "policy": _TEXT,
        "window": _NUMBER,
        "checks": {"type": "object", "description": "By part: whether it works."},
    },
}


def example(problem: type[Problem]) -> Json:
    """Return an example of the problem: what every occurrence of it has."""
    return {
        "summary": problem.title,
        "value": {"type": f"/problems/{problem.slug}", "title": problem.title, "status": problem.status},
    }


def responses(problems: Iterable[type[Problem]]) -> dict[str, Json]:
    """Return an answer for each status among the problems of an operation."""
    problems = frozenset(problems)
    limited = TooManyRequests in problems
    ordered = sorted(problems, key=lambda problem: (problem.status, problem.slug))
    return {
        str(status): _response(status, list(same), limited=limited)
        for status, same in groupby(ordered, key=lambda problem: problem.status)
    }


def _response(status: int, problems: list[type[Problem]], *, limited: bool) -> Json:
    examples = {problem.slug: {"$ref": f"#/components/examples/{problem.slug}"} for problem in problems}
    content: Json = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
    return {
        "description": HTTPStatus(status).phrase,
        "headers": headers.of_problem(limited=limited, wait=any(map(_waits, problems))),
        "content": {"application/problem+json": content},
    }


def _waits(problem: type[Problem]) -> bool:
    return problem.retry_after is not None or problem is TooManyRequests
