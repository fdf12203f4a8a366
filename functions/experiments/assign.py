"""POST /sessions/{sessionId}/experiments/{experiment}: the variation that a session sees, recorded once."""

from typing import Annotated

from tessera.errors import ExperimentNotFound, PreconditionFailed, SessionExpired, SessionNotFound
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.http.parameters import SessionId
from tessera.model.clock import Millis
from tessera.model.experiments import Assignment, assigned, declared_as, exposed
from tessera.model.life import touched
from tessera.model.record import Record
from tessera.stores.session_store import Decision

from aws_lambda_powertools.event_handler.openapi.params import Path

app = Api("experiments.assign", raises=(SessionNotFound, SessionExpired, ExperimentNotFound, PreconditionFailed))

Key = Annotated[str, Path(alias="experiment", description="Which experiment, such as `button`.")]


@app.post(
    "/sessions/<sessionId>/experiments/<experiment>",
    summary="Take part in an experiment",
    tags=["experiments"],
    operation_id="assignVariation",
)
def assign(session_id: SessionId, key: Key, exchange: Exchange) -> Assignment:
    """Return the variation to show, the same at each call. Call it where it is shown: the first call counts."""
    graph, found = exchange.graph, Assignment(experiment=key, variation=None)
    experiment = declared_as(key, graph.experiments)

    def decide(record: Record, now: Millis) -> Decision:
        seen = graph.exposures.of(record.id, key)
        exposure = None if seen else assigned(record, key, graph.experiments, now)
        found.variation = exposure.variation if exposure else seen
        if exposure is None:
            return touched(record, now), ()
        return exposed(record, now), [graph.exposures.recorded(record, exposure)]

    exchange.access.change_with(session_id, decide)
    # A variation that was taken out of the experiment can be shown by nobody.
    return found if found.variation in experiment.variations else Assignment(experiment=key, variation=None)


handler = app
