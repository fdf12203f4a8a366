"""Topics: a head that counts, a log of what was published, and who published what before.

    TOPIC#<topic>   HEAD                      {epoch, offset, at, retained?}
    TOPIC#<topic>   LOG#<epoch>#<offset>      {topic, messageId, data, priority, publishedAt, live?}
    TOPIC#<topic>   ID#<publisher>#<id>       {epoch, offset, until}: this message id is taken until then

`data` is JSON as text: it goes out as it came in. A publication is one transaction; the head is the sequencer.
"""

import random
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tessera.errors import Cancelled, Contended, Stale
from tessera.model.changes import Change, Clause
from tessera.model.clock import DAY_SECONDS, HOUR_SECONDS, SECOND, Clock, Millis, rfc3339
from tessera.model.frames import compact
from tessera.model.topics import Topic
from tessera.stores.table import ABSENT, Item, Key, Put, Table, Update, Write

HEAD, LOG, ID = "HEAD", "LOG#", "ID#"
TRIES = 12
IDLE: Millis = 30 * DAY_SECONDS * SECOND
"""How long a head stands without a message; the next one begins another epoch."""

_DIGITS = 12
_ID_PLACE = 2
"""Of the three writes of a publication, the one that takes the id."""
_KNOWN = 1_000
_LONGEST_PAUSE = 0.3  # seconds


class Place(NamedTuple):
    """A place in a topic."""

    epoch: str
    offset: int


@dataclass(frozen=True, slots=True)
class Published:
    """A message of a topic. `data` is JSON as text."""

    topic: str
    place: Place
    message_id: str
    data: str
    priority: int
    at: Millis

    def as_json(self) -> str:
        """Return the members that every telling of it has, as the inside of a JSON object."""
        told = {**self.place._asdict(), "messageId": self.message_id, "publishedAt": rfc3339(self.at)}
        return f'{compact(told)[1:-1]},"data":{self.data}'


@dataclass(frozen=True, slots=True)
class Head:
    """What stands of a topic: its epoch, the last offset that was issued, and the message kept for newcomers."""

    place: Place
    at: Millis
    retained: Published | None = None


class Window(NamedTuple):
    """How much of a topic can be read again: so many messages, so many seconds."""

    messages: int
    seconds: int


class Topics:
    """The topics of a table."""

    def __init__(
        self, table: Table, clock: Clock, window: Window, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._table, self._clock, self._window, self._sleep = table, clock, window, sleep
        self._known: OrderedDict[str, Head] = OrderedDict()

    def head(self, topic: Topic) -> Head:
        """Return where a topic stands; one that nobody has used begins now, so that it can be resumed."""
        while True:
            found = self._table.get(_key(topic, HEAD))
            head = self._living(topic, found)
            if head is not None:
                return head
            head = Head(Place(_new_epoch(), 0), self._clock())
            try:
                self._table.update(_key(topic, HEAD), _begun(topic, head, found))
            except Stale:
                continue  # somebody else began it; that one it is
            return head

    def exists(self, topic: Topic) -> bool:
        """Whether somebody may know a place in it; where nobody does, nobody misses anything."""
        return str(topic) in self._known or self._living(topic, self._table.get(_key(topic, HEAD))) is not None

    def publish(
        self, topic: Topic, publisher: str, message_id: str, data: str, priority: int = 0, *, live: bool = True
    ) -> tuple[Published, bool]:
        """Publish a message; return it, and whether it is new. A repeated id gives the first one's place.

        `publisher` says within whom ids are unique; `live` whether the stream of the table delivers it.

        In time order: two publish at once, both by the head as they know it. One transaction moves the head from n
        to n + 1 and writes message n + 1; the other finds the head moved, and takes n + 2 from what it found. The
        same message comes twice at once: the second finds its id taken, and the place of the first there.

        Raises:
            Contended: others came first at every try.

        """
        taken: Item | None = None
        for attempt in range(TRIES):
            head = self._known.get(str(topic)) or self.head(topic)
            message = self._next(topic, head, message_id, data, priority)
            try:
                self._table.transact(self._writes(topic, head, message, publisher, taken, live=live))
            except Cancelled as cancelled:
                self._known.pop(str(topic), None)
                if repeated := self._repeated(message, cancelled.found.get(_ID_PLACE)):
                    return repeated, False
                taken = cancelled.found.get(_ID_PLACE, taken)
                moved = self._living(topic, cancelled.found.get(0)) if 0 in cancelled.failed else None
                if moved is not None:
                    self._remember(topic, moved)
                self._pause(attempt)
            except Contended:
                self._known.pop(str(topic), None)
                self._pause(attempt + 1)
            else:
                self._remember(topic, Head(message.place, message.at))
                return message, True
        raise Contended

    def after(self, topic: Topic, head: Head, since: Place) -> Iterator[Published] | None:
        """Return every message after that place up to the head, as they are taken; None when not all are held."""
        missing = head.place.offset - since.offset
        if since.epoch != head.place.epoch or not 0 <= missing <= self._window.messages:
            return None
        if missing == 0:
            return iter(())
        oldest = self._table.get(_log_key(topic, Place(since.epoch, since.offset + 1)))
        if oldest is None or oldest["publishedAt"] + self._window.seconds * SECOND <= self._clock():
            return None
        return self.between(topic, since, head.place.offset)

    def between(self, topic: Topic, since: Place, last: int) -> Iterator[Published]:
        """Return the messages after that place up to the offset `last`; they were held a moment ago."""
        if since.offset >= last:
            return iter(())
        first = _log_key(topic, Place(since.epoch, since.offset + 1))
        end = _log_key(topic, Place(since.epoch, last))
        return map(message_of, self._table.query_between(first.pk, first.sk, end.sk))

    def forget(self, topic: Topic) -> None:
        """Delete everything of a topic."""
        self._known.pop(str(topic), None)
        self._table.delete_many([Key(i["pk"], i["sk"]) for i in self._table.query(partition(topic), HEAD)])
        for prefix in (LOG, ID):
            items = self._table.query(partition(topic), prefix, keys_only=True)
            self._table.delete_many([Key(item["pk"], item["sk"]) for item in items])

    def _next(self, topic: Topic, head: Head, message_id: str, data: str, priority: int) -> Published:
        place = Place(head.place.epoch, head.place.offset + 1)
        return Published(str(topic), place, message_id, data, priority, max(self._clock(), head.at))

    def _writes(
        self, topic: Topic, head: Head, message: Published, publisher: str, taken: Item | None, *, live: bool
    ) -> list[Write]:
        until = message.at + self._window.seconds * SECOND
        ttl = until // SECOND + HOUR_SECONDS
        known = _key(topic, f"{ID}{publisher}#{message.message_id}")._asdict()
        known |= {**message.place._asdict(), "until": until, "ttl": ttl}
        # Its id is free, or was until just now another's whose time is over.
        free = Clause(("until",), "is", taken["until"]) if taken else ABSENT
        return [
            Update(_key(topic, HEAD), _moved(topic, head, message)),
            Put(_log_item(topic, message, live=live) | {"ttl": ttl}),
            Put(known, (free,)),
        ]

    def _repeated(self, message: Published, found: Item | None) -> Published | None:
        """Return the first message of that id; None when its time is over."""
        if found is None or found["until"] <= self._clock():
            return None
        place = Place(found["epoch"], found["offset"])
        return Published(message.topic, place, message.message_id, "null", 0, message.at)

    def _living(self, topic: Topic, found: Item | None) -> Head | None:
        if found is None or (not topic.retains and found["at"] + IDLE <= self._clock()):
            return None
        place = Place(found["epoch"], found["offset"])
        kept = found.get("retained")
        retained = message_of({**kept, "topic": str(topic)}) if kept else None
        return Head(place, found["at"], retained)

    def _remember(self, topic: Topic, head: Head) -> None:
        self._known[str(topic)] = head
        self._known.move_to_end(str(topic))
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)

    def _pause(self, attempt: int) -> None:
        """Let others go first, the longer the more of them there seem to be."""
        longest = min(_LONGEST_PAUSE, 0.005 * 2**attempt) if attempt else 0
        self._sleep(random.uniform(0, longest))  # noqa: S311 - jitter, no secret


