"""The tables of template.yaml, made on any engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from uuid import uuid4

from tests.template.reading import TEMPLATE, parse

_TAKEN = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")


@cache
def _definition(resource: str) -> dict[str, Any]:
    """Return what template.yaml says of keys and indexes, so that the tests run on what is deployed."""
    table = parse(TEMPLATE.read_text()).resources[resource]
    return {name: table["Properties"][name] for name in _TAKEN}


@contextmanager
def new_table(client: Any, resource: str = "Table") -> Iterator[str]:
    """Make a table as that resource is; give its name; drop it at the end."""
    name = f"tessera-{uuid4().hex}"
    client.create_table(TableName=name, **_definition(resource))
    try:
        yield name
    finally:
        client.delete_table(TableName=name)
