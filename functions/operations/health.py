"""GET /health: whether the parts work. For load balancers, monitors and people."""

from collections.abc import Callable
from typing import Any

from tessera.errors import Misconfigured, Problem, Unhealthy
from tessera.http.api import Api
from tessera.http.depends import ExchangeDep
from tessera.model.clock import MINUTE_SECONDS, SECOND
from tessera.wiring import Graph

app = Api("operations.health", public=True, raises=(Unhealthy,))

OVERDUE = 20 * MINUTE_SECONDS
"""Seconds after which a clean-up every five minutes counts as stopped."""


@app.get("/health", summary="Health", tags=["operations"], operation_id="getHealth")
def health(exchange: ExchangeDep) -> dict[str, Any]:
    """Return `{status: "ok", checks}`; 503 with the same checks when one of them fails."""
    graph = exchange.graph
    checks = {
        "table": _works(graph.expiry.finished_at),
        "keys": _works(lambda: graph.keys.ring(fresh=True)),
        "cleanup": _cleanup(graph),
    }
    if any(check["status"] != "ok" for check in checks.values()):
        raise Unhealthy(checks=checks)
    return {"status": "ok", "checks": checks}


def _works(use: Callable[[], object]) -> dict[str, Any]:
    try:
        use()
    except (Problem, Misconfigured) as error:
        return {"status": "failing", "reason": type(error).__name__}
    return {"status": "ok"}


def _cleanup(graph: Graph) -> dict[str, Any]:
    """A new system has had no clean-up yet, and nothing to clean."""
    try:
        finished_at = graph.expiry.finished_at()
    except (Problem, Misconfigured) as error:
        return {"status": "failing", "reason": type(error).__name__}
    if finished_at is None:
        return {"status": "ok", "ageSeconds": None}
    age = (graph.clock() - finished_at) // SECOND
    return {"status": "ok" if age <= OVERDUE else "overdue", "ageSeconds": age}


handler = app
