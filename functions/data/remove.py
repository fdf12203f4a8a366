"""DELETE /sessions/{sessionId}/data/{bucket}: a bucket goes, with its earlier versions."""

from tessera.errors import BucketNotFound, Invalid, PreconditionFailed, SessionExpired, SessionNotFound
from tessera.http.api import Api
from tessera.http.data import Bucket
from tessera.http.exchange import Exchange
from tessera.http.parameters import SessionId
from tessera.model.data import Held, Wanted

from aws_lambda_powertools.event_handler import Response

app = Api("data.remove", raises=(SessionNotFound, SessionExpired, BucketNotFound, Invalid, PreconditionFailed))


@app.delete(
    "/sessions/<sessionId>/data/<bucket>",
    status_code=204,
    summary="Remove a bucket",
    tags=["data"],
    operation_id="removeData",
)
def remove(session_id: SessionId, bucket: Bucket, exchange: Exchange) -> Response[None]:
    """Remove a bucket. One that is made later under its name goes on with its versions."""

    def decide(held: Held | None) -> Wanted:
        if held is None:
            raise BucketNotFound
        exchange.check_version(held.version)
        return Wanted(None)

    store = exchange.graph.data
    exchange.access.using_part(session_id, lambda target, admit: store.change(target, bucket, decide, admit))
    return Response(204)


handler = app
