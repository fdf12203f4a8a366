"""GET /health: whether the parts work. For load balancers, monitors and people."""

from collections.abc import Callable
from typing import Any

from tessera.errors import Misconfigured, Problem, Unhealthy
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.model.clock import MINUTE_SECONDS, SECOND, Millis
from tessera.wiring import Graph

app = Api("operations.health", public=True, raises=(Unhealthy,))

OVERDUE = 20 * MINUTE_SECONDS
"""Seconds after which a clean-up every five minutes counts as stopped."""


@app.get("/health", summary="Health", tags=["operations"], operation_id="getHealth")
def health(exchange: Exchange) -> dict[str, Any]:
    """Return `{status: "ok", checks}`; 503 with the same checks when one of them fails."""
    graph = exchange.graph
    checks = {"keys": _works(lambda: _check_keys(graph)), **_table_and_cleanup(graph)}
    if any(check["status"] != "ok" for check in checks.values()):
        raise Unhealthy(checks=checks)
    return {"status": "ok", "checks": checks}


def _check_keys(graph: Graph) -> None:
    """Look at the ring that this container has, and at the secret as it is now."""
    graph.keys.check()


def _works(use: Callable[[], object]) -> dict[str, Any]:
    try:
        use()
    except (Problem, Misconfigured) as error:
        return {"status": "failing", "reason": type(error).__name__}
    return {"status": "ok"}


def _table_and_cleanup(graph: Graph) -> dict[str, dict[str, Any]]:
    """One look at where the clean-up stands says both. A new system has had none yet, and nothing to clean."""
    finished: list[Millis | None] = []
    table = _works(lambda: finished.append(graph.expiry.finished_at()))
    if not finished:
        return {"table": table, "cleanup": {"status": "unknown"}}
    age = None if finished[0] is None else (graph.clock() - finished[0]) // SECOND
    overdue = age is not None and age > OVERDUE
    return {"table": table, "cleanup": {"status": "overdue" if overdue else "ok", "ageSeconds": age}}


handler = app
