"""The whole document: merged, completed, tidied; the same handlers always give the same text."""

import json
import tomllib
from collections.abc import Iterator
from typing import Any

from aws_lambda_powertools.event_handler.openapi.merge import OpenAPIMerge
from aws_lambda_powertools.event_handler.openapi.models import License

from local.openapi import headers, operations, problems
from local.openapi.handlers import Handler, handlers
from local.openapi.tidy import reached, references, tidied
from local.paths import ROOT
from tessera.errors import Problem

type Json = dict[str, Any]

DOCUMENT = ROOT / "docs" / "openapi.json"

_DESCRIPTION = """\
One session service: logins, checkouts, chats and drafts are pieces of one session.

JSON in camelCase, times in RFC 3339 (UTC, milliseconds), money in minor units. Errors are problem documents \
(RFC 9457) with a stable `type`. In a path, `me` stands for the token's own session."""


def text() -> str:
    """Return docs/openapi.json."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def document() -> Json:
    """Describe the API (OpenAPI 3.1).

    Raises:
        OpenAPIMergeError: two handlers have the same route.
        ValueError: two handlers have different schemas of the same name.

    """
    merged = _merged([_described(handler) for handler in handlers()])
    schemas: dict[str, Json] = merged["components"]["schemas"] | {"Problem": problems.SCHEMA}
    _complete_sessions(schemas)
    merged["paths"] = dict(sorted(merged["paths"].items()))
    responses = _shared(merged["paths"])
    merged["components"] = {
        "schemas": tidied({name: schemas[name] for name in reached([merged["paths"], responses], schemas)}),
        "responses": responses,
        "examples": _examples(responses),
        "parameters": headers.PARAMETERS,
        "headers": headers.HEADERS,
        "securitySchemes": headers.SECURITY_SCHEMES,
    }
    return merged


def _described(handler: Handler) -> Json:
    """Return Powertools' description of a handler, completed."""
    described = handler.app.get_openapi_schema().model_dump(mode="json", by_alias=True, exclude_none=True)
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            operations.complete(path, method, operation, handler)
    return described


def _merged(parts: list[Json]) -> Json:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    merge = OpenAPIMerge(
        title="Tessera",
        version=project["version"],
        summary=project["description"],
        description=_DESCRIPTION,
        license_info=License(name="Apache 2.0", identifier=project["license"]),
        on_conflict="error",
    )
    known: dict[str, Json] = {}
    for part in parts:
        for name, schema in part["components"]["schemas"].items():
            if known.setdefault(name, schema) != schema:
                raise ValueError(f"two schemas are named {name}")
        merge.add_schema(part)
    return merge.get_openapi_schema()


def _complete_sessions(schemas: dict[str, Json]) -> None:
    """In an answer every field of a session is there; Powertools describes what a request would need."""
    always = list(schemas["Session"]["properties"])
    schemas["Session"]["required"] = schemas["SessionWithParts"]["required"] = always
    schemas["Upsells"]["required"] = list(schemas["Upsells"]["properties"])


def _shared(paths: Json) -> dict[str, Json]:
    """Move the problem answers into components, since most operations share them; return these."""
    shared: dict[str, Json] = {}
    for operation in (operation for methods in paths.values() for operation in methods.values()):
        for status, answer in operation["responses"].items():
            if "application/problem+json" in answer.get("content", {}):
                slugs = answer["content"]["application/problem+json"]["examples"]
                limited = ["limited"] if "RateLimit" in answer["headers"] else []
                name = ".".join([status, *slugs, *limited])
                shared[name] = answer
                operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
    return dict(sorted(shared.items()))


def _examples(responses: Json) -> dict[str, Json]:
    wanted = references(responses, "examples")
    found = {problem.slug: problem for problem in _classes(Problem)}
    return {slug: problems.example(found[slug]) for slug in sorted(wanted)}


def _classes(root: type[Problem]) -> Iterator[type[Problem]]:
    for child in root.__subclasses__():
        yield child
        yield from _classes(child)
