"""Start MiniStack with some of its faults mended; runs in MiniStack's environment, not in ours.

    python embedded.py

- Athena: the columns of a table of JSON have the types that Glue says. MiniStack guesses, wrongly if one is empty.
- Athena: who looks after a query needs the right to its workgroup. MiniStack asks for one to everything.
- Athena: workgroups survive a restart. MiniStack forgets them all with one time in one result.
- API Gateway: preflights know patterns of origins. MiniStack compares letter by letter, and a page on this machine
  may have any port.
- Lambda: after a restart streams are read from their beginning. MiniStack begins streams anew, but skips as many
  records of them as were read before.
- Open sockets do not hold up its end. MiniStack waits for their clients to go, is killed, and its state is lost.
- WebSocket: after a deployment the new version of a function answers. MiniStack keeps the process that the alias
  had before.
- WebSocket: the protocol that $connect answers is echoed. MiniStack echoes none, and browsers then refuse.
"""
# pyright: basic, reportMissingImports=false
# The imports of ministack exist in its environment only.

from asyncio.base_events import Server
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from ministack.app import main
from ministack.core import iam_actions, lambda_runtime
from ministack.core.iam_actions import _safe_json_field
from ministack.core.lambda_runtime import get_or_create_worker
from ministack.services import apigateway, athena, lambda_svc
from ministack.services.apigateway import _cors_response_headers, _invoke_ws_lambda, handle_websocket
from ministack.services.athena import _duckdb_type, _run_duckdb, _table_relation
from ministack.services.lambda_svc import load_persisted_state


def safe_json_field(body: bytes, field: str) -> str:
    """Return a field of a request. The workgroup of one that names a query alone is that of the query."""
    found = _safe_json_field(body, field)
    if field != "WorkGroup" or found:
        return found
    query: dict[str, Any] = athena._executions.get(_safe_json_field(body, "QueryExecutionId")) or {}  # noqa: SLF001
    return query.get("WorkGroup", "")


def table_relation(table: dict[str, Any], files: list[str]) -> str:
    """Return what DuckDB reads in place of a table."""
    relation = _table_relation(table, files)
    if not relation.startswith("read_json_auto("):
        return relation
    columns = ", ".join(
        f"'{column['Name']}': '{_duckdb_type(column)}'" for column in table["StorageDescriptor"]["Columns"]
    )
    return f"{relation.removesuffix(')')}, columns = {{{columns}}})"


async def run_duckdb(query: str, database: str, catalog: str | None = None) -> dict[str, Any]:
    """Run a query. What JSON cannot hold becomes text, which Athena's results are anyway."""
    results = await _run_duckdb(query, database, catalog)
    plain = str | int | float | None
    rows = [[value if isinstance(value, plain) else str(value) for value in row] for row in results["rows"]]
    return {**results, "rows": rows}


def cors_response_headers(cors: dict[str, Any], origin: str) -> dict[str, str]:
    """Return what a browser is told of an origin; `http://localhost:*` allows it at every port."""
    host, _, port = origin.rpartition(":")
    allowed = cors.get("allowOrigins", []) if cors else []
    if port.isdecimal() and f"{host}:*" in allowed:
        cors = {**cors, "allowOrigins": [origin]}
    return _cors_response_headers(cors, origin)


def load_lambda(state: dict[str, Any]) -> None:
    """Take up the state of the last run, but for where readers of streams stood."""
    load_persisted_state({**state, "dynamodb_stream_positions": {}})


def worker_of_version(name: str, config: dict[str, Any], code: bytes, qualifier: str = "$LATEST") -> Any:
    """Return the process of the version that an alias stands for now; sockets alone ask for one in this way."""
    return get_or_create_worker(name, config, code, qualifier=config.get("Version") or qualifier)


PROTOCOL: ContextVar[list[str]] = ContextVar("protocol")
"""The protocol that the connection at hand was answered with, if any."""


async def invoke_socket_function(*arguments: Any, **named: Any) -> dict[str, Any] | None:
    """Invoke a route's function; note the protocol that it answers."""
    answer = await _invoke_ws_lambda(*arguments, **named)
    headers = (answer or {}).get("headers") or {}
    PROTOCOL.get().extend(value for name, value in headers.items() if name.lower() == "sec-websocket-protocol")
    return answer


async def websocket(
    scope: Any, receive: Any, send: Callable[[dict[str, Any]], Awaitable[None]], *arguments: Any, **named: Any
) -> None:
    """Drive a connection; accept it with the protocol that was answered."""
    protocol: list[str] = []
    PROTOCOL.set(protocol)

    async def send_with_protocol(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.accept" and protocol:
            message = {**message, "subprotocol": protocol[0]}
        await send(message)

    await handle_websocket(scope, receive, send_with_protocol, *arguments, **named)


close_server = Server.close


def close_with_clients(self: Server) -> None:
    """Stop listening; a second later, when what was asked is answered, close connections that are still open."""
    close_server(self)
    self.get_loop().call_later(1, self.close_clients)


if __name__ == "__main__":
    Server.close = close_with_clients
    lambda_svc.load_persisted_state = load_lambda
    lambda_runtime.get_or_create_worker = worker_of_version
    apigateway._invoke_ws_lambda = invoke_socket_function  # noqa: SLF001 - MiniStack has no other place for it
    apigateway.handle_websocket = websocket
    apigateway._cors_response_headers = cors_response_headers  # noqa: SLF001 - same
    athena._run_duckdb = run_duckdb  # noqa: SLF001 - same
    athena._table_relation = table_relation  # noqa: SLF001 - same
    iam_actions._safe_json_field = safe_json_field  # noqa: SLF001 - same
    main()
