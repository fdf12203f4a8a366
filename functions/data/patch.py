"""PATCH /sessions/{sessionId}/data/{bucket}: a merge patch, by itself or as one side of a three-way merge."""

from typing import Annotated

from tessera.errors import (
    ContentTooLarge,
    EditConflict,
    PreconditionFailed,
    SessionExpired,
    SessionNotFound,
    TooManyBuckets,
)
from tessera.http.api import Api
from tessera.http.body import LARGE_BYTES
from tessera.http.data import Bucket, TtlSeconds, answer
from tessera.http.exchange import Exchange
from tessera.http.parameters import SessionId
from tessera.model.data import Held, Wanted, merged, patched
from tessera.model.data_bucket import DataBucket
from tessera.model.values import JsonObject

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Query

app = Api(
    "data.patch",
    max_bytes=LARGE_BYTES,
    raises=(SessionNotFound, SessionExpired, PreconditionFailed, EditConflict, ContentTooLarge, TooManyBuckets),
)

BaseVersion = Annotated[
    int | None,
    Query(
        alias="baseVersion",
        ge=0,
        lt=10**15,
        description="The version that the patch was made from, 0 for nothing: what others changed since stays.",
    ),
]


@app.patch(  # pyright: ignore[reportUnknownMemberType] - half typed, other than its siblings
    "/sessions/<sessionId>/data/<bucket>", summary="Patch a bucket", tags=["data"], operation_id="patchData"
)
def patch(
    session_id: SessionId,
    bucket: Bucket,
    changes: Annotated[JsonObject, Body()],
    exchange: Exchange,
    *,
    base_version: BaseVersion = None,
    ttl_seconds: TtlSeconds = None,
) -> Response[DataBucket]:
    """Apply a merge patch (RFC 7396): null removes. Where there is no such bucket it makes one.

    With `baseVersion` nothing is written when others have since changed the same fields, and otherwise.
    """
    store = exchange.graph.data

    def decide(target: str, held: Held | None) -> Wanted:
        exchange.check_version(held and held.version)
        if held is None or base_version is None:
            return Wanted(patched(held, changes), ttl_seconds)
        base = store.base(target, bucket, held, base_version)
        return Wanted(merged(held, base, changes), ttl_seconds)

    held = exchange.access.using_part(
        session_id,
        lambda target, admit: store.change(target, bucket, lambda held: decide(target, held), admit),
    )
    return answer(bucket, held)


handler = app
