"""What the operations on a bucket have in common: its name, its expiry, the answer."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from tessera.errors import BucketNotFound
from tessera.http.access import version_tag
from tessera.http.answers import JSON
from tessera.http.parameters import decoded
from tessera.model.bodies import BucketName
from tessera.model.data import Held
from tessera.model.data_bucket import DataBucket, shown

Bucket = Annotated[BucketName, decoded, Path(description="Letters, digits, `.`, `_`, `-`; 64 at most.")]
TtlSeconds = Annotated[
    int | None,
    Query(
        alias="ttlSeconds",
        ge=0,
        le=10**9,
        description="From now on; 0: as long as the session. By default the expiry stays as it is.",
    ),
]


def answer(name: str, held: Held | None) -> Response[DataBucket]:
    """Answer with a bucket and its ETag.

    Raises:
        BucketNotFound: there is none.

    """
    if held is None:
        raise BucketNotFound
    return Response(200, JSON, shown(name, held), {"ETag": version_tag(held.version)})
