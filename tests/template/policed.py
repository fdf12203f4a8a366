"""Stores and clients that refuse what a policy of template.yaml does not allow, as IAM would."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from tessera.integrations.events import Events
from tessera.integrations.letters import Letters
from tessera.model.changes import Change, Clause
from tessera.realtime.delivery import Posted
from tessera.stores.bucket import Bucket
from tessera.stores.facts import Fact, Facts
from tessera.stores.table import Delete, Index, Item, Key, Page, Put, Table, Update, Write
from tests.template.reading import Function, Json

TABLE = {"Fn::GetAtt": ["Table", "Arn"]}
REALTIME = {"Fn::GetAtt": ["RealtimeTable", "Arn"]}
KEYS = {"Ref": "Keys"}
FACTS = {"Fn::GetAtt": ["Facts", "Arn"]}
WEBHOOK = {"Ref": "BitrixWebhook"}
BUS = {"Fn::Sub": "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/default"}
DEAD_LETTERS = {"Fn::GetAtt": ["DeadLetters", "Arn"]}

type Grant = tuple[str, str, str]
"""A statement's name, an action of it, and the partition or the resource that it is for."""


class AccessDenied(Exception):
    """What IAM would refuse."""


@dataclass
class Policy:
    """The statements of one function; notes what of them is used, and what is refused."""

    function: Function
    used: set[Grant] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)

    def statements(self) -> Iterator[Json]:
        """Yield every statement."""
        for policy in self.function.properties["Policies"]:
            yield from policy["Statement"]

    def granted(self) -> set[Grant]:
        """Return all that is granted, part by part."""
        return {
            (statement["Sid"], action, place)
            for statement in self.statements()
            for action in _listed(statement["Action"])
            for place in _leading(statement) or map(str, _listed(statement["Resource"]))
        }

    def require(self, action: str, resource: Json, partitions: Iterable[str] = ()) -> None:
        """Note every statement that allows it; raise AccessDenied when there is none."""
        partitions = [*partitions]
        allowing = [
            (statement["Sid"], action, place)
            for statement in self.statements()
            if action in _listed(statement["Action"])
            for granted in _listed(statement["Resource"])
            if _covers(granted, resource) and all(_leads(statement, pk) for pk in partitions)
            for place in ([*_used(statement, partitions)] if _leading(statement) else [str(granted)])
        ]
        if not allowing:
            self.refused.append(f"{action} on {resource} for {partitions}")
            raise AccessDenied(self.refused[-1])
        self.used |= set(allowing)


class PolicedTable:
    """Implements `Table` on another one, under a policy. Each verb asks for the action that it is in DynamoDB."""

    def __init__(self, table: Table, policy: Policy, resource: Json = TABLE) -> None:
        self._table, self._policy, self._resource = table, policy, resource

    def get(self, key: Key) -> Item | None:
        self._require("GetItem", [key.pk])
        return self._table.get(key)

    def get_many(self, keys: Sequence[Key], *, only: Sequence[str] = ()) -> list[Item]:
        if keys:
            self._require("BatchGetItem", [key.pk for key in keys])
        return self._table.get_many(keys, only=only)

    def update(self, key: Key, change: Change) -> Item:
        self._require("UpdateItem", [key.pk])
        return self._table.update(key, change)

    def transact(self, writes: Sequence[Write]) -> None:
        """One statement must allow a verb for all of it: IAM may see the partitions of a request together."""
        for kind, verb in ((Put, "PutItem"), (Update, "UpdateItem"), (Delete, "DeleteItem")):
            if any(isinstance(write, kind) for write in writes):
                self._require(verb, [write.key.pk for write in writes])
        self._table.transact(writes)

    def query(self, pk: str, prefix: str = "", *, keys_only: bool = False) -> Iterable[Item]:
        self._require("Query", [pk])
        return self._table.query(pk, prefix, keys_only=keys_only)

    def query_between(self, pk: str, first: str, last: str, **how: Any) -> Iterable[Item]:
        self._require("Query", [pk])
        return self._table.query_between(pk, first, last, **how)

    def query_index(self, index: Index, pk: str, **how: Any) -> Page:
        self._policy.require(
            "dynamodb:Query", {"Fn::Sub": f"${{{self._resource['Fn::GetAtt'][0]}.Arn}}/index/{index.name}"}
        )
        return self._table.query_index(index, pk, **how)

    def delete(self, key: Key, clauses: Sequence[Clause] = ()) -> bool:
        self._require("DeleteItem", [key.pk])
        return self._table.delete(key, clauses)

    def delete_many(self, keys: Sequence[Key]) -> None:
        if keys:
            self._require("BatchWriteItem", [key.pk for key in keys])
        self._table.delete_many(keys)

    def _require(self, verb: str, partitions: Iterable[str]) -> None:
        self._policy.require(f"dynamodb:{verb}", self._resource, partitions)


