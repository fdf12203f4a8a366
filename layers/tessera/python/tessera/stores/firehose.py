"""Facts by a delivery stream of Firehose, which writes them to S3."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tessera.errors import Unavailable, from_aws
from tessera.stores.facts import Fact
from tessera.stores.tiers import L3, Tiers

MAX_RECORDS, MAX_BYTES = 500, 3_500_000
"""Of one request; Firehose takes 500 records and 4 MiB."""

_TRIES = 5
_FIRST_PAUSE = 0.1  # seconds; doubled at each try, with full jitter: 1.5 s at most


class FirehoseFacts:
    """Implements `Facts` on a Firehose client (of boto3), made at the first use, and the name of a stream."""

    def __init__(
        self,
        client: Callable[[], Any],
        stream: str,
        tiers: Tiers,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._make_client, self._stream, self._tiers, self._sleep = client, stream, tiers, sleep
        self._client: Any = None

    def put(self, facts: Sequence[Fact]) -> None:
        """See Facts."""
        for batch in _batches([fact.line().encode() for fact in facts]):
            self._put(batch)

    def _put(self, batch: list[dict[str, bytes]]) -> None:
        """Send a batch; what Firehose refuses of it, which it may do record by record, is sent again."""
        codes: list[str] = []
        for attempt in range(_TRIES):
            if attempt:
                self._sleep(random.uniform(0, _FIRST_PAUSE * 2 ** (attempt - 1)))  # noqa: S311 - jitter, no secret
            answers = self._call(batch)
            codes = [answer["ErrorCode"] for answer in answers if "ErrorCode" in answer]
            batch = [sent for sent, answer in zip(batch, answers, strict=True) if "ErrorCode" in answer]
            if not batch:
                return
        raise from_aws(codes[0])

    def _call(self, batch: list[dict[str, bytes]]) -> list[dict[str, str]]:
        if not self._client:
            self._client = self._make_client()
        try:
            with self._tiers.timed(L3):
                answer = self._client.put_record_batch(DeliveryStreamName=self._stream, Records=batch)
        except ClientError as error:
            code: Any = error.response.get("Error", {}).get("Code", "")
            raise from_aws(code) from error
        except BotoCoreError as error:
            raise Unavailable from error
        return answer["RequestResponses"]


def _batches(lines: Sequence[bytes]) -> Iterator[list[dict[str, bytes]]]:
    batch: list[dict[str, bytes]] = []
    size = 0
    for line in lines:
        if batch and (len(batch) == MAX_RECORDS or size + len(line) > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append({"Data": line})
        size += len(line)
    if batch:
        yield batch
