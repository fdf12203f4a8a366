"""Rows of the table `messages`: what becomes of an archive object in the analytics."""

import json
import zlib
from collections.abc import Callable
from gzip import BadGzipFile
from typing import Any

from tessera.archive import objects
from tessera.archive.parquet import Row
from tessera.errors import PoisonedItem
from tessera.model.clock import rfc3339
from tessera.model.conversations import is_gone
from tessera.model.messages import Role
from tessera.stores.heads import memory_of
from tessera.stores.keys import conversation_of
from tessera.stores.table import BY_CUSTOMER, Item, Key

type Input = dict[str, Any]
"""An archive object as a manifest has it: enough to make the same rows of it at any time."""

_UNREADABLE = (BadGzipFile, EOFError, zlib.error, ValueError, KeyError, TypeError)


class Rows:
    """Makes rows.

    Args:
        pseudonym: makes the key under which a session or a customer appears.
        question: makes the key of what a user said, by which near-duplicates come together.

    """

    def __init__(self, *, pseudonym: Callable[[str], str], question: Callable[[Any], str | None]) -> None:
        self._pseudonym, self._question = pseudonym, question

    def chosen(self, found: Item, head: Item) -> Input:
        """Return what a manifest notes of an object, from its range and the head of its conversation."""
        session_id, conversation_id = conversation_of(Key(found["pk"], found["sk"]))
        customer: str | None = head.get(BY_CUSTOMER.pk)
        return {
            "session": session_id,
            "conversation": conversation_id,
            "first": found["first"],
            "last": found["last"],
            "customer": customer and self._pseudonym(customer.removeprefix(memory_of(""))),
            "popped": head.get("popped", []),
        }

    def of(self, chosen: Input, body: bytes) -> list[tuple[str, Row]]:
        """Return the rows of an object, each with its day, YYYY-MM-DD.

        Raises:
            PoisonedItem: it cannot be read; with the pseudonym of its session.

        """
        try:
            messages = [objects.stored(m) for m in objects.decode(body) if not is_gone(m["seq"], chosen["popped"])]
            return [(rfc3339(message["createdAt"])[:10], self._row(chosen, message)) for message in messages]
        except _UNREADABLE as error:
            raise PoisonedItem(self._pseudonym(chosen["session"])) from error

    def _row(self, chosen: Input, message: dict[str, Any]) -> Row:
        content = message["content"]
        return {
            "message_id": message["messageId"],
            "session": self._pseudonym(chosen["session"]),
            "conversation": chosen["conversation"],
            "customer": chosen["customer"],
            "seq": message["seq"],
            "role": message["role"],
            "content": content if isinstance(content, str) else json.dumps(content, ensure_ascii=False),
            "question": self._question(content) if message["role"] == Role.USER else None,
            "created_at": message["createdAt"],
        }
