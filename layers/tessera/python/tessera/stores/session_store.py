"""The contract of the session store; `sessions` keeps it on any table, `cache` in front of that."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from tessera.model.changes import Admitted, Change
from tessera.model.record import Record
from tessera.stores.table import Write

type Admit = Callable[[Record], Admitted]
"""Raises what keeps a caller from the session as it is in the record."""

type Decision = tuple[Change, Sequence[Write]]
"""What a session becomes, and the writes of other items without which it must not."""


class SessionStore(Protocol):
    """What the handlers need of a store. Ids may be aliases in `find` and `get`, nowhere else."""

    def create(self, record: Record, data: Mapping[str, Any], aliases: Sequence[str] = ()) -> None:
        """Write the session with its buckets and aliases, all or nothing.

        Raises:
            SessionExists: the id or one of the aliases is taken.
            ContentTooLarge: an item would be over the limit.

        """
        ...

    def resolve(self, session_id: str) -> str:
        """Return the session id that an alias names; one of our own ids as it is, known or not.

        Raises:
            SessionNotFound: neither one of our ids nor a known alias.

        """
        ...

    def find(self, session_id: str) -> Record:
        """Return the session, expired or not.

        Raises:
            SessionNotFound: nothing is known of it.

        """
        ...

    def get(self, session_id: str, *, degradable: bool = False) -> Record:
        """Return the live session.

        `degradable`: while the table fails, an older state of it will do; `Tiers.degraded` says that it is one.

        Raises:
            SessionNotFound: nothing is known of it.
            SessionExpired: it is past its expiry, whether or not it is still stored.

        """
        ...

    def change(self, session_id: str, decide: Callable[[Record], Change]) -> Record:
        """Read, decide, write under the decision's clauses; decide anew on what another writer left.

        Raises:
            SessionNotFound, and whatever `decide` raises.
            Contended: others came first at every try.

        """
        ...

    def change_with(self, session_id: str, decide: Callable[[Record], Decision]) -> Record:
        """Change the session and write other items in the same transaction; decide anew as `change` does.

        Also a condition of another item that does not hold makes it decide anew: `decide` reads that item itself.

        Raises:
            SessionNotFound, and whatever `decide` raises.
            ContentTooLarge: one of the items would be over the limit.
            Contended: others came first at every try.

        """
        ...

    def data(self, session_id: str, names: Collection[str] | None = None) -> dict[str, Any]:
        """Return the buckets of a session, each as its plain JSON object; with `names` only these.

        Raises:
            ContentTooLarge: more than one answer holds.

        """
        ...

    def of_customer(
        self, customer_id: str, limit: int, start: tuple[int, str] | None = None
    ) -> tuple[list[Record], tuple[int, str] | None]:
        """Return the live sessions of a customer, newest first, and where the next page begins.

        A page may hold fewer than `limit`. `start` is the (createdAt, id) that the page before ended with.
        """
        ...

    def delete(self, session_id: str, version: int | None = None, *, purge: bool = False) -> bool:
        """Delete every item of the session and its aliases; False when there was no session.

        Its conversations are brought into the archive first, or taken out of it with `purge`.

        Raises:
            PreconditionFailed: a version is given, and the session has another one.

        """
        ...
