"""PUT /sessions/{sessionId}/data/{bucket}: a bucket becomes what is sent."""

from typing import Annotated

from tessera.errors import ContentTooLarge, PreconditionFailed, SessionExpired, SessionNotFound, TooManyBuckets
from tessera.http.api import Api
from tessera.http.body import LARGE_BYTES
from tessera.http.data import Bucket, TtlSeconds, answer
from tessera.http.exchange import Exchange
from tessera.http.parameters import SessionId
from tessera.model.data import Held, Wanted
from tessera.model.data_bucket import DataBucket
from tessera.model.values import JsonObject

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body

app = Api(
    "data.save",
    max_bytes=LARGE_BYTES,
    raises=(SessionNotFound, SessionExpired, PreconditionFailed, ContentTooLarge, TooManyBuckets),
)


@app.put("/sessions/<sessionId>/data/<bucket>", summary="Save a bucket", tags=["data"], operation_id="saveData")
def save(
    session_id: SessionId,
    bucket: Bucket,
    data: Annotated[JsonObject, Body()],
    exchange: Exchange,
    ttl_seconds: TtlSeconds = None,
) -> Response[DataBucket]:
    """Put the object in the place of the one that is there. With `If-None-Match: *` only where there is none."""

    def decide(held: Held | None) -> Wanted:
        exchange.check_version(held and held.version)
        return Wanted(data, ttl_seconds)

    store = exchange.graph.data
    held = exchange.access.using_part(
        session_id, lambda target, admit: store.change(target, bucket, decide, admit)
    )
    return answer(bucket, held)


handler = app
