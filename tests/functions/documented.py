"""Whether an answer is one that docs/openapi.json describes."""

import json
from functools import cache
from typing import Any, Protocol

import jsonschema_rs

from local.openapi.document import DOCUMENT

type Json = dict[str, Any]

DESCRIBED_HEADERS = {"ETag", "Location", "Retry-After", "RateLimit", "RateLimit-Policy", "Idempotency-Replayed"}


class Answered(Protocol):
    """The parts of an answer that the document speaks of."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Any: ...
    @property
    def text(self) -> str: ...


def undocumented(route: str, answer: Answered) -> str | None:
    """Return what the document does not know of an answer to, say, `GET /sessions`; None if it knows all."""
    described = _response(route, answer.status)
    if described is None:
        return f"{route} answers {answer.status}"
    unknown = DESCRIBED_HEADERS & {*answer.headers} - {*described["headers"]}
    if unknown:
        return f"{route} answers {answer.status} with the headers {unknown}"
    return _unknown_body(route, answer, described.get("content", {}))


def _unknown_body(route: str, answer: Answered, contents: Json) -> str | None:
    media_type = answer.headers.get("Content-Type", "").partition(";")[0]
    if media_type not in contents:
        return f"{route} answers {media_type}" if answer.text else None
    if media_type == "text/plain":
        return None
    body = json.loads(answer.text)
    slug = body["type"].removeprefix("/problems/") if media_type == "application/problem+json" else None
    if slug and slug not in contents[media_type]["examples"]:
        return f"{route} has the problem {slug}"
    return _wrong(route, answer.status, media_type, body)


def _wrong(route: str, status: int, media_type: str, body: Any) -> str | None:
    error = next(_validator(route, status, media_type).iter_errors(body), None)
    return error and f"{route} {status}: {error.message} at {error.instance_path}"


@cache
def _document() -> Json:
    return json.loads(DOCUMENT.read_text())


@cache
def _validator(route: str, status: int, media_type: str) -> Any:
    schema = (_response(route, status) or {})["content"][media_type]["schema"]
    return jsonschema_rs.Draft202012Validator({**schema, "components": _document()["components"]})


def _response(route: str, status: int) -> Json | None:
    method, _, path = route.partition(" ")
    found = _document()["paths"][path][method.lower()]["responses"].get(str(status))
    name = (found or {}).get("$ref", "").rpartition("/")[2]
    return _document()["components"]["responses"][name] if name else found
