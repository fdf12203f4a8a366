"""JSON values that may be stored: what fits DynamoDB's number range, nesting and UTF-8, and nothing else."""

import math
from typing import Annotated, Any

from pydantic import AfterValidator, Field, JsonValue, WithJsonSchema

MAX_DEPTH = 20  # DynamoDB nests 32 levels; a field and its item take some
MAX_KEY = 255
MAX_DIGITS = 38
_SMALLEST, _LARGEST = 1e-130, 9.9e125


def storable[T](value: T) -> T:
    """Return the value as it is, or raise ValueError saying what cannot be stored."""
    _check(value, depth=1)
    return value


def _check(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    match value:
        case dict():
            for key, inner in value.items():  # pyright: ignore[reportUnknownVariableType]
                _check_key(str(key))  # pyright: ignore[reportUnknownArgumentType]
                _check(inner, depth + 1)
        case list():
            for inner in value:  # pyright: ignore[reportUnknownVariableType]
                _check(inner, depth + 1)
        case str():
            _check_text(value)
        case bool() | None:
            pass
        case int() | float():
            _check_number(value)
        case _:
            raise ValueError("not a JSON value")


def _check_key(key: str) -> None:
    if not 1 <= len(key) <= MAX_KEY:
        raise ValueError(f"a key must have 1 to {MAX_KEY} characters")
    _check_text(key)


def _check_text(text: str) -> None:
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("a lone surrogate is not Unicode text")


def _check_number(number: float) -> None:
    if isinstance(number, int):
        if abs(number) >= 10**MAX_DIGITS:
            raise ValueError(f"an integer may have {MAX_DIGITS} digits")
    elif not math.isfinite(number) or (number and not _SMALLEST <= abs(number) <= _LARGEST):
        raise ValueError("a number must lie between 1e-130 and 9.9e125")


Json = Annotated[JsonValue, AfterValidator(storable), WithJsonSchema({})]
"""Any JSON value that can be stored."""

JsonObject = Annotated[dict[str, JsonValue], AfterValidator(storable), WithJsonSchema({"type": "object"})]
"""A JSON object that can be stored."""

Text = Annotated[str, Field(max_length=1_000), AfterValidator(storable)]
"""A short text."""
