"""GET /sessions/{sessionId}/messages: the open conversation, from the table on into the archive."""

from typing import Annotated

from tessera.errors import Invalid, SessionExpired, SessionNotFound
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.http.parameters import SessionId
from tessera.model.messages import MessagePage

from aws_lambda_powertools.event_handler.openapi.params import Query

app = Api("conversations.read", raises=(SessionNotFound, SessionExpired))

Limit = Annotated[int, Query(ge=1, le=1_000, description="Messages on a page, at most.")]
Before = Annotated[int | None, Query(ge=1, lt=10**10, description="Only those with smaller numbers.")]
After = Annotated[int | None, Query(ge=0, lt=10**10, description="Only those with larger numbers.")]


@app.get(
    "/sessions/<sessionId>/messages", summary="Read messages", tags=["conversations"], operation_id="readMessages"
)
def read(
    session_id: SessionId,
    exchange: Exchange,
    limit: Limit = 100,
    before: Before = None,
    after: After = None,
) -> MessagePage:
    """Return messages oldest first: the newest ones, those before a number, or those after it."""
    if before is not None and after is not None:
        raise Invalid.at("query/after", "cannot go with before")
    record = exchange.access.get(session_id)
    return exchange.graph.history.page(record, limit=limit, before=before, after=after)


handler = app
