"""Work that a function leaves to the fan-out, by way of the table's stream: what does not fit where it arose.

WORK#<name>   WORK   {topic, epoch, after, upTo, connectionId, asked}   a connection is to be told what it missed
WORK#<name>   WORK   {topic, epoch, after, upTo, connectionId, asked, page}   … and who is present after `page`
WORK#<name>   WORK   {topic, epoch, after, upTo, page}                  messages for the subscribers after `page`
"""

from dataclasses import dataclass

from tessera.model.clock import HOUR_SECONDS, SECOND, Clock
from tessera.stores.table import Item, Put, Table
from tessera.stores.topics import Place

PREFIX = "WORK#"


@dataclass(frozen=True, slots=True)
class Work:
    """Messages of a topic after a place, up to an offset: for one connection, or for a page of subscribers.

    The page is of those whose ids come after `page`. A connection is to be told who of these is present;
    `asked` is what tells its requests apart.
    """

    topic: str
    since: Place
    up_to: int
    connection_id: str = ""
    page: str = ""
    asked: str = ""

    @staticmethod
    def of(item: Item) -> "Work":
        """Read what `leave` wrote."""
        place = Place(item["epoch"], item["after"])
        return Work(item["topic"], place, item["upTo"], item["connectionId"], item["page"], item.get("asked", ""))


def leave(table: Table, clock: Clock, work: Work) -> None:
    """Leave work. The same work twice, by a batch that comes again, is written once and so is done once."""
    name = (
        f"{PREFIX}{work.topic}#{work.since.epoch}#{work.since.offset}-{work.up_to}"
        f"#{work.connection_id}#{work.page}#{work.asked}"
    )
    item = {"pk": name, "sk": "WORK", "topic": work.topic, "epoch": work.since.epoch, "after": work.since.offset}
    item |= {"upTo": work.up_to, "connectionId": work.connection_id, "page": work.page, "asked": work.asked}
    table.transact([Put(item | {"ttl": clock() // SECOND + HOUR_SECONDS})])