class PolicedBucket:
    """Implements `Bucket` on another one, under a policy; `name` is that of the resource."""

    def __init__(self, bucket: Bucket, name: str, policy: Policy) -> None:
        self._bucket, self._name, self._policy = bucket, name, policy

    def get(self, key: str) -> bytes | None:
        """Without the right to list, S3 refuses what is not there."""
        self._require("GetObject", key)
        body = self._bucket.get(key)
        self._policy.require("s3:ListBucket", {"Fn::GetAtt": [self._name, "Arn"]})
        return body

    def get_many(self, keys: Sequence[str]) -> Iterator[bytes | None]:
        return map(self.get, keys)

    def put(self, key: str, body: bytes) -> None:
        self._require("PutObject", key)
        self._bucket.put(key, body)

    def put_new(self, key: str, body: bytes) -> bool:
        self._require("PutObject", key)
        return self._bucket.put_new(key, body)

    def keys(self, prefix: str) -> Iterable[str]:
        self._policy.require("s3:ListBucket", {"Fn::GetAtt": [self._name, "Arn"]})
        return self._bucket.keys(prefix)

    def delete_many(self, keys: Iterable[str]) -> None:
        keys = [*keys]
        for key in keys:
            self._require("DeleteObject", key)
        self._bucket.delete_many(keys)

    def _require(self, verb: str, key: str) -> None:
        self._policy.require(f"s3:{verb}", {"Fn::Sub": f"${{{self._name}.Arn}}/{key}"})


