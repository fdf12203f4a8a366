"""Sessions that talk: the stores of conversations over one table and one bucket, and what a reader sees."""

from collections.abc import Sequence
from typing import Any

from tessera.archive import objects
from tessera.archive.archiver import Archiver
from tessera.archive.history import History
from tessera.archive.memory import Memory
from tessera.model.changes import Admitted
from tessera.model.clock import Millis, rfc3339
from tessera.model.conversations import Appending
from tessera.model.messages import NewMessage
from tessera.model.record import Record
from tessera.stores.bucket import Bucket
from tessera.stores.conversations import Conversations
from tessera.stores.expiry import HOUR, Expiry, Settled
from tessera.stores.keys import HEAD, RANGE, SEGMENT, conversation_of, conversations, partition
from tessera.stores.sessions import Sessions
from tessera.stores.table import Item, Key, Table
from tests.support.fakes import START, FakeClock
from tests.support.records import KINDS, session

SHARDS = 2


def said(content: Any = "…", message_id: str | None = None, at: Millis | None = None, **more: Any) -> NewMessage:
    """Return a message as a client sends it."""
    given = {} if at is None else {"createdAt": rfc3339(at)}
    return NewMessage.model_validate({"messageId": message_id, "role": "user", "content": content} | given | more)


def several(count: int, prefix: str = "") -> list[NewMessage]:
    """Return that many messages; with a prefix for ids of a client's own."""
    return [said(f"{prefix or 'm'}{n}", f"{prefix}{n}" if prefix else None) for n in range(count)]


class House:
    """One container's view of everything; another one is another `House` on the same table, bucket and clock."""

    def __init__(self, table: Any, bucket: Any, clock: FakeClock) -> None:
        self.table: Table = table
        self.bucket: Bucket = bucket
        self.clock = clock
        self.archiver = Archiver(table, bucket, clock, SHARDS)
        self.sessions = Sessions(table, clock, SHARDS, lambda: self.archiver)
        self.expiry = Expiry(table, SHARDS, lambda: self.archiver)
        self.conversations = Conversations(table, lambda: bucket, KINDS, SHARDS, sleep=lambda _: None)
        self.history = History(table, lambda: bucket)
        self.memory = Memory(table, self.history, clock)

    def beside(self, table: Any = None, bucket: Any = None) -> "House":
        """Return another container, which sees the same through other stores."""
        return House(table or self.table, bucket or self.bucket, self.clock)

    def begin(self, **body: Any) -> str:
        """Make a session; return its id."""
        made = session(**{"kind": "chat", "now": self.clock()} | body)
        self.sessions.create(made, {})
        return made.id

    def admit(self, record: Record) -> Admitted:
        """Let everybody into a live session, as a service is."""
        return Admitted(record.live(self.clock()).session and self.clock())

    def say(self, session_id: str, *messages: NewMessage) -> Appending:
        """Append these messages, or one of no importance."""
        return self.conversations.append(session_id, messages or [said()], self.admit)

    def pop(self, session_id: str) -> Item | None:
        """Take the newest message away, as the handler does."""
        found = self.conversations.pop(session_id, self.admit, lambda place: self.history.get(session_id, place))
        return None if found is None else self.history.whole(found)

    def clear(self, session_id: str) -> None:
        """End the open conversation."""
        self.conversations.clear(session_id, self.admit)

    def link(self, session_id: str, customer_id: str) -> None:
        """Do what a login does to the conversations."""
        if writes := self.conversations.linking(session_id, customer_id):
            self.table.transact(writes)

    def conversation(self, session_id: str) -> str:
        """Return the open conversation."""
        return str(self.sessions.find(session_id).session.conversation_id)

    def shown(self, session_id: str, limit: int = 1_000) -> dict[int, Any]:
        """Return the content of each message of the open conversation by its number, as a reader sees it."""
        page = self.history.page(self.sessions.get(session_id), limit=limit)
        return {message.seq: message.content for message in page.messages}

    def told(self, session_id: str, conversation_id: str) -> dict[int, Any]:
        """Return the same of any conversation, ended or not."""
        walked = self.history.walk(session_id, conversation_id, 1, 10**10 - 1, newest_first=False)
        return {message["seq"]: message["content"] for message in walked}

    # --- what is stored ---

    def head(self, session_id: str, conversation_id: str) -> Item:
        """Return the head of a conversation."""
        (found,) = (head for head in self.heads(session_id) if head["sk"] == f"{HEAD}{conversation_id}")
        return found

    def heads(self, session_id: str) -> list[Item]:
        """Return the heads of all conversations of a session, the first first: ids are random, tests are not."""
        return sorted(self.table.query(conversations(session_id), HEAD), key=lambda head: head["createdAt"])

    def hot(self, session_id: str) -> list[Item]:
        """Return the segments that lie in the table, the first first."""
        return sorted(self.table.query(partition(session_id), SEGMENT), key=lambda segment: segment["at"])

    def ranges(self, session_id: str, conversation_id: str) -> list[tuple[int, int]]:
        """Return the ranges that the table has of a conversation's archive."""
        found = self.table.query(conversations(session_id), f"{RANGE}{conversation_id}#")
        return [(item["first"], item["last"]) for item in found]

    def objects(self, session_id: str, conversation_id: str) -> dict[tuple[int, int], list[int]]:
        """Return the objects in the bucket: from which number to which, and the numbers that lie in it."""
        found: dict[tuple[int, int], list[int]] = {}
        for key in self.bucket.keys(f"{objects.prefix(session_id)}{conversation_id}/"):
            first, _, last = key.rpartition("/")[2].removesuffix(".jsonl.gz").partition("-")
            lines = objects.decode(self.bucket.get(key) or b"")
            found[int(first), int(last)] = [line["seq"] for line in lines]
        return dict(sorted(found.items()))

    def everything(self, session_id: str) -> set[str]:
        """Return the keys of whatever there is of a session, in the table and in the bucket."""
        items = (*self.table.query(partition(session_id)), *self.table.query(conversations(session_id)))
        keys = (*self.bucket.keys(f"archive/{session_id}/"), *self.bucket.keys(f"overflow/{session_id}/"))
        return {item["sk"] for item in items} | set(keys)

    # --- what runs by itself ---

    def tend(self, session_id: str, rescued: Sequence[Item] = ()) -> int:
        """Do what the stream asks for: for each conversation of the session what is due."""
        return sum(
            self.archiver.tend(
                *conversation_of(key),
                [s for s in rescued if conversation_of(Key(s["pk"], s["sk"])) == conversation_of(key)],
            )
            for head in self.heads(session_id)
            if (key := Key(head["pk"], head["sk"]))
        )

    def tend_due(self) -> int:
        """Do what the schedule does; return how many conversations were due."""
        keys = [item for shard in range(SHARDS) for item in self.archiver.due(shard, self.clock())]
        for item in keys:
            self.archiver.tend(*conversation_of(Key(item["pk"], item["sk"])))
        return len(keys)

    def clean_up(self) -> list[Settled]:
        """Settle every marker that is due."""
        now, done = self.clock(), list[Settled]()
        for hour in range(START // HOUR, now // HOUR + 1):
            for shard in range(SHARDS):
                page = self.expiry.due(hour, shard, now, limit=100)
                if page.items:
                    done.append(self.expiry.settle(page.items, now))
        return done

    def ttl_takes(self, segment: Item) -> Item:
        """Take a segment out of the table as DynamoDB's TTL does; return its last image, as the stream has it."""
        key = Key(segment["pk"], segment["sk"])
        image = self.table.get(key)
        assert image is not None
        self.table.delete(key)
        return image
