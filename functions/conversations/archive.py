"""The archive, fed by the table's stream and, for what waits longer than five minutes, by a schedule.

The stream only says which conversations have news: what is archived is read from the table. The one exception is
a segment that TTL has taken before: its last image in the stream is then all there is of it.
"""

from collections import defaultdict
from contextlib import suppress
from typing import Any

from tessera.entry import Entry, Remaining
from tessera.errors import PoisonedItem, Unavailable
from tessera.model.clock import SECOND, Millis
from tessera.stores.attributes import decode_item
from tessera.stores.keys import HEAD, SEGMENT, conversation_of
from tessera.stores.table import Item, Key
from tessera.telemetry import ARCHIVE_FAILURES, ARCHIVE_LAG, ARCHIVED, ERRORS
from tessera.wiring import Graph

MARGIN: Millis = 10 * SECOND

type Conversation = tuple[str, str]


def archive(event: dict[str, Any], graph: Graph, remaining: Remaining) -> dict[str, Any]:
    """Archive what a batch of the stream names, or what is due; tell Lambda which records to send again."""
    if "Records" in event:
        return _of_stream(event["Records"], graph)
    return _of_schedule(graph, remaining)


def _of_stream(records: list[dict[str, Any]], graph: Graph) -> dict[str, Any]:
    """Tend each conversation of the batch once, also when others fail.

    Lambda sends again everything from the first record that failed on: what of it is done already, is done.
    """
    named: defaultdict[Conversation, list[str]] = defaultdict(list)
    rescued: defaultdict[Conversation, list[Item]] = defaultdict(list)
    for record in records:
        try:
            news = _news(record)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            _poisoned(graph, event_id=record.get("eventID"))
            continue
        if news is not None:
            conversation, number, taken = news
            named[conversation].append(number)
            rescued[conversation] += taken
    failed = [
        number
        for conversation, numbers in named.items()
        if not _tended(graph, conversation, rescued[conversation])
        for number in numbers
    ]
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}


def _news(record: dict[str, Any]) -> tuple[Conversation, str, list[Item]] | None:
    """Return the conversation that a record speaks of, the record's number, and the segment that it takes away.

    None for what is no part of a conversation. Raises what a record does that is not of the form of DynamoDB.
    """
    image = record["dynamodb"]
    key = Key(**decode_item(image["Keys"]))
    if not key.sk.startswith((SEGMENT, HEAD)):
        return None
    taken = record["eventName"] == "REMOVE" and key.sk.startswith(SEGMENT)
    return conversation_of(key), image["SequenceNumber"], [decode_item(image["OldImage"])] if taken else []


def _of_schedule(graph: Graph, remaining: Remaining) -> dict[str, Any]:
    """Tend what is due, shard by shard, while there is time; tell how long the rest waits."""
    now, tended, lag = graph.clock(), 0, 0
    for shard in range(graph.settings.cleanup_shards):
        for item in graph.archiver.due(shard, now):
            in_time = remaining() > MARGIN
            tended += in_time
            if not in_time or not _tended(graph, conversation_of(Key(item["pk"], item["sk"])), ()):
                lag = max(lag, (now - item["expiresAt"]) // SECOND)
            if not in_time:
                break  # of those that wait in this shard it is the one that waits longest
    graph.telemetry.gauge(ARCHIVE_LAG, lag)
    return {"tended": tended, "lagSeconds": lag}


def _tended(graph: Graph, conversation: Conversation, rescued: "list[Item] | tuple[()]") -> bool:
    """Tend a conversation; return whether that is done, or would go the same way at once.

    One that cannot be read is somebody's to look at; it holds up no other, and is tried again in an hour.
    """
    telemetry = graph.telemetry
    try:
        archived = graph.archiver.tend(*conversation, rescued)
    except PoisonedItem:
        _poisoned(graph, session=telemetry.pseudonym(conversation[0]))
        with suppress(Unavailable):
            graph.archiver.postpone(*conversation)
        return True
    except Unavailable as error:
        telemetry.count(ARCHIVE_FAILURES)
        telemetry.log.warning("not archived yet", reason=type(error).__name__)
        return False
    telemetry.count(ARCHIVED, archived)
    return True


def _poisoned(graph: Graph, **which: Any) -> None:
    graph.telemetry.log.error("poisoned record", **which)
    graph.telemetry.count(ERRORS, labels='operation="conversations.archive",status="poisoned"')


handler = Entry("conversations.archive", archive)
