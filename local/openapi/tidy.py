"""Walks over the document: what refers to what, and what is only noise."""

from collections.abc import Iterator
from typing import Any, cast

type Json = dict[str, Any]


def objects(node: Any) -> Iterator[Json]:
    """Yield every object in a part of the document, itself included."""
    if isinstance(node, dict):
        found = cast("Json", node)
        yield found
        node = list(found.values())
    if isinstance(node, list):
        for inner in cast("list[Any]", node):
            yield from objects(inner)


def references(node: Any, section: str) -> set[str]:
    """Return the names in a section of the components that a part of the document refers to."""
    targets = {str(found["$ref"]) for found in objects(node) if "$ref" in found}
    prefix = f"#/components/{section}/"
    return {target.removeprefix(prefix) for target in targets if target.startswith(prefix)}


def reached(start: Any, schemas: dict[str, Json]) -> set[str]:
    """Return the names of the schemas that a part of the document leads to."""
    names, ahead = set[str](), [start]
    while ahead:
        found = references(ahead.pop(), "schemas") - names
        names |= found
        ahead += [schemas[name] for name in found]
    return names


def plain(node: Any) -> Any:
    """Copy without titles, whole numbers as integers, and a map with a pattern for its keys closed to others."""
    match node:
        case dict():
            found = cast("Json", node)
            closed = {"additionalProperties": False} if "patternProperties" in found else {}
            return closed | {
                key: plain(value)
                for key, value in found.items()
                if not (key == "title" and isinstance(value, str))
            }
        case list():
            return [plain(inner) for inner in cast("list[Any]", node)]
        case float() if node.is_integer():
            return int(node)
        case _:
            return node


def tidied(schemas: dict[str, Json]) -> dict[str, Json]:
    """Take out the titles that pydantic makes of field names, but not those of the schemas themselves."""
    return {name: plain(schema) | {"title": name} for name, schema in sorted(schemas.items())}


def untitled(parameters: list[Json]) -> list[Json]:
    """Take the same out of parameters, and the description that Powertools writes twice."""
    for parameter in parameters:
        schema = plain(parameter["schema"])
        parameter["schema"] = {key: value for key, value in schema.items() if key != "description"}
    return parameters
