"""The streams of both tables, as frames: what was published, who came and went, what becomes of sessions."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from tessera.entry import Entry, Remaining
from tessera.errors import PoisonedItem, Unavailable
from tessera.model.topics import Topic
from tessera.realtime.changes import News, news_of
from tessera.stores.attributes import decode_item
from tessera.stores.connections import SUB, is_seen
from tessera.stores.keys import partition
from tessera.stores.table import Item
from tessera.stores.topics import LOG, Published, message_of
from tessera.stores.work import PREFIX, Work
from tessera.telemetry import ERRORS, POSTS
from tessera.wiring import Graph

type Record = dict[str, Any]
type Batch = dict[str, list[dict[str, str]]]
"""What Lambda is to send again, by sequence number."""


def fanout(event: dict[str, Any], graph: Graph, _remaining: Remaining) -> Batch:
    """Deliver a batch. What a table keeps from it comes again: clients know a repeated frame by its offset."""
    records: list[Record] = event["Records"]
    done = 0
    try:
        if any(_keys(record).get("pk", "").startswith(partition("")) for record in records):
            for record in records:
                _tell(record, graph)
                done += 1
        else:
            graph.telemetry.count(POSTS, _delivered(records, graph))
    except Unavailable as error:
        graph.telemetry.log.warning("frames kept for later", reason=type(error).__name__, records=len(records))
        return {"batchItemFailures": [{"itemIdentifier": records[done]["dynamodb"]["SequenceNumber"]}]}
    return {"batchItemFailures": []}


def _tell(record: Record, graph: Graph) -> None:
    """Tell a session's devices what a record of the sessions says."""
    for number, news in enumerate(_news(record, graph)):
        sent = graph.devices.tell(news, f"{record['eventID']}-{number}")
        graph.telemetry.count(POSTS, sent)


def _news(record: Record, graph: Graph) -> list[News]:
    """Return what a record tells. One that cannot be read is somebody's to look at; it holds up no other."""
    with suppress(AttributeError, KeyError, TypeError, ValueError, PoisonedItem):
        return news_of(record)
    _poisoned(record, graph)
    return []


def _delivered(records: list[Record], graph: Graph) -> int:
    """Deliver messages topic by topic, the urgent ones first; then who came and went, and work that was left."""
    messages: defaultdict[tuple[str, str], list[Published]] = defaultdict(list)
    came: defaultdict[str, list[Item]] = defaultdict(list)
    went: defaultdict[str, list[Item]] = defaultdict(list)
    work: list[Work] = []
    for old, new in _images(records, graph):
        item = new or old
        if item["sk"].startswith(LOG):
            if item.get("live"):  # what is not was delivered when it was published
                messages[item["topic"], item["epoch"]].append(message_of(item))
        elif item["sk"].startswith(SUB):
            if is_seen(new) and not is_seen(old):
                came[item["topic"]].append(new)
            elif is_seen(old) and not is_seen(new):
                went[item["topic"]].append(old)
        elif item["pk"].startswith(PREFIX):
            work.append(Work.of(item))
    delivery = graph.delivery
    urgent_first = sorted(messages.items(), key=lambda each: -max(m.priority for m in each[1]))
    sent = sum(delivery.deliver(Topic.parse(topic), found) for (topic, _), found in urgent_first)
    sent += sum(delivery.announce(Topic.parse(topic), came[topic], went[topic]) for topic in came | went)
    return sent + sum(map(delivery.resume, work))


def _images(records: list[Record], graph: Graph) -> Iterator[tuple[Item, Item]]:
    """Yield the images of each record, the old one and the new; empty where there is none."""
    for record in records:
        with suppress(AttributeError, KeyError, TypeError, ValueError):
            images = record["dynamodb"]
            old, new = (decode_item(images.get(name, {})) for name in ("OldImage", "NewImage"))
            if "sk" in (new or old):
                yield old, new
                continue
        _poisoned(record, graph)


def _keys(record: Mapping[str, Any]) -> Item:
    with suppress(AttributeError, KeyError, TypeError, ValueError):
        return decode_item(record["dynamodb"]["Keys"])
    return {}


def _poisoned(record: Record, graph: Graph) -> None:
    graph.telemetry.log.error("poisoned record", event_id=record.get("eventID"))
    graph.telemetry.count(ERRORS, labels='operation="realtime.fanout",status="poisoned"')


handler = Entry("realtime.fanout", fanout)
