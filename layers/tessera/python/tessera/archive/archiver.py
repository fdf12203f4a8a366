"""The archiver: brings every message of a conversation into S3 once, and takes it away when its time is over.

An object is written in three steps. (1) The head notes how far the object will go: the intent. (2) The object is
written unless it is there. (3) One transaction moves the high-water mark over it, clears the intent and enters the
object as a range. After a crash, and beside another run, the intent is what everybody does again: the same range
under the same key with the same bytes. So whoever does what how often, each message is in one object.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import batched
from typing import Any

from tessera.archive import objects
from tessera.errors import Cancelled, Contended, PoisonedItem, Stale
from tessera.model.changes import Change, Clause
from tessera.model.clock import DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS, SECOND, Clock, Millis
from tessera.stores.attributes import size
from tessera.stores.bucket import Bucket
from tessera.stores.expiry import shard_of
from tessera.stores.heads import compaction_bucket, due, due_bucket
from tessera.stores.keys import (
    HEAD,
    RANGE,
    conversation_of,
    conversations,
    first_seq_of,
    head_key,
    range_key,
    segment_key,
)
from tessera.stores.overflow import overflow_prefix, resolved
from tessera.stores.table import ABSENT, BY_EXPIRY, PRESENT, Item, Key, Put, Table, Update, waiting

ENOUGH = 5
"""Unarchived messages that make an object at once."""

PATIENCE: Millis = 5 * MINUTE_SECONDS * SECOND
"""How long fewer of them wait."""

MOST_MESSAGES, MOST_BYTES = 500, 4_000_000
"""Where an object ends; a segment is never parted."""

_SEGMENTS = 100
_TRIES = 25
_UNDUE = frozenset({(BY_EXPIRY.pk,), (BY_EXPIRY.sk,)})


class Archiver:
    """Tends conversations. All of it may be repeated, crash anywhere and run twice at once.

    Raises (all of them): what table and bucket raise; nothing is lost by it, only later.
    """

    def __init__(self, table: Table, bucket: Bucket, clock: Clock, shards: int) -> None:
        self._table, self._bucket, self._clock, self._shards = table, bucket, clock, shards

    def tend(self, session_id: str, conversation_id: str, rescued: Sequence[Item] = ()) -> int:
        """Do for a conversation what is due; return how many messages were archived.

        Five unarchived messages make an object, fewer do when the first of them is five minutes old or the
        conversation has ended; else the head is put among the due. An ended conversation goes when its retention
        is over. `rescued`: segments that TTL has taken out of the table, as the stream has them, in any order.

        Raises:
            Contended: others tended it at every try.
            PoisonedItem: the head or a segment cannot be read; or it has ended and a segment is missing.

        """
        archived = conflicts = 0
        for segment in rescued:
            self._restore(session_id, conversation_id, segment)
        while conflicts < _TRIES:
            head = self._table.get(head_key(session_id, conversation_id))
            if head is None:
                return archived
            try:
                done = self._step(head)
            except (Stale, Cancelled, Contended):
                conflicts += 1  # another run was here: what is left is to be seen anew
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise PoisonedItem(head["pk"]) from error
            else:
                if done is None:
                    return archived
                archived += done
        raise Contended

    def flush(self, session_id: str) -> int:
        """End and archive every conversation of a session to which nobody can write any more."""
        return sum(self._end(head) for head in self._heads(session_id))

    def purge(self, session_id: str) -> None:
        """Take every conversation of a session away, with all of its objects.

        All are marked before the first goes: what is cut short here, the schedule brings to its end.
        """
        now = self._clock()
        going = Change({("purgingAt",): now}, clauses=(PRESENT,)) | due(session_id, now, self._shards)
        marked: list[Item] = []
        for head in self._heads(session_id):
            with suppress(Stale):  # its retention was over just now
                marked.append(self._table.update(Key(head["pk"], head["sk"]), going))
        for head in marked:
            self._erase(head)

    def postpone(self, session_id: str, conversation_id: str) -> None:
        """Put a conversation that cannot be read among those that are due in an hour."""
        again = due(session_id, self._clock() + HOUR_SECONDS * SECOND, self._shards)
        with suppress(Stale):  # it has gone
            self._table.update(head_key(session_id, conversation_id), again | Change(clauses=(PRESENT,)))

    def due(self, shard: int, now: Millis) -> Iterator[Item]:
        """Give the keys of heads in a shard that wait since `now` or earlier, the longest waiting first."""
        return waiting(self._table, due_bucket(shard), now)

    def _heads(self, session_id: str) -> list[Item]:
        return list(self._table.query(conversations(session_id), HEAD))

    def _end(self, head: Item) -> int:
        key = Key(head["pk"], head["sk"])
        if "endedAt" not in head:
            now = self._clock()
            ended = Change({("endedAt",): now}, clauses=(PRESENT, Clause(("endedAt",), "absent")))
            with suppress(Stale):  # another run ended it, or it was purged
                self._table.update(key, ended | due(head["sessionId"], now, self._shards))
        return self.tend(*conversation_of(key))

    def _restore(self, session_id: str, conversation_id: str, segment: Item) -> None:
        """Put a segment that TTL has taken back into the table, if it is not archived yet.

        The stream brings it once, perhaps before one that comes earlier in the conversation, perhaps while S3 is
        down. A purge that comes first wins; one that comes later finds it.
        """
        head = self._table.get(head_key(session_id, conversation_id))
        if head is None or _first(segment) <= head["archivedSeq"]:
            return
        now = self._clock()
        there = Change(clauses=(PRESENT, Clause(("purgingAt",), "absent")))
        again = segment | {"ttl": now // SECOND + DAY_SECONDS}
        with suppress(Cancelled):  # it was purged, or another run has put it back
            self._table.transact(
                [
                    Update(Key(head["pk"], head["sk"]), due(session_id, now, self._shards) | there),
                    Put(again, (ABSENT,)),
                ]
            )

    def _step(self, head: Item) -> int | None:
        """Do the next thing that is due; return the messages archived by it, None when nothing is left to do."""
        if "purgingAt" in head:
            return self._erase(head)
        now, ended = self._clock(), "endedAt" in head
        segments, left = self._unarchived(head)
        if "archivingSeq" in head:
            return self._finish(head, [s for s in segments if _last(s) <= head["archivingSeq"]], now)
        if segments:
            since = min(segment["at"] for segment in segments) + PATIENCE
            if ended or since <= now or sum(len(s["messages"]) for s in segments) >= ENOUGH:
                fitting = _fitting(segments)
                return self._finish(self._intend(head, _last(fitting[-1])), fitting, now)
            self._wait(head, since)
        elif ended and head["endedAt"] + head["retentionSeconds"] * SECOND <= now:
            return self._erase(head)
        elif ended and left:
            raise PoisonedItem(head["pk"])  # who deletes what lies beside the session must not take these with it
        elif ended:
            self._wait(head, head["endedAt"] + head["retentionSeconds"] * SECOND)
        elif BY_EXPIRY.sk in head:
            seen = Clause((BY_EXPIRY.sk,), "is", head[BY_EXPIRY.sk])
            self._table.update(Key(head["pk"], head["sk"]), Change(remove=_UNDUE, clauses=(*_unmoved(head), seen)))
        return None

    def _unarchived(self, head: Item) -> tuple[list[Item], bool]:
        """Return the segments over the high-water mark, as far as they follow each other; and whether others do.

        A gap is a segment that TTL has taken: the stream brings it, and until then nothing goes past it.
        """
        session_id, conversation_id = conversation_of(Key(head["pk"], head["sk"]))
        expected = head["archivedSeq"] + 1
        first = segment_key(session_id, conversation_id, expected)
        last = segment_key(session_id, conversation_id, 10**10 - 1)
        following: list[Item] = []
        for segment in self._table.query_between(first.pk, first.sk, last.sk, limit=_SEGMENTS):
            if _first(segment) != expected:
                return following, True
            following.append(segment)
            expected = _last(segment) + 1
        return following, False

    def _intend(self, head: Item, last: int) -> Item:
        """Note how far the next object goes.

        Two runs that see the same mark may see different tails, for messages arrive in between. The first to note
        its intent has the word; the other finds the mark unmoved but the intent there, and does that one.
        """
        clauses = (*_unmoved(head), Clause(("archivingSeq",), "absent"))
        # Due, so that the schedule finds what is left by a failure from here on.
        intent = Change({("archivingSeq",): last}, clauses=clauses)
        later = due(head["sessionId"], self._clock() + PATIENCE, self._shards)
        return self._table.update(Key(head["pk"], head["sk"]), intent | later)

    def _finish(self, head: Item, segments: Sequence[Item], now: Millis) -> int | None:
        """Write the object that was intended, and move the mark over it."""
        session_id, conversation_id = conversation_of(Key(head["pk"], head["sk"]))
        first, last = head["archivedSeq"] + 1, head["archivingSeq"]
        key = objects.key(session_id, conversation_id, first, last)
        messages = [message for segment in segments for message in self._messages(segment)]
        whole = bool(segments) and _last(segments[-1]) == last
        if whole:
            self._bucket.put_new(key, objects.encode(messages))
        elif self._bucket.get(key) is None:
            self._wait(head, now + PATIENCE)  # the stream brings what TTL has taken
            return None
        entry = {
            **range_key(session_id, conversation_id, first)._asdict(),
            "first": first,
            "last": last,
            BY_EXPIRY.pk: compaction_bucket(shard_of(session_id, self._shards)),
            BY_EXPIRY.sk: now,
        }
        try:
            self._table.transact(
                [Update(Key(head["pk"], head["sk"]), self._moved(head, now)), Put(entry, (ABSENT,))]
            )
        except (Cancelled, Contended):
            now_there = self._table.get(Key(head["pk"], head["sk"]))
            if now_there is None or "purgingAt" in now_there:
                self._bucket.delete_many([key])
            raise
        return last - first + 1

    def _moved(self, head: Item, now: Millis) -> Change:
        """Move the mark to where the object ends.

        Whoever moves it has seen the intent; of two the second finds the mark moved. A purge in between has marked
        the head or taken it, and then what was just written must go again.
        """
        last = head["archivingSeq"]
        clauses = (*_unmoved(head), Clause(("archivingSeq",), "is", last))
        moved = Change({("archivedSeq",): last}, frozenset({("archivingSeq",)}), clauses)
        if "endedAt" in head:
            return moved | due(head["sessionId"], now, self._shards)
        return moved | Change(remove=_UNDUE)

    def _messages(self, segment: Item) -> Iterable[Mapping[str, Any]]:
        """Give the messages of a segment that were not popped, with their contents."""
        for seq in sorted(map(int, segment["messages"])):
            message = segment["messages"][str(seq)]
            if message is not None:
                yield {**resolved(message, lambda: self._bucket), "seq": seq}

    def _wait(self, head: Item, until: Millis) -> None:
        """Put the head among the due, unless it is there for that time or an earlier one."""
        if head.get(BY_EXPIRY.sk, until + 1) > until or head[BY_EXPIRY.sk] <= self._clock():
            change = due(head["sessionId"], until, self._shards)
            self._table.update(Key(head["pk"], head["sk"]), change | Change(clauses=_unmoved(head)))

    def _erase(self, head: Item) -> None:
        """Delete the objects of a conversation, then its ranges, then its head, which leads here until then."""
        session_id, conversation_id = conversation_of(Key(head["pk"], head["sk"]))
        ranges = self._table.query(conversations(session_id), f"{RANGE}{conversation_id}#")
        for batch in batched(ranges, 1_000, strict=False):
            self._bucket.delete_many(
                [objects.key(session_id, conversation_id, r["first"], r["last"]) for r in batch]
            )
            self._table.delete_many([Key(item["pk"], item["sk"]) for item in batch])
        if "archivingSeq" in head:
            first, last = head["archivedSeq"] + 1, head["archivingSeq"]
            self._bucket.delete_many([objects.key(session_id, conversation_id, first, last)])
        if "purgingAt" in head:
            self._bucket.delete_many(self._bucket.keys(overflow_prefix(session_id)))
        self._table.delete(Key(head["pk"], head["sk"]))


def _unmoved(head: Item) -> tuple[Clause, ...]:
    """What every step stands on: nobody has archived on, ended or purged the conversation since it was read.

    An end and a purge say when the head is due next; a step that has not seen them would undo that.
    """
    ended = Clause(("endedAt",), "present" if "endedAt" in head else "absent")
    return (PRESENT, Clause(("archivedSeq",), "is", head["archivedSeq"]), ended, Clause(("purgingAt",), "absent"))


def _first(segment: Item) -> int:
    return first_seq_of(Key(segment["pk"], segment["sk"]))


def _last(segment: Item) -> int:
    return max(map(int, segment["messages"]))


def _elsewhere(message: Mapping[str, Any] | None) -> int:
    """Return the bytes of a message that were too large for its item."""
    return message.get("overflowBytes", 0) if message else 0


def _fitting(segments: Sequence[Item]) -> list[Item]:
    """Return as many segments as one object holds, at least one."""
    fitting: list[Item] = []
    messages = total = 0
    for segment in segments:
        messages += len(segment["messages"])
        total += size(segment["messages"]) + sum(map(_elsewhere, segment["messages"].values()))
        if fitting and (messages > MOST_MESSAGES or total > MOST_BYTES):
            break
        fitting.append(segment)
    return fitting
