"""A table in DynamoDB."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import batched
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tessera.errors import Cancelled, Contended, Stale, TesseraError, Throttled, Unavailable, from_aws
from tessera.model.changes import Change, Clause
from tessera.stores.attributes import decode_item, encode, encode_item
from tessera.stores.expressions import Expressions
from tessera.stores.guard import Guard
from tessera.stores.table import Delete, Index, Item, Key, Page, Put, Write
from tessera.stores.tiers import L2, Tiers

_GET_BATCH, _WRITE_BATCH = 100, 25
_BATCH_TRIES = 7
_FIRST_PAUSE = 0.05  # seconds; doubled at each try, with full jitter: 3.15 s for a batch at most


class DynamoTable:
    """Implements `Table` on a DynamoDB client (of boto3) and a table name."""

    def __init__(
        self,
        client: Any,
        name: str,
        tiers: Tiers,
        sleep: Callable[[float], None] = time.sleep,
        guard: Guard | None = None,
    ) -> None:
        self._client, self._name, self._tiers, self._sleep = client, name, tiers, sleep
        self._guard = guard or Guard()

    def get(self, key: Key) -> Item | None:
        """See Table."""
        answer = self._call("get_item", TableName=self._name, Key=_encoded(key), ConsistentRead=True)
        return decode_item(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Sequence[Key], *, only: Sequence[str] = ()) -> list[Item]:
        """See Table."""
        expressions = Expressions()
        projection = _projection(expressions, only) if only else {}
        how = {"ConsistentRead": True, **projection, **expressions.placeholders()}
        found: list[Item] = []
        for batch in batched(keys, _GET_BATCH, strict=False):
            request = {self._name: {"Keys": [_encoded(key) for key in batch]} | how}
            for answer in self._drained("batch_get_item", request, "UnprocessedKeys"):
                found += map(decode_item, answer["Responses"].get(self._name, ()))
        return found

    def update(self, key: Key, change: Change) -> Item:
        """See Table."""
        expressions = Expressions()
        answer = self._call(
            "update_item",
            Key=_encoded(key),
            **expressions.update(change),
            **self._condition(expressions, change.clauses),
            ReturnValues="ALL_NEW",
        )
        return decode_item(answer["Attributes"])

    def transact(self, writes: Sequence[Write]) -> None:
        """See Table."""
        self._call("transact_write_items", TransactItems=[self._write(write) for write in writes])

    def query(self, pk: str, prefix: str = "", *, keys_only: bool = False) -> Iterator[Item]:
        """See Table."""
        expressions = Expressions()
        condition = f"{expressions.path(('pk',))} = {expressions.value(pk)}"
        if prefix:
            condition += f" AND begins_with({expressions.path(('sk',))}, {expressions.value(prefix)})"
        projection = _projection(expressions) if keys_only else {}
        return self._read(KeyConditionExpression=condition, **projection, **expressions.placeholders())

    def query_between(
        self, pk: str, first: str, last: str, *, newest_first: bool = False, limit: int | None = None
    ) -> Iterator[Item]:
        """See Table."""
        if first > last:
            return iter(())  # DynamoDB calls such bounds invalid
        expressions = Expressions()
        sk, bounds = expressions.path(("sk",)), f"{expressions.value(first)} AND {expressions.value(last)}"
        condition = f"{expressions.path(('pk',))} = {expressions.value(pk)} AND {sk} BETWEEN {bounds}"
        return self._read(
            limit,
            KeyConditionExpression=condition,
            ScanIndexForward=not newest_first,
            **expressions.placeholders(),
        )

    def query_index(
        self,
        index: Index,
        pk: str,
        *,
        up_to: int | None = None,
        newest_first: bool = False,
        limit: int,
        start: Item | None = None,
    ) -> Page:
        """See Table."""
        expressions = Expressions()
        condition = f"{expressions.path((index.pk,))} = {expressions.value(pk)}"
        if up_to is not None:
            condition += f" AND {expressions.path((index.sk,))} <= {expressions.value(up_to)}"
        answer = self._call(
            "query",
            TableName=self._name,
            IndexName=index.name,
            KeyConditionExpression=condition,
            ScanIndexForward=not newest_first,
            Limit=limit,
            **expressions.placeholders(),
            **({"ExclusiveStartKey": encode_item(start)} if start else {}),
        )
        last = answer.get("LastEvaluatedKey")
        return Page([decode_item(item) for item in answer["Items"]], decode_item(last) if last else None)

    def delete(self, key: Key, clauses: Sequence[Clause] = ()) -> bool:
        """See Table."""
        expressions = Expressions()
        try:
            answer = self._call(
                "delete_item",
                Key=_encoded(key),
                **self._condition(expressions, clauses),
                ReturnValues="ALL_OLD",
            )
        except Stale as stale:
            if stale.found is None:
                return False
            raise
        return "Attributes" in answer

    def delete_many(self, keys: Sequence[Key]) -> None:
        """See Table."""
        for batch in batched(keys, _WRITE_BATCH, strict=False):
            request = {self._name: [{"DeleteRequest": {"Key": _encoded(key)}} for key in batch]}
            for _ in self._drained("batch_write_item", request, "UnprocessedItems"):
                pass

    def _write(self, write: Write) -> dict[str, Any]:
        expressions = Expressions()
        if isinstance(write, Put):
            return {"Put": {"Item": encode_item(write.item), **self._condition(expressions, write.clauses)}}
        if isinstance(write, Delete):
            return {"Delete": {"Key": _encoded(write.key), **self._condition(expressions, write.clauses)}}
        what = {"Key": _encoded(write.key), **expressions.update(write.change)}
        return {"Update": what | self._condition(expressions, write.clauses)}

    def _condition(self, expressions: Expressions, clauses: Sequence[Clause]) -> dict[str, Any]:
        """Return what every write says last: where, under which conditions, and that a failure brings evidence."""
        return {
            "TableName": self._name,
            **expressions.condition(clauses),
            **expressions.placeholders(),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def _read(self, limit: int | None = None, **request: Any) -> Iterator[Item]:
        """Read a query page by page, each when the one before is used up; of all the items `limit` at most."""
        while limit is None or limit > 0:
            asked = request if limit is None else request | {"Limit": limit}
            answer = self._call("query", TableName=self._name, ConsistentRead=True, **asked)
            yield from map(decode_item, answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
            limit = None if limit is None else limit - len(answer["Items"])

    def _drained(self, operation: str, request: dict[str, Any], left: str) -> Iterable[Any]:
        """Repeat a batch until nothing of it is left unprocessed."""
        for attempt in range(_BATCH_TRIES):
            if attempt:
                self._sleep(random.uniform(0, _FIRST_PAUSE * 2 ** (attempt - 1)))  # noqa: S311 - jitter, no secret
            answer = self._call(operation, RequestItems=request)
            yield answer
            request = answer.get(left) or {}
            if not request:
                return
        raise Throttled

    def _call(self, operation: str, **request: Any) -> Any:
        with self._tiers.timed(L2):
            return self._guard.call(self._asked, operation, request)

    def _asked(self, operation: str, request: dict[str, Any]) -> Any:
        try:
            return getattr(self._client, operation)(**request)
        except ClientError as error:
            raise _meaning(error) from error
        except BotoCoreError as error:
            raise Unavailable from error


def _encoded(key: Key) -> dict[str, Any]:
    return {"pk": encode(key.pk), "sk": encode(key.sk)}


def _projection(expressions: Expressions, only: Sequence[str] = ()) -> dict[str, str]:
    """Ask for the key and these attributes alone."""
    names = dict.fromkeys(("pk", "sk", *only))
    return {"ProjectionExpression": ", ".join(expressions.path((name,)) for name in names)}


def _meaning(error: ClientError) -> TesseraError:
    response: Any = error.response
    code = response["Error"]["Code"]
    if code == "ConditionalCheckFailedException":
        return Stale(decode_item(response["Item"]) if "Item" in response else None)
    if code == "TransactionCanceledException":
        return _cancelled(response.get("CancellationReasons", ()))
    return from_aws(code)


def _cancelled(reasons: Sequence[Mapping[str, Any]]) -> TesseraError:
    """A transaction ends for the first of these that is among its reasons."""
    codes = [reason.get("Code", "None") for reason in reasons]
    failed = frozenset(place for place, code in enumerate(codes) if code == "ConditionalCheckFailed")
    if failed:
        items = {place: reasons[place].get("Item") for place in failed}
        return Cancelled(failed, {place: decode_item(item) if item else None for place, item in items.items()})
    if "TransactionConflict" in codes:
        return Contended()
    if {"ThrottlingError", "ProvisionedThroughputExceeded"} & set(codes):
        return Throttled()
    return from_aws("ValidationException") if "ValidationError" in codes else Unavailable()
