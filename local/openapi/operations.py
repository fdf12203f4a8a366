"""What the adapter around every operation adds to Powertools' description of it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from local.openapi import headers, problems
from local.openapi.handlers import Handler
from local.openapi.problems import Problems
from local.openapi.tidy import plain, references, untitled
from tessera.errors import CrossSiteRequest, PreconditionFailed, ScopeMissing, TooManyBuckets, TooManyRequests

type Json = dict[str, Any]

_SAFE = ("get", "head", "options")
_MERGE_PATCH = "application/merge-patch+json"
_NO_CONTENT = "204"


def complete(path: str, method: str, operation: Json, handler: Handler) -> None:
    """Complete the description of one operation, in place."""
    raised = _problems(path, method, operation, handler)
    operation["description"] = handler.descriptions[operation["operationId"]]
    operation["security"] = _security(method, handler)
    parameters = [*untitled(operation.get("parameters", [])), *_parameters(method, raised)]
    if parameters:
        operation["parameters"] = parameters
    if "requestBody" in operation:
        _body(method, operation["requestBody"])
    successes = _successes(operation["responses"])
    for answer in successes.values():
        answer["headers"] = headers.of_success(
            min(references(answer, "schemas"), default=None),
            limited=TooManyRequests in raised,
            idempotent=method == "post",
        )
    operation["responses"] = successes | problems.responses(raised)


def _problems(path: str, method: str, operation: Json, handler: Handler) -> Problems:
    """Return what the operation may answer with: what its handler says, and what the adapter may find."""
    raised = problems.ALWAYS | frozenset(handler.app.raises)
    if not handler.app.public:
        raised |= problems.TOKEN
        if "{sessionId}" in path:
            raised |= problems.PATH
        if method not in _SAFE:
            raised |= problems.COOKIE
    if method not in _SAFE:
        raised |= problems.WRITE
    if "requestBody" in operation:
        raised |= problems.BODY
    if method == "post":
        raised |= problems.IDEMPOTENT
    if any(parameter["in"] == "query" for parameter in operation.get("parameters", ())):
        raised |= problems.QUERY
    return raised


def _security(method: str, handler: Handler) -> list[Json]:
    """Return who may call.

    A public operation that may miss a scope knows services, one that fears foreign sites knows the cookie. Of
    the others, one that names the missing scope itself is for services alone.
    """
    raises, unsafe = handler.app.raises, method not in _SAFE
    if handler.app.public:
        return headers.security(
            unsafe=unsafe, bearer=ScopeMissing in raises, cookie=CrossSiteRequest in raises, optional=True
        )
    return headers.security(unsafe=unsafe, cookie=ScopeMissing not in raises)


def _parameters(method: str, raised: Problems) -> list[Json]:
    names = ["IfMatch"] if PreconditionFailed in raised else []
    names += ["IfNoneMatch"] if TooManyBuckets in raised else []  # what may make something new
    names += ["IdempotencyKey"] if method == "post" else []
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def _body(method: str, body: Json) -> None:
    """A body that may be absent may still not be null; a merge patch may call itself one."""
    content: Json = body["content"]["application/json"]
    choices = [choice for choice in content["schema"].get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        content["schema"] = choices[0]
    if method == "patch":
        body["content"][_MERGE_PATCH] = {**content}


def _successes(answers: Mapping[str | int, Json]) -> dict[str, Json]:
    """Return the answers of Powertools' description but its own 422; a 204 has no body."""
    successes = {str(status): answer for status, answer in answers.items() if str(status).startswith("2")}
    for status, answer in successes.items():
        answer["description"] = HTTPStatus(int(status)).phrase
        if status == _NO_CONTENT:
            answer.pop("content", None)
        for content in answer.get("content", {}).values():
            content["schema"] = plain(content["schema"])
    return successes
