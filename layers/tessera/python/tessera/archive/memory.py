"""A customer's memory: the messages of all their conversations, newest first or by relevance.

The conversations are found in the index by customer. Those that ended long ago are not even opened while newer
messages fill the answer. For a query every message is read once, newest conversations first, into an FTS5 table of
SQLite: a temporary file, so that memory stays flat, ranked by BM25 (docs/decisions).
"""

import heapq
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import batched
from typing import Any
from unicodedata import normalize

from tessera.archive.history import MAX_PAGE_BYTES, History, Message, fitting, weight
from tessera.model.clock import Clock, Millis
from tessera.stores.heads import memory_of
from tessera.stores.keys import HEAD, conversation_of, core_key
from tessera.stores.table import BY_CUSTOMER, PAGE, Item, Key, Table, pages

MOST_BYTES = 150_000_000
"""Of messages in the index: it takes three times as much at most of the 512 MB of disk that a function has."""

_ROWS = 500  # put into the index at once
_CACHE_KIB = 16_384
_MOST_WORDS = 32
_UNREACHED = 10**10 - 1
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class _Conversation:
    session_id: str
    id: str
    last_seq: int
    until: Millis
    """No message of it was written later."""


class Memory:
    """Reads over all conversations of a customer. What was popped or purged is not in it."""

    def __init__(self, table: Table, history: History, clock: Clock, most_bytes: int = MOST_BYTES) -> None:
        self._table, self._history, self._clock, self._most_bytes = table, history, clock, most_bytes

    def newest(self, customer_id: str, limit: int) -> tuple[list[Message], bool]:
        """Return the newest messages, newest first, each with its `sessionId` and `conversationId`.

        And whether these are as many as were asked for, or all there are: large ones find less room. Within a
        conversation the numbers tell which is newer, whatever times a client gave: a message counts as said no
        later than the one after it, and than the end.
        """
        kept: list[tuple[Millis, int, Message]] = []
        total, complete = 0, True
        for place, conversation in enumerate(self._conversations(customer_id)):
            if len(kept) == limit and kept[0][0] >= conversation.until:
                break  # all further ones ended before the oldest message that is kept
            at = conversation.until
            for message in self._messages(conversation, limit):
                at = min(at, message["createdAt"])
                entry = (at, message["seq"] - place * 10**10, message)
                if len(kept) == limit and entry[:2] < kept[0][:2]:
                    break
                heapq.heappush(kept, entry)
                total += weight(message)
                while len(kept) > limit or (total > MAX_PAGE_BYTES and len(kept) > 1):
                    complete = complete and len(kept) > limit
                    limit = min(limit, len(kept) - 1)  # from now on only newer ones find room
                    total -= weight(heapq.heappop(kept)[2])
        return [message for *_, message in sorted(kept, key=lambda entry: entry[:2], reverse=True)], complete

    def search(
        self, customer_id: str, query: str, limit: int, *, in_time: Callable[[], bool]
    ) -> tuple[list[Message], bool]:
        """Return the messages that answer a query best, each with its `score`; and whether all were looked at.

        Words match in any form that the Porter stemmer knows, without accents. Equal ones: the newest first.
        `in_time` is asked between messages: False ends the reading with what there is; so does a full disk.
        """
        words = list(dict.fromkeys(_WORD.findall(normalize("NFC", query).casefold())))[:_MOST_WORDS]
        if not words:
            return [], True
        complete, read = True, 0

        def rows() -> Iterator[tuple[str, int, str]]:
            nonlocal complete, read
            for conversation in self._conversations(customer_id):
                for message in self._messages(conversation, _ROWS):
                    body = json.dumps(message)
                    read += len(body)
                    if read > self._most_bytes or not in_time():
                        complete = False
                        return
                    yield _text(message).casefold(), message["createdAt"], body

        # An empty name is a temporary file of SQLite's own: private, and gone with the connection.
        with closing(sqlite3.connect("")) as index:
            index.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            index.execute(
                "CREATE VIRTUAL TABLE messages USING fts5("
                "text, at UNINDEXED, body UNINDEXED, tokenize = 'porter unicode61 remove_diacritics 2')"
            )
            for batch in batched(rows(), _ROWS, strict=False):
                index.executemany("INSERT INTO messages VALUES (?, ?, ?)", batch)
            found = index.execute(
                "SELECT body, bm25(messages) FROM messages WHERE messages MATCH ? ORDER BY 2, at DESC LIMIT ?",
                (" OR ".join(f'"{word}"' for word in words), limit),
            )
            answers = ({**json.loads(body), "score": -score} for body, score in found)
            return list(fitting(answers)), complete

    def _conversations(self, customer_id: str) -> list[_Conversation]:
        """Return the customer's conversations, those with the latest possible message first."""
        turn = partial(self._table.query_index, BY_CUSTOMER, memory_of(customer_id), newest_first=True, limit=PAGE)
        found: list[_Conversation] = []
        for page in pages(lambda start: turn(start=start)):
            found += self._opened([Key(item["pk"], item["sk"]) for item in page if item["sk"].startswith(HEAD)])
        return sorted(found, key=lambda conversation: conversation.until, reverse=True)

    def _opened(self, keys: list[Key]) -> Iterator[_Conversation]:
        """Read the heads of conversations; an open one's newest number stands on the core of its session."""
        heads = [head for head in self._table.get_many(keys) if "purgingAt" not in head]
        open_in = dict.fromkeys(core_key(head["sessionId"]) for head in heads if "endedAt" not in head)
        cores = {core["pk"]: core for core in self._table.get_many([*open_in], only=("conversationId", "lastSeq"))}
        for head in heads:
            session_id, conversation_id = conversation_of(Key(head["pk"], head["sk"]))
            last = _newest(conversation_id, cores.get(core_key(session_id).pk, {}))
            yield _Conversation(session_id, conversation_id, last, head.get("endedAt", self._clock()))

    def _messages(self, conversation: _Conversation, chunk: int) -> Iterator[Message]:
        """Give the messages of a conversation, newest first."""
        whose = {"sessionId": conversation.session_id, "conversationId": conversation.id}
        walked = self._history.walk(
            conversation.session_id, conversation.id, 1, conversation.last_seq, newest_first=True, chunk=chunk
        )
        return ({**message, **whose} for message in walked)


def _newest(conversation_id: str, core: Item) -> int:
    """Return the newest number of a conversation, or one that none reaches where the core does not say it."""
    return core["lastSeq"] if core.get("conversationId") == conversation_id and "lastSeq" in core else _UNREACHED


def _text(message: Message) -> str:
    content: Any = message["content"]
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
