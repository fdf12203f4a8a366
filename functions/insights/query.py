"""GET /insights/{name}: an answer out of all messages and facts of many days."""

from typing import Annotated

from tessera.errors import InsightNotFound, QueryFailed, ScopeMissing
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.insights.insights import Insight, span
from tessera.model.caller import Scope

from aws_lambda_powertools.event_handler.openapi.params import Path, Query

app = Api("insights.query", raises=(ScopeMissing, InsightNotFound, QueryFailed))

DAY = {"format": "date"}

Name = Annotated[str, Path(description="Which one, such as `conversion`.")]
From = Annotated[
    str | None,
    Query(alias="from", description="The first day; 29 before the last by default.", json_schema_extra=DAY),
]
To = Annotated[
    str | None, Query(description="The last day, included, in UTC; today by default.", json_schema_extra=DAY)
]


@app.get("/insights/<name>", summary="Read an insight", tags=["insights"], operation_id="getInsight")
def query(name: Name, exchange: Exchange, first: From = None, to: To = None) -> Insight:
    """Return what became of messages and facts on these days. It is a query over files: it takes seconds."""
    exchange.caller.require(Scope.SESSIONS_READ)
    return exchange.graph.insights.get(name, *span(first, to, exchange.graph.clock()))


handler = app