class PolicedPosts:
    """Implements `Posts` under a policy. The connections that are named `gone` are gone, `dead` take nothing."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def post(self, frames: Mapping[str, Sequence[bytes]]) -> Posted:
        posted = Posted()
        for connection_id, own in frames.items():
            self._require("POST")
            posted.gone |= {connection_id} & {"gone"}
            posted.failed |= {connection_id} & {"dead"}
            posted.sent += len(own)
        return posted

    def close(self, connection_ids: Iterable[str]) -> None:
        for _ in connection_ids:
            self._require("DELETE")

    def _require(self, verb: str) -> None:
        api = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${WebSocketApi}"
        self._policy.require(
            "execute-api:ManageConnections",
            {"Fn::Sub": f"{api}/${{WebSocketStage}}/{verb}/@connections/*"},
        )


class PolicedFacts:
    """Implements `Facts` on another one, under a policy."""

    def __init__(self, facts: Facts, policy: Policy) -> None:
        self._facts, self._policy = facts, policy

    def put(self, facts: Sequence[Fact]) -> None:
        self._policy.require("firehose:PutRecordBatch", FACTS)
        self._facts.put(facts)


class PolicedEvents:
    """Implements `Events` on other ones, under a policy."""

    def __init__(self, events: Events, policy: Policy) -> None:
        self._events, self._policy = events, policy

    def orders_completed(self, session_ids: Sequence[str]) -> None:
        self._policy.require("events:PutEvents", BUS)
        self._events.orders_completed(session_ids)


class PolicedLetters:
    """Implements `Letters` on other ones, under a policy."""

    def __init__(self, letters: Letters, policy: Policy) -> None:
        self._letters, self._policy = letters, policy

    def put(self, letter: Mapping[str, Any]) -> None:
        self._policy.require("sqs:SendMessage", DEAD_LETTERS)
        self._letters.put(letter)


class PolicedAthena:
    """An Athena client under a policy, with what Athena does in the caller's name; every answer has one row."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def start_query_execution(self, **_: Any) -> Json:
        """Athena looks the tables up, finds and reads their objects, and writes the result."""
        self._require("athena:StartQueryExecution", "athena", "workgroup/${Workgroup}")
        for part in ("catalog", "database/${Database}"):
            self._require("glue:GetDatabase", "glue", part)
            self._require("glue:GetTable", "glue", part)
        for table in ("MessagesTable", "FactsTable"):
            self._require("glue:GetTable", "glue", f"table/${{Database}}/${{{table}}}")
        for action in ("GetBucketLocation", "ListBucket"):
            self._policy.require(f"s3:{action}", {"Fn::GetAtt": ["Analytics", "Arn"]})
        for key in ("messages/day=2026-11-20/1.parquet", "facts/day=2026-11-20/1.gz"):
            self._policy.require("s3:GetObject", {"Fn::Sub": f"${{Analytics.Arn}}/{key}"})
        for action in ("PutObject", "ListMultipartUploadParts", "AbortMultipartUpload"):
            self._policy.require(f"s3:{action}", {"Fn::Sub": "${Analytics.Arn}/athena/1.csv"})
        return {"QueryExecutionId": "1"}

    def get_query_execution(self, **_: Any) -> Json:
        self._require("athena:GetQueryExecution", "athena", "workgroup/${Workgroup}")
        return {"QueryExecution": {"Status": {"State": "SUCCEEDED"}}}

    def get_query_results(self, **_: Any) -> Json:
        self._require("athena:GetQueryResults", "athena", "workgroup/${Workgroup}")
        self._policy.require("s3:GetObject", {"Fn::Sub": "${Analytics.Arn}/athena/1.csv"})
        rows = [{"Data": [{"VarCharValue": "asked"}]}, {"Data": [{"VarCharValue": "1"}]}]
        described = {"ColumnInfo": [{"Name": "asked", "Type": "bigint"}]}
        return {"ResultSet": {"Rows": rows, "ResultSetMetadata": described}}

    def _require(self, action: str, service: str, part: str) -> None:
        place = f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{part}"
        self._policy.require(action, {"Fn::Sub": place})


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


def _listed(value: Json) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _covers(granted: Json, resource: Json) -> bool:
    """Whether it is the resource, or a prefix of objects to which it belongs."""
    if granted == resource:
        return True
    both = [value.get("Fn::Sub", "") for value in (granted, resource)]
    return bool(both[0]) and fnmatchcase(both[1], both[0])


def _leading(statement: Json) -> list[str]:
    """Return the partitions that a statement names."""
    conditions = statement.get("Condition", {}).values()
    return [key for condition in conditions for keys in condition.values() for key in keys]


def _used(statement: Json, partitions: Sequence[str]) -> Iterator[str]:
    return (key for key in _leading(statement) if any(_is_in(statement, pk, key) for pk in partitions))


def _leads(statement: Json, pk: str) -> bool:
    """Judge dynamodb:LeadingKeys as ForAllValues:StringLike and :StringEquals do."""
    return not statement.get("Condition") or any(_is_in(statement, pk, key) for key in _leading(statement))


def _is_in(statement: Json, pk: str, key: str) -> bool:
    (operator,) = statement["Condition"]
    return fnmatchcase(pk, key) if operator.endswith("StringLike") else pk == key