def partition(topic: Topic) -> str:
    """Return the partition of a topic."""
    return f"TOPIC#{topic}"


def message_of(item: Item) -> Published:
    """Return the message of an item of the log."""
    return Published(
        item["topic"],
        Place(item["epoch"], item["offset"]),
        item["messageId"],
        item["data"],
        item["priority"],
        item["publishedAt"],
    )


def _key(topic: Topic, name: str) -> Key:
    return Key(partition(topic), name)


def _log_key(topic: Topic, place: Place) -> Key:
    return _key(topic, f"{LOG}{place.epoch}#{place.offset:0{_DIGITS}}")


def _log_item(topic: Topic, message: Published, *, live: bool) -> dict[str, Any]:
    key = _log_key(topic, message.place)
    return {**key._asdict(), "topic": message.topic, **_told(message)} | ({"live": True} if live else {})


def _told(message: Published) -> dict[str, Any]:
    return {
        **message.place._asdict(),
        "messageId": message.message_id,
        "data": message.data,
        "priority": message.priority,
        "publishedAt": message.at,
    }


def _moved(topic: Topic, head: Head, message: Published) -> Change:
    """Count one up from the head as it was seen."""
    seen = (Clause(("offset",), "is", head.place.offset), Clause(("epoch",), "is", head.place.epoch))
    assign: dict[tuple[str, ...], Any] = {("offset",): message.place.offset, ("at",): message.at}
    if topic.retains:
        assign[("retained",)] = _told(message)
    else:
        assign[("ttl",)] = (message.at + IDLE) // SECOND + HOUR_SECONDS
    return Change(assign, clauses=seen)


def _begun(topic: Topic, head: Head, found: Item | None) -> Change:
    """Begin an epoch where there was none, or where the one that was found is over."""
    assign: dict[tuple[str, ...], Any] = {
        ("epoch",): head.place.epoch,
        ("offset",): head.place.offset,
        ("at",): head.at,
    }
    if not topic.retains:
        assign[("ttl",)] = (head.at + IDLE) // SECOND + HOUR_SECONDS
    seen = Clause(("epoch",), "is", found["epoch"]) if found else ABSENT
    at = (Clause(("at",), "is", found["at"]),) if found else ()
    return Change(assign, clauses=(seen, *at))


def _new_epoch() -> str:
    return secrets.token_urlsafe(9)
