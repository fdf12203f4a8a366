"""What lies beside a session of its activity: the actions on its carts, the last products that were looked at."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from tessera.errors import SessionNotFound
from tessera.model.activity import last_views
from tessera.model.changes import Clause
from tessera.model.parts import CartAction
from tessera.model.record import Record, ttl
from tessera.stores.keys import ACTIONS, CART, VIEWS, child_key, partition
from tessera.stores.receipts import Receipt
from tessera.stores.table import ABSENT, Item, Put, Table

ACTIONS_SHOWN = 100
MAX_ACTION_BYTES = 1_000_000
"""What they may have together: Lambda's answers end at 6 MB, with JSON escaped once more, and have other parts."""


class Activities:
    """The activity of sessions. It is written in the transactions of `SessionStore.change_with` alone."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def of(self, session_id: str) -> dict[str, Any]:
        """Return the newest actions, fewer when they are large, and the last views: `model.parts.Activity`."""
        items = self._table.query_between(
            partition(session_id), ACTIONS, f"{ACTIONS}~", newest_first=True, limit=ACTIONS_SHOWN
        )
        found = self._table.get(child_key(session_id, VIEWS)) or {"views": []}
        return {"cart_actions": list(islice(_fitting(items), ACTIONS_SHOWN)), "views": found["views"]}

    def recorded(self, record: Record, actions: Sequence[CartAction], receipt: Receipt | None = None) -> list[Put]:
        """Return what records actions, one item for all of them, and the receipt of that; nothing for none."""
        if not actions:
            return []
        item = _beside(record, ACTIONS + actions[0].id) | {
            "type": CART,
            "actions": [action.model_dump(by_alias=True) for action in actions],
        }
        if record.session.customer_id:
            item["customer"] = record.session.customer_id  # not the name of the index by customer
        receipts = [receipt.left(record, {"actions": item["sk"]})] if receipt else []
        return [Put(item, (ABSENT,)), *receipts]

    def receipted(self, session_id: str, done: Mapping[str, Any]) -> list[CartAction]:
        """Return the actions that a receipt is of; raises SessionNotFound when they went with their session."""
        item = self._table.get(child_key(session_id, done["actions"]))
        if item is None:
            raise SessionNotFound
        return [CartAction.model_validate(action) for action in item["actions"]]

    def viewed(self, record: Record, given: Sequence[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], Put]:
        """Read the views that there are; return those that there will be, and what makes it so.

        Two tabs view at once: both read the same version, and the second one to write finds another; it must
        decide anew, on what the first one left.
        """
        key = child_key(record.id, VIEWS)
        found = self._table.get(key)
        views = last_views(found["views"] if found else [], given)
        unchanged = Clause(("version",), "is", found["version"]) if found else ABSENT
        item = _beside(record, VIEWS) | {"views": views, "version": found["version"] + 1 if found else 1}
        return views, Put(item, (unchanged,))


def _fitting(items: Iterable[Item]) -> Iterator[Mapping[str, Any]]:
    """Give the actions of items, the newest first, as many as there is room for."""
    room = MAX_ACTION_BYTES
    for item in items:
        for action in reversed(item["actions"]):
            room -= len(json.dumps(action))
            if room < 0:
                return
            yield action


def _beside(record: Record, sk: str) -> Item:
    last = ttl(record.session.absolute_expires_at, record.retention_seconds)
    return {**child_key(record.id, sk)._asdict(), "ttl": last}
