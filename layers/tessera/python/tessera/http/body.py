"""The request body: UTF-8, strict JSON, and an object."""

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Never

from tessera.errors import ContentTooLarge, Invalid, MalformedJson, UnsupportedMediaType

MAX_BYTES = 256 * 1024
LARGE_BYTES = 1024 * 1024  # Lambda answers with 6 MB at most, in which an escaped letter may take seven


def read(event: Mapping[str, Any], media_type: str, max_bytes: int = MAX_BYTES) -> str | None:
    """Return the body's text, None without one; refuse what is too large or not JSON by its media type.

    Every media type of JSON will do: application/json, application/merge-patch+json… API Gateway encodes
    as base64 what it does not know as text.
    """
    body = event.get("body")
    if not body:
        return None
    if len(body) > max_bytes * (2 if event.get("isBase64Encoded") else 1):
        raise ContentTooLarge(limit=max_bytes)
    essence = media_type.partition(";")[0].strip().lower()
    if essence not in ("", "application/json") and not (
        essence.startswith("application/") and essence.endswith("+json")
    ):
        raise UnsupportedMediaType("Send Content-Type: application/json")
    try:
        text = b64decode(body).decode() if event.get("isBase64Encoded") else body
    except ValueError as error:
        raise MalformedJson("The body is not UTF-8") from error
    if len(text.encode(errors="replace")) > max_bytes:
        raise ContentTooLarge(limit=max_bytes)
    return text


def parse(text: str) -> dict[str, Any]:
    """Parse strict JSON (RFC 8259: no NaN) into an object; raises MalformedJson or Invalid."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise MalformedJson(f"Line {error.lineno}, column {error.colno}: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise MalformedJson from error
    if not isinstance(value, dict):
        raise Invalid.at("", "must be a JSON object")
    return value  # pyright: ignore[reportUnknownVariableType]


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is not JSON")
