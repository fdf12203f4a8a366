"""The contract of a table: a handful of verbs, each atomic, each decided by conditions.

tests/contract/ proves it on every implementation.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, Protocol

from tessera.model.changes import Change, Clause
from tessera.model.clock import Millis

type Item = dict[str, Any]
"""An item with its `pk` and `sk`; values are plain JSON."""

MAX_ITEM_BYTES = 300_000
"""What we let an item grow to; DynamoDB ends at 400 KB, and writers at the same time may add to each other."""


class Key(NamedTuple):
    """The primary key of an item."""

    pk: str
    sk: str


class Index(NamedTuple):
    """A secondary index of keys only: its name and the names of its key attributes."""

    name: str
    pk: str
    sk: str


BY_CUSTOMER = Index("byCustomer", "customerId", "createdAt")
BY_EXPIRY = Index("byExpiry", "expiryBucket", "expiresAt")


@dataclass(frozen=True, slots=True)
class Put:
    """A write of a whole item, under conditions on the one that it replaces."""

    item: Item
    clauses: tuple[Clause, ...] = ()

    @property
    def key(self) -> Key:
        """The key of the item."""
        return Key(self.item["pk"], self.item["sk"])


@dataclass(frozen=True, slots=True)
class Update:
    """A change of one item as a part of a transaction; it must change something."""

    key: Key
    change: Change

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """The conditions of the change."""
        return self.change.clauses


@dataclass(frozen=True, slots=True)
class Delete:
    """A deletion of one item as a part of a transaction, under conditions on it."""

    key: Key
    clauses: tuple[Clause, ...] = ()


type Write = Put | Update | Delete
"""What a transaction consists of."""

MAX_WRITES = 100
"""How many writes a transaction may have."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a query; `last` is where the next one begins, None at the end."""

    items: Sequence[Item]
    last: Item | None


PAGE = 100
"""How many items a page has where nothing else decides it: one read of many, one transaction."""


def pages(turn: Callable[[Item | None], Page]) -> Iterator[Sequence[Item]]:
    """Give the items of each page. `turn` returns the page that follows a `last`, after None the first one."""
    page = turn(None)
    yield page.items
    while page.last is not None:
        page = turn(page.last)
        yield page.items


ABSENT = Clause(("pk",), "absent")
PRESENT = Clause(("pk",), "present")


class Table(Protocol):
    """What every table can do. All reads of the table are consistent, those of an index are eventually.

    Raises (all of them): Throttled, Unavailable, ContentTooLarge, Misconfigured as `errors.from_aws` has it.
    """

    def get(self, key: Key) -> Item | None:
        """Return the item, or None."""
        ...

    def get_many(self, keys: Sequence[Key], *, only: Sequence[str] = ()) -> list[Item]:
        """Return those of the items that exist, in no order; with `only`, their keys and these attributes."""
        ...

    def update(self, key: Key, change: Change) -> Item:
        """Apply the change in one step and return the new item. Without PRESENT it makes a missing one.

        Raises:
            Stale: a clause does not hold; carries the item that is there.

        """
        ...

    def transact(self, writes: Sequence[Write]) -> None:
        """Write all (1 to `MAX_WRITES`, each to another item) or none. Updates do what `update` does.

        Without PRESENT a deletion of what is not there does nothing.

        Raises:
            Cancelled: clauses do not hold; with the places of those writes and the items that are there.
            Contended: another transaction holds one of the items.
            Misconfigured: the table refuses such a transaction, e.g. one that is empty or names an item twice.

        """
        ...

    def query(self, pk: str, prefix: str = "", *, keys_only: bool = False) -> Iterable[Item]:
        """Return the items of a partition whose sort key begins so, in its order."""
        ...

    def query_between(
        self, pk: str, first: str, last: str, *, newest_first: bool = False, limit: int | None = None
    ) -> Iterable[Item]:
        """Return the items of a partition with first <= sk <= last, in the order of sk or backwards.

        They are read as they are taken, page by page; of all, `limit` at most, and no more than those is read.
        """
        ...

    def query_index(
        self,
        index: Index,
        pk: str,
        *,
        up_to: int | None = None,
        newest_first: bool = False,
        limit: int,
        start: Item | None = None,
    ) -> Page:
        """Return keys (of table and index) from an index; `up_to` bounds its sort key, `start` is a `last`."""
        ...

    def delete(self, key: Key, clauses: Sequence[Clause] = ()) -> bool:
        """Delete the item; False when there was none, whatever the clauses.

        Raises:
            Stale: a clause does not hold; carries the item that is there.

        """
        ...

    def delete_many(self, keys: Sequence[Key]) -> None:
        """Delete them all, in batches; those that are not there do not matter."""
        ...


def waiting(table: Table, bucket: str, now: Millis, index: Index = BY_EXPIRY) -> Iterator[Item]:
    """Give the keys of what waits in a bucket of an index since `now` or earlier, the longest first, page by page.

    What is put off meanwhile, beyond the page that was read, is not given.
    """
    turn = partial(table.query_index, index, bucket, up_to=now, limit=PAGE)
    return chain.from_iterable(pages(lambda start: turn(start=start)))
