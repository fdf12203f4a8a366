"""Events on EventBridge: that something has happened, and where to look for it; nothing of what it was."""

import json
from collections.abc import Callable, Sequence
from itertools import batched
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from tessera.errors import Unavailable, from_aws

ORDER_COMPLETED = "OrderCompleted"
"""The detail-type; its detail is {session}."""

_AT_ONCE = 10  # entries that PutEvents takes


class Events(Protocol):
    """Where events go."""

    def orders_completed(self, session_ids: Sequence[str]) -> None:
        """Tell of completed orders, by their sessions.

        Raises:
            Throttled, Unavailable: some may have been told, not all were; telling them again does no harm.
            Misconfigured: there is no such bus, or no right to it.

        """
        ...


class EventBridge:
    """Implements `Events` on an EventBridge client (of boto3) and its default bus, in the name of `source`."""

    def __init__(self, client: Callable[[], Any], source: str) -> None:
        self._make_client, self._source = client, source
        self._client: Any = None

    def orders_completed(self, session_ids: Sequence[str]) -> None:
        """See Events."""
        for batch in batched(session_ids, _AT_ONCE, strict=False):
            self._put([json.dumps({"session": session_id}) for session_id in batch])

    def _put(self, details: Sequence[str]) -> None:
        entries = [{"Source": self._source, "DetailType": ORDER_COMPLETED, "Detail": detail} for detail in details]
        if not self._client:
            self._client = self._make_client()
        try:
            answer = self._client.put_events(Entries=entries)
        except ClientError as error:
            code: Any = error.response.get("Error", {}).get("Code", "")
            raise from_aws(code) from error
        except BotoCoreError as error:
            raise Unavailable from error
        for entry in answer["Entries"]:
            if "ErrorCode" in entry:
                raise from_aws(entry["ErrorCode"])
