"""The archive, fed by the table's stream and, for what waits longer than five minutes, by a schedule.

The stream only says which conversations have news: what is archived is read from the table. The one exception is
a segment that TTL has taken before: its last image in the stream is then all there is of it.
"""

from collections import defaultdict
from typing import Any

from tessera.entry import Entry, Remaining
from tessera.errors import Unavailable
from tessera.model.clock import SECOND, Millis
from tessera.stores.attributes import decode_item
from tessera.stores.keys import HEAD, SEGMENT, conversation_of
from tessera.stores.table import Item, Key
from tessera.telemetry import ARCHIVE_FAILURES, ARCHIVE_LAG, ARCHIVED
from tessera.wiring import Graph

PAGE = 100
MARGIN: Millis = 10 * SECOND

type Conversation = tuple[str, str]


def archive(event: dict[str, Any], graph: Graph, remaining: Remaining) -> dict[str, Any]:
    """Archive what a batch of the stream names, or what is due; tell Lambda which records to send again."""
    if "Records" in event:
        return _of_stream(event["Records"], graph)
    return _of_schedule(graph, remaining)


def _of_stream(records: list[dict[str, Any]], graph: Graph) -> dict[str, Any]:
    """Tend each conversation of the batch once; a failure sends its records again, and none of the others."""
    named: defaultdict[Conversation, list[str]] = defaultdict(list)
    rescued: defaultdict[Conversation, list[Item]] = defaultdict(list)
    for record in records:
        image = record["dynamodb"]
        key = Key(**decode_item(image["Keys"]))
        if not key.sk.startswith((SEGMENT, HEAD)):
            continue
        conversation = conversation_of(key)
        named[conversation].append(image["SequenceNumber"])
        if record["eventName"] == "REMOVE" and key.sk.startswith(SEGMENT):
            rescued[conversation].append(decode_item(image["OldImage"]))
    failed = [
        number
        for conversation, numbers in named.items()
        if not _tended(graph, conversation, rescued[conversation])
        for number in numbers
    ]
    return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}


def _of_schedule(graph: Graph, remaining: Remaining) -> dict[str, Any]:
    """Tend what is due, shard by shard, while there is time."""
    now, tended, lag = graph.clock(), 0, 0
    for shard in range(graph.settings.cleanup_shards):
        start: Item | None = None
        while remaining() > MARGIN:
            page = graph.archiver.due(shard, now, limit=PAGE, start=start)
            for item in page.items:
                if not _tended(graph, conversation_of(Key(item["pk"], item["sk"])), ()):
                    lag = max(lag, (now - item["expiresAt"]) // SECOND)
                tended += 1
            start = page.last
            if start is None:
                break
    graph.telemetry.gauge(ARCHIVE_LAG, lag)
    return {"tended": tended, "lagSeconds": lag}


def _tended(graph: Graph, conversation: Conversation, rescued: "list[Item] | tuple[()]") -> bool:
    """Tend a conversation; whether that worked. One that cannot be read is somebody's to look at."""
    telemetry = graph.telemetry
    try:
        archived = graph.archiver.tend(*conversation, rescued)
    except Unavailable as error:
        telemetry.count(ARCHIVE_FAILURES)
        telemetry.log.warning("not archived yet", reason=type(error).__name__)
        return False
    telemetry.count(ARCHIVED, archived)
    return True


handler = Entry("conversations.archive", archive)
