"""Dead letters: what nobody could deliver, for somebody to look at."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from tessera.errors import Unavailable, from_aws


class Letters(Protocol):
    """Where dead letters go."""

    def put(self, letter: Mapping[str, Any]) -> None:
        """Lay a letter down.

        Raises:
            Throttled, Unavailable: it may lie there or not.
            Misconfigured: there is no such place, or no right to it.

        """
        ...


class QueuedLetters:
    """Implements `Letters` on an SQS client (of boto3), made at the first use, and the address of a queue."""

    def __init__(self, client: Callable[[], Any], queue: str) -> None:
        self._make_client, self._queue = client, queue

    def put(self, letter: Mapping[str, Any]) -> None:
        """See Letters."""
        try:
            self._make_client().send_message(QueueUrl=self._queue, MessageBody=json.dumps(letter))
        except ClientError as error:
            code: Any = error.response.get("Error", {}).get("Code", "")
            raise from_aws(code) from error
        except BotoCoreError as error:
            raise Unavailable from error
