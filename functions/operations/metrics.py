"""GET /metrics: the aggregates of all containers in the text format of Prometheus."""

from tessera.errors import ScopeMissing
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.model.caller import Scope

from aws_lambda_powertools.event_handler import Response

app = Api("operations.metrics", raises=(ScopeMissing,))

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@app.get(
    "/metrics",
    summary="Metrics",
    tags=["operations"],
    operation_id="getMetrics",
    responses={200: {"description": "OK", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(exchange: Exchange) -> Response[str]:
    """Return every counter since the beginning. They lag by the flush interval of the containers."""
    exchange.caller.require(Scope.ADMIN)
    lines: list[str] = []
    described = ""
    for series, value in sorted(exchange.graph.counters.totals().items()):
        name = series.partition("{")[0]
        if name != described:
            lines.append(f"# TYPE {name} counter")
            described = name
        lines.append(f"{series} {value}")
    return Response(200, CONTENT_TYPE, "\n".join([*lines, ""]))


handler = app
