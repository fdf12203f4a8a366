"""GET /sessions/{sessionId}/validity: whether a session is still good, and why not."""

from tessera.errors import SessionNotFound
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.http.parameters import SessionId
from tessera.model.life import validity
from tessera.model.session import Validity

app = Api("sessions.validate", raises=(SessionNotFound,))


@app.get(
    "/sessions/<sessionId>/validity", summary="Check a session", tags=["sessions"], operation_id="validateSession"
)
def validate(session_id: SessionId, exchange: Exchange) -> Validity:
    """Judge a session, also one that has expired. Asking is not activity: it slides nothing."""
    return validity(exchange.access.find(session_id), exchange.graph.clock())


handler = app
