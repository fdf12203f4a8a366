"""LangChain's own history in DynamoDB, measured: `python langchain_history.py <url> <table>` prints the figures.

It runs in an environment of its own, where nothing of ours can be imported but bench/histories.py and
bench/metering.py.
"""

import json
import sys
from functools import partial
from itertools import count

import boto3
from botocore.exceptions import ClientError
from langchain_community.chat_message_histories import DynamoDBChatMessageHistory
from langchain_core.messages import HumanMessage

from bench.histories import WRITERS, appended_at, fails_at, fill, written_by
from bench.metering import Meter

MOST = 1_000
SAMPLES = 50
SEEDED = 350
KEYS = count()


class Theirs:
    """A history as an application has it."""

    def __init__(self, url: str, table: str, key: str, session: boto3.Session) -> None:
        self.history = DynamoDBChatMessageHistory(table, key, endpoint_url=url, boto3_session=session)

    def append(self, texts: list[str]) -> None:
        """Append human messages."""
        self.history.add_messages([HumanMessage(text) for text in texts])

    def read(self) -> list[str]:
        """Return all texts."""
        return [str(message.content) for message in self.history.messages]


def writer(url: str, table: str, key: str) -> Theirs:
    """Return the way of a process of its own to a history."""
    return Theirs(url, table, key, boto3.Session())


def main(url: str, table: str) -> None:
    """Measure and print."""
    session = boto3.Session()
    shared = Theirs(url, table, "shared", session).history
    meter = Meter(shared.table.meta.client)

    def begin() -> Theirs:
        # The client is the table's: one for all, as an application would keep it.
        theirs = Theirs(url, table, f"history-{next(KEYS)}", session)
        theirs.history.table = shared.table
        return theirs

    figures = appended_at(begin, meter, samples=SAMPLES)
    for writers in WRITERS:
        figures |= written_by(partial(writer, url, table, f"writers-{writers}"), writers)
    full = begin()
    fill(full, SEEDED)
    figures["fails_at_message"] = SEEDED + fails_at(full, ClientError, MOST - SEEDED)
    print(json.dumps(figures))


main(*sys.argv[1:])
