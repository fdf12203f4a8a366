"""A bucket in S3."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import batched
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tessera.errors import Unavailable, from_aws
from tessera.stores.guard import Guard
from tessera.stores.tiers import L3, Tiers

THREADS = 16
"""How many bodies `get_many` fetches side by side; the client needs as many connections."""

AHEAD = 32
"""How many bodies `get_many` asks for before the first of them is taken: what it holds in memory at most."""

_DELETE_BATCH = 1_000


class S3Bucket:
    """Implements `Bucket` on an S3 client (of botocore) and a bucket's name.

    Without the permission to list it, a bucket answers AccessDenied for a key that it does not have: who gets
    what may be missing needs s3:ListBucket too.
    """

    def __init__(self, client: Any, name: str, tiers: Tiers, guard: Guard | None = None) -> None:
        self._client, self._name, self._tiers = client, name, tiers
        self._guard = guard or Guard()

    def get(self, key: str) -> bytes | None:
        """See Bucket."""
        with self._tiers.timed(L3):
            return self._fetch(key)

    def get_many(self, keys: Sequence[str]) -> Iterator[bytes | None]:
        """See Bucket. What counts is the time that the caller waits: `Tiers` knows no threads."""
        pool, ahead = ThreadPoolExecutor(THREADS), deque[Future[bytes | None]]()
        try:
            for key in keys:
                ahead.append(pool.submit(self._fetch, key))
                if len(ahead) == AHEAD:
                    yield self._awaited(ahead.popleft())
            while ahead:
                yield self._awaited(ahead.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def put(self, key: str, body: bytes) -> None:
        """See Bucket."""
        with self._tiers.timed(L3):
            self._call("put_object", Key=key, Body=body)

    def put_new(self, key: str, body: bytes) -> bool:
        """See Bucket.

        Of two that write at the same time S3 lets one through. The other gets PreconditionFailed when the first is
        done, and when it is not, or when a deletion comes between, ConditionalRequestConflict: nobody knows yet
        whether the key will be there.
        """
        with self._tiers.timed(L3):
            written = self._call("put_object", expected="PreconditionFailed", Key=key, Body=body, IfNoneMatch="*")
        return written is not None

    def keys(self, prefix: str) -> Iterator[str]:
        """See Bucket."""
        start: dict[str, str] = {}
        while True:
            with self._tiers.timed(L3):
                answer = self._call("list_objects_v2", Prefix=prefix, **start)
            yield from (entry["Key"] for entry in answer.get("Contents", ()))
            if "NextContinuationToken" not in answer:
                return
            start = {"ContinuationToken": answer["NextContinuationToken"]}

    def delete_many(self, keys: Iterable[str]) -> None:
        """See Bucket."""
        for batch in batched(keys, _DELETE_BATCH, strict=False):
            delete = {"Objects": [{"Key": key} for key in batch], "Quiet": True}
            with self._tiers.timed(L3):
                answer = self._call("delete_objects", Delete=delete)
            if failed := answer.get("Errors"):
                raise from_aws(failed[0]["Code"])

    def _fetch(self, key: str) -> bytes | None:
        answer = self._call("get_object", expected="NoSuchKey", Key=key)
        return answer["Body"] if answer else None

    def _awaited(self, body: Future[bytes | None]) -> bytes | None:
        with self._tiers.timed(L3):
            return body.result()

    def _call(self, operation: str, *, expected: str = "", **request: Any) -> Any:
        """Return the answer with its body read; None when it is the error that the caller expects."""
        return self._guard.call(self._asked, operation, expected, request)

    def _asked(self, operation: str, expected: str, request: dict[str, Any]) -> Any:
        try:
            answer = getattr(self._client, operation)(Bucket=self._name, **request)
            return answer | {"Body": answer["Body"].read()} if "Body" in answer else answer
        except ClientError as error:
            response: Any = error.response
            if response["Error"]["Code"] == expected:
                return None
            raise from_aws(response["Error"]["Code"]) from error
        except BotoCoreError as error:
            raise Unavailable from error
