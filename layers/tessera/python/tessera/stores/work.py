"""Work that a function leaves to the fan-out, by way of the table's stream: what does not fit where it arose.

WORK#<name>   WORK   {topic, epoch, after, upTo, connectionId}   a connection is to be told what it missed
WORK#<name>   WORK   {topic, epoch, after, upTo, page}           messages for the subscribers after `page`
"""

from dataclasses import dataclass

from tessera.model.clock import HOUR_SECONDS, SECOND, Clock
from tessera.stores.table import Item, Put, Table
from tessera.stores.topics import Place

PREFIX = "WORK#"


@dataclass(frozen=True, slots=True)
class Work:
    """Messages of a topic after a place, up to an offset: for one connection, or for a page of subscribers.

    The page is of those whose ids come after `page`. One of `connection_id` and `page` is set.
    """

    topic: str
    since: Place
    up_to: int
    connection_id: str = ""
    page: str = ""

    @staticmethod
    def of(item: Item) -> "Work":
        """Read what `leave` wrote."""
        place = Place(item["epoch"], item["after"])
        return Work(item["topic"], place, item["upTo"], item["connectionId"], item["page"])


def leave(table: Table, clock: Clock, work: Work) -> None:
    """Leave work. The same work twice, by a batch that comes again, is written once and so is done once."""
    name = (
        f"{PREFIX}{work.topic}#{work.since.epoch}#{work.since.offset}-{work.up_to}#{work.connection_id}{work.page}"
    )
    item = {"pk": name, "sk": "WORK", "topic": work.topic, "epoch": work.since.epoch, "after": work.since.offset}
    item |= {"upTo": work.up_to, "connectionId": work.connection_id, "page": work.page}
    table.transact([Put(item | {"ttl": clock() // SECOND + HOUR_SECONDS})])
