"""The streams of both tables, as frames: what was published, and what becomes of sessions."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from tessera.entry import Entry, Remaining
from tessera.errors import Unavailable
from tessera.model.topics import Topic
from tessera.stores.attributes import decode_item
from tessera.stores.table import Item
from tessera.stores.topics import LOG, Published, message_of
from tessera.stores.work import PREFIX, Work
from tessera.telemetry import ERRORS, POSTS
from tessera.wiring import Graph

type Batch = dict[str, list[dict[str, str]]]
"""What Lambda is to send again, by sequence number."""


def fanout(event: dict[str, Any], graph: Graph, _remaining: Remaining) -> Batch:
    """Deliver a batch. Where a table fails, all of it comes again: clients know a repeated frame by its offset."""
    records: list[dict[str, Any]] = event["Records"]
    try:
        graph.telemetry.count(POSTS, _delivered([_item(each, graph) for each in records], graph))
    except Unavailable as error:
        graph.telemetry.log.warning("frames kept for later", reason=type(error).__name__, records=len(records))
        return {"batchItemFailures": [{"itemIdentifier": records[0]["dynamodb"]["SequenceNumber"]}]}
    return {"batchItemFailures": []}


def _delivered(items: list[Item], graph: Graph) -> int:
    """Deliver messages topic by topic, the urgent ones first, then the work that others left."""
    messages: defaultdict[tuple[str, str], list[Published]] = defaultdict(list)
    for item in items:
        if item.get("sk", "").startswith(LOG):
            messages[item["topic"], item["epoch"]].append(message_of(item))
    urgent_first = sorted(messages.items(), key=lambda each: -max(m.priority for m in each[1]))
    sent = sum(graph.delivery.deliver(Topic.parse(topic), found) for (topic, _), found in urgent_first)
    work = [Work.of(item) for item in items if item.get("pk", "").startswith(PREFIX)]
    return sent + sum(map(graph.delivery.resume, work))


def _item(record: Mapping[str, Any], graph: Graph) -> Item:
    """Return the new item of a record. One that cannot be read is somebody's to look at; it holds up no other."""
    with suppress(AttributeError, KeyError, TypeError, ValueError):
        return decode_item(record["dynamodb"]["NewImage"])
    graph.telemetry.log.error("poisoned record", event_id=record.get("eventID"))
    graph.telemetry.count(ERRORS, labels='operation="realtime.fanout",status="poisoned"')
    return {}


handler = Entry("realtime.fanout", fanout)
