"""Plain JSON values ⇄ DynamoDB's attribute values, without the Decimals of boto3's own converter."""

from collections.abc import Callable, Mapping
from typing import Any

_LARGEST_INTEGER = 10**38
type AttributeValue = dict[str, Any]


def encode(value: Any) -> AttributeValue:
    """Convert a JSON value, e.g. {"a": 1} → {"M": {"a": {"N": "1"}}}."""
    match value:
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int() | float():
            return {"N": repr(value)}
        case None:
            return {"NULL": True}
        case dict():
            return {"M": encode_item(value)}  # pyright: ignore[reportUnknownArgumentType]
        case list() | tuple():
            return {"L": [encode(inner) for inner in value]}  # pyright: ignore[reportUnknownVariableType]
        case _:
            raise TypeError(f"{type(value).__name__} is not a JSON value")


def encode_item(item: Mapping[str, Any]) -> dict[str, AttributeValue]:
    """Convert each value of an object."""
    return {name: encode(value) for name, value in item.items()}


def decode(attribute: Mapping[str, Any]) -> Any:
    """Convert back. Types that we never write (sets, binary) come as they are, for the model to refuse."""
    ((kind, value),) = attribute.items()
    return _DECODERS.get(kind, _foreign)(value)


def decode_item(item: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Convert each value of an item back; `decode` in one loop, for every read comes through here."""
    return {
        name: _DECODERS.get(kind, _foreign)(value)
        for name, attribute in item.items()
        for kind, value in attribute.items()
    }


def _foreign(value: Any) -> Any:
    return value


def _number(text: str) -> int | float:
    """An integer of more than 38 digits can only have come from a float, e.g. 1e100."""
    try:
        number = int(text)
    except ValueError:
        return float(text)
    return number if abs(number) < _LARGEST_INTEGER else float(text)


_DECODERS: Mapping[str, Callable[[Any], Any]] = {
    "S": str,
    "N": _number,
    "BOOL": bool,
    "NULL": lambda _: None,
    "M": decode_item,
    "L": lambda values: [decode(value) for value in values],
}


def size(value: Any) -> int:
    """Estimate the bytes that DynamoDB counts for a value: names, UTF-8, and a few for each nesting."""
    match value:
        case str():
            return len(value.encode())
        case dict():
            return 3 + sum(len(str(name).encode()) + size(inner) + 1 for name, inner in value.items())  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        case list():
            return 3 + sum(size(inner) + 1 for inner in value)  # pyright: ignore[reportUnknownVariableType]
        case _:
            return 21
