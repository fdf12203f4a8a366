"""Drafts that are finished: in one transaction the result is there, as a bucket, and the draft is gone."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from tessera.errors import Conflict, ContentTooLarge, Unavailable
from tessera.model.changes import Change, Clause
from tessera.model.clock import Millis
from tessera.model.data import Held, removal
from tessera.model.record import Record
from tessera.stores.data_items import bucket_item, is_live
from tessera.stores.keys import DATA, PAST, data_key, partition
from tessera.stores.overflow import Overflow
from tessera.stores.session_store import Decision
from tessera.stores.table import ABSENT, MAX_ITEM_BYTES, Delete, Item, Key, Put, Table, Write


class Drafts:
    """The buckets that a flow's end turns into its result."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self, record: Record, names: Sequence[str], now: Millis) -> dict[str, Item]:
        """Return the buckets of these names that are there, as they are now.

        Raises:
            ContentTooLarge: one of them does not lie in an item; neither would the result.

        """
        items = self._table.get_many([data_key(record.id, name) for name in names]) if names else []
        live = {item["sk"].removeprefix(DATA): item for item in items if is_live(item, now)}
        if any("overflow" in item for item in live.values()):
            raise ContentTooLarge("What is finished must fit one item", limit=MAX_ITEM_BYTES)
        return live

    def finished(
        self, record: Record, draft: Mapping[str, Item], name: str, result: Mapping[str, Any], now: Millis
    ) -> Decision:
        """Return what becomes of the buckets, and what the session notes of it.

        A tab saves the draft while another one finishes it: the save comes first, and its version is not the one
        that was read, so that the end is decided anew, on what was saved; or it comes second, and makes a new
        bucket beside the result. Nobody overwrites the result: there must be none.
        """
        found = self._table.get(data_key(record.id, name))
        if found is not None and is_live(found, now):
            raise Conflict(f"There is a bucket {name} already, where the result would be")
        free = ABSENT if found is None else Clause(("version",), "is", found["version"])  # or it has expired
        mark = max([record.data_mark, *(removal(item["version"]) for item in draft.values())])
        held = Held(result, mark + 1, now)
        writes: list[Write] = [Put(bucket_item(record, name, held, Overflow(_nowhere, "")), (free,))]
        for item in draft.values():
            seen = (Clause(("version",), "is", item["version"]),)
            writes.append(Delete(Key(item["pk"], item["sk"]), seen))
        return Change({("dataMark",): mark} if mark > record.data_mark else {}), writes

    def forget(self, session_id: str, names: Sequence[str]) -> None:
        """Take away the earlier versions of a draft that is gone; what is left by a failure goes by itself."""
        with suppress(Unavailable):
            for name in names:
                past = self._table.query(partition(session_id), f"{PAST}{name}#", keys_only=True)
                self._table.delete_many([Key(step["pk"], step["sk"]) for step in past])


def _nowhere() -> Any:
    raise ContentTooLarge("What is finished must fit one item", limit=MAX_ITEM_BYTES)
