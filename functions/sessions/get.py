"""GET /sessions/{sessionId}: a session, and the parts that `include` names."""

from typing import Annotated, Literal

from tessera.errors import SessionExpired, SessionNotFound
from tessera.http import answers
from tessera.http.api import Api
from tessera.http.depends import ExchangeDep, SessionId
from tessera.model.session import SessionWithParts

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

app = Api("sessions.get", raises=(SessionNotFound, SessionExpired))


@app.get("/sessions/<sessionId>", summary="Read a session", tags=["sessions"], operation_id="getSession")
def get(
    session_id: SessionId,
    exchange: ExchangeDep,
    include: Annotated[Literal["data"] | None, Query(description="Parts to add.")] = None,
) -> Response[SessionWithParts]:
    """Return a live session. Reading is not activity: it slides nothing."""
    record = exchange.access.get(session_id)
    parts: dict[str, object] = {"data": exchange.graph.sessions.data(record.id)} if include else {}
    return answers.session_with_parts(record, parts, degraded=exchange.graph.tiers.degraded)


handler = app
