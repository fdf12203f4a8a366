"""Queries by Athena: started, waited for, read page by page."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tessera.errors import QueryFailed, Unavailable, from_aws
from tessera.insights.results import TYPES, Column, Result
from tessera.model.clock import SECOND, Clock, Millis
from tessera.stores.tiers import L3, Tiers

PATIENCE: Millis = 25 * SECOND
"""How long a query may take; API Gateway gives up after 30 seconds."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0  # seconds; half as long again at each look
_CATEGORIES: Mapping[int, str] = {1: "system", 2: "user"}


class Athena:
    """Implements `QueryEngine` on an Athena client (of boto3), a workgroup and a database of Glue.

    The workgroup says where results go and how much a query may scan.
    """

    def __init__(
        self,
        client: Any,
        workgroup: str,
        database: str,
        tiers: Tiers,
        clock: Clock,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client, self._workgroup, self._database = client, workgroup, database
        self._tiers, self._clock, self._sleep = tiers, clock, sleep

    def run(self, sql: str) -> Result:
        """See QueryEngine."""
        with self._tiers.timed(L3):
            context = {"Database": self._database}
            started = self._call(
                "start_query_execution", QueryString=sql, QueryExecutionContext=context, WorkGroup=self._workgroup
            )
            execution: str = started["QueryExecutionId"]
            self._wait(execution)
            return self._result(execution)

    def _wait(self, execution: str) -> None:
        """Look again and again, ever less often, until the query has ended."""
        until, pause = self._clock() + PATIENCE, _FIRST_PAUSE
        while True:
            answer = self._call("get_query_execution", QueryExecutionId=execution)
            status = answer["QueryExecution"]["Status"]
            match status["State"]:
                case "SUCCEEDED":
                    return
                case "FAILED":
                    category = status.get("AthenaError", {}).get("ErrorCategory")
                    raise QueryFailed(reason=_CATEGORIES.get(category, "other"), execution=execution)
                case "CANCELLED":
                    raise QueryFailed(reason="cancelled", execution=execution)
                case _ if self._clock() >= until:
                    raise QueryFailed(reason="timed-out", execution=execution)
                case _:
                    self._sleep(pause)
                    pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _result(self, execution: str) -> Result:
        columns: list[Column] = []
        rows: list[dict[str, Any]] = []
        for page in self._pages(execution):
            lines = page["Rows"]
            if not columns:
                described = page["ResultSetMetadata"]["ColumnInfo"]
                columns = [Column(each["Name"], TYPES.get(each["Type"], "string")) for each in described]
                lines = lines[1:]  # the first line of the first page is the names
            rows += [
                {
                    column.name: column.read(cell.get("VarCharValue"))
                    for column, cell in zip(columns, line["Data"], strict=True)
                }
                for line in lines
            ]
        return Result(columns, rows)

    def _pages(self, execution: str) -> Iterator[Any]:
        start: dict[str, str] = {}
        while True:
            answer = self._call("get_query_results", QueryExecutionId=execution, **start)
            yield answer["ResultSet"]
            if not answer.get("NextToken"):
                return
            start = {"NextToken": answer["NextToken"]}

    def _call(self, operation: str, **request: Any) -> Any:
        try:
            return getattr(self._client, operation)(**request)
        except ClientError as error:
            code: Any = error.response.get("Error", {}).get("Code", "")
            raise from_aws(code) from error
        except BotoCoreError as error:
            raise Unavailable from error
