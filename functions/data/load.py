"""GET /sessions/{sessionId}/data/{bucket}: a bucket as it is."""

from tessera.errors import BucketNotFound, Invalid, SessionExpired, SessionNotFound
from tessera.http.api import Api
from tessera.http.data import Bucket, answer
from tessera.http.exchange import Exchange
from tessera.http.parameters import SessionId
from tessera.model.data_bucket import DataBucket

from aws_lambda_powertools.event_handler import Response

app = Api("data.load", raises=(SessionNotFound, SessionExpired, BucketNotFound, Invalid))


@app.get("/sessions/<sessionId>/data/<bucket>", summary="Load a bucket", tags=["data"], operation_id="loadData")
def load(session_id: SessionId, bucket: Bucket, exchange: Exchange) -> Response[DataBucket]:
    """Return a bucket of a live session. Reading is not activity: it slides nothing."""
    store = exchange.graph.data
    held = exchange.access.reading_part(session_id, lambda target, admit: store.load(target, bucket, admit))
    return answer(bucket, held)


handler = app
