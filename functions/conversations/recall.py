"""GET /customers/{customerId}/messages: a customer's memory, over all conversations."""

from typing import Annotated

from tessera.errors import NotYours, SessionExpired
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.http.parameters import decoded
from tessera.model.clock import SECOND
from tessera.model.messages import Memory, Remembered

from aws_lambda_powertools.event_handler.openapi.params import Path, Query

app = Api("conversations.recall", raises=(NotYours, SessionExpired))

MARGIN = 4 * SECOND
"""Milliseconds kept for ranking and answering; what is not read by then is not searched."""

CustomerId = Annotated[str, decoded, Path(alias="customerId", min_length=1, max_length=200)]
Limit = Annotated[int, Query(ge=1, le=1_000, description="Messages in the answer, at most.")]
Words = Annotated[str | None, Query(min_length=1, max_length=1_000, description="Ranks by relevance (BM25).")]


@app.get(
    "/customers/<customerId>/messages",
    summary="Recall messages",
    tags=["conversations"],
    operation_id="recallMessages",
)
def recall(customer_id: CustomerId, exchange: Exchange, limit: Limit = 50, query: Words = None) -> Memory:
    """Return the newest messages of all the customer's conversations, or those that answer a query best.

    A session sees the memory of its own customer, a service that of any.
    """
    exchange.access.customer(customer_id)
    memory, remaining = exchange.graph.memory, exchange.context.get_remaining_time_in_millis
    if query is None:
        found, complete = memory.newest(customer_id, limit)
    else:
        found, complete = memory.search(customer_id, query, limit, in_time=lambda: remaining() > MARGIN)
    return Memory(messages=[Remembered.model_validate(message) for message in found], complete=complete)


handler = app
