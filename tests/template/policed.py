"""A table that refuses what a function's policy in template.yaml does not allow, as IAM would."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from tessera.model.changes import Change, Clause
from tessera.stores.table import Index, Item, Key, Page, Put, Table
from tests.template.reading import Function, Json

TABLE = {"Fn::GetAtt": ["Table", "Arn"]}
KEYS = {"Ref": "Keys"}


class AccessDenied(Exception):
    """What IAM would refuse."""


@dataclass
class Policy:
    """The statements of one function; notes which of their actions are used, and what is refused."""

    function: Function
    used: set[tuple[str, str]] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)

    def statements(self) -> Iterator[Json]:
        """Yield every statement."""
        for policy in self.function.properties["Policies"]:
            yield from policy["Statement"]

    def granted(self) -> set[tuple[str, str]]:
        """Return each statement's name with each of its actions."""
        return {(statement["Sid"], action) for statement in self.statements() for action in _actions(statement)}

    def require(self, action: str, resource: Json, partitions: Iterable[str] = ()) -> None:
        """Note every statement that allows it; raise AccessDenied when there is none."""
        partitions = [*partitions]
        allowing = [
            statement
            for statement in self.statements()
            if action in _actions(statement)
            and statement["Resource"] == resource
            and all(_leads(statement, pk) for pk in partitions)
        ]
        if not allowing:
            self.refused.append(f"{action} on {resource} for {partitions}")
            raise AccessDenied(self.refused[-1])
        self.used |= {(statement["Sid"], action) for statement in allowing}


class PolicedTable:
    """Implements `Table` on another one, under a policy. Each verb asks for the action that it is in DynamoDB."""

    def __init__(self, table: Table, policy: Policy) -> None:
        self._table, self._policy = table, policy

    def get(self, key: Key) -> Item | None:
        self._require("GetItem", [key.pk])
        return self._table.get(key)

    def get_many(self, keys: Sequence[Key], *, only: Sequence[str] = ()) -> list[Item]:
        self._require("BatchGetItem", [key.pk for key in keys])
        return self._table.get_many(keys, only=only)

    def update(self, key: Key, change: Change) -> Item:
        self._require("UpdateItem", [key.pk])
        return self._table.update(key, change)

    def transact(self, puts: Sequence[Put]) -> None:
        self._require("PutItem", [put.item["pk"] for put in puts])
        self._table.transact(puts)

    def query(self, pk: str, prefix: str = "", *, keys_only: bool = False) -> Iterable[Item]:
        self._require("Query", [pk])
        return self._table.query(pk, prefix, keys_only=keys_only)

    def query_index(self, index: Index, pk: str, **how: Any) -> Page:
        self._policy.require("dynamodb:Query", {"Fn::Sub": f"${{Table.Arn}}/index/{index.name}"})
        return self._table.query_index(index, pk, **how)

    def delete(self, key: Key, clauses: Sequence[Clause] = ()) -> bool:
        self._require("DeleteItem", [key.pk])
        return self._table.delete(key, clauses)

    def delete_many(self, keys: Sequence[Key]) -> None:
        self._require("BatchWriteItem", [key.pk for key in keys])
        self._table.delete_many(keys)

    def _require(self, verb: str, partitions: Iterable[str]) -> None:
        self._policy.require(f"dynamodb:{verb}", TABLE, partitions)


class PolicedClient:
    """The DynamoDB client that Powertools keeps idempotency records with; every record is new to it."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def put_item(self, *, Item: Json, **_: Any) -> Json:  # noqa: N803 - boto3's name
        self._policy.require("dynamodb:PutItem", TABLE, [Item["pk"]["S"]])
        return {}

    def update_item(self, *, Key: Json, **_: Any) -> Json:  # noqa: N803 - same
        self._policy.require("dynamodb:UpdateItem", TABLE, [Key["pk"]["S"]])
        return {}


def _actions(statement: Json) -> list[str]:
    actions = statement["Action"]
    return actions if isinstance(actions, list) else [actions]


def _leads(statement: Json, pk: str) -> bool:
    """Judge dynamodb:LeadingKeys as ForAllValues:StringLike and :StringEquals do."""
    return all(
        any(fnmatchcase(pk, key) if operator.endswith("StringLike") else pk == key for key in keys)
        for operator, condition in statement.get("Condition", {}).items()
        for keys in condition.values()
    )
