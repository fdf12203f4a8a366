"""A table in memory: the reference that DynamoDB is compared with, and the store of the unit tests."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from threading import RLock
from typing import Any

from tessera.errors import Cancelled, Misconfigured, Stale
from tessera.model.changes import Change, Clause, Operator, Path, applied
from tessera.stores.table import MAX_WRITES, Delete, Index, Item, Key, Page, Put, Update, Write

_MISSING: Any = object()

_HOLDS: Mapping[Operator, Callable[[Any, Any], bool]] = {
    "is": lambda found, value: found is not _MISSING and _same(found, value),
    "is not": lambda found, value: found is _MISSING or not _same(found, value),
    "present": lambda found, _: found is not _MISSING,
    "absent": lambda found, _: found is _MISSING,
    "object": lambda found, _: isinstance(found, dict),
    "at most": lambda found, value: _is_number(found) and found <= value,
    "after": lambda found, value: _is_number(found) and found > value,
}


class MemoryTable:
    """Implements `Table`. The lock stands for the atomicity of one DynamoDB request, nothing else."""

    def __init__(self) -> None:
        self._items: dict[Key, Item] = {}
        self._lock = RLock()

    def get(self, key: Key) -> Item | None:
        """See Table."""
        with self._lock:
            return deepcopy(self._items.get(key))

    def get_many(self, keys: Sequence[Key], *, only: Sequence[str] = ()) -> list[Item]:
        """See Table."""
        found = [item for key in keys if (item := self.get(key)) is not None]
        if not only:
            return found
        return [{name: item[name] for name in item.keys() & {"pk", "sk", *only}} for item in found]

    def update(self, key: Key, change: Change) -> Item:
        """See Table."""
        with self._lock:
            found = self._items.get(key)
            if not _all_hold(found, change.clauses):
                raise Stale(deepcopy(found))
            self._items[key] = item = _changed(found, key, change)
            return deepcopy(item)

    def transact(self, writes: Sequence[Write]) -> None:
        """See Table."""
        _check(writes)
        with self._lock:
            found = [self._items.get(write.key) for write in writes]
            failed = frozenset(
                place for place, write in enumerate(writes) if not _all_hold(found[place], write.clauses)
            )
            if failed:
                raise Cancelled(failed, {place: deepcopy(found[place]) for place in failed})
            for item, write in zip(found, writes, strict=True):
                if isinstance(write, Delete):
                    self._items.pop(write.key, None)
                else:
                    self._items[write.key] = _written(item, write)

    def query(self, pk: str, prefix: str = "", *, keys_only: bool = False) -> Iterable[Item]:
        """See Table."""
        with self._lock:
            keys = sorted(key for key in self._items if key.pk == pk and key.sk.startswith(prefix))
            if keys_only:
                return [{"pk": key.pk, "sk": key.sk} for key in keys]
            return [deepcopy(self._items[key]) for key in keys]

    def query_between(
        self, pk: str, first: str, last: str, *, newest_first: bool = False, limit: int | None = None
    ) -> Iterable[Item]:
        """See Table."""
        with self._lock:
            keys = sorted(key for key in self._items if key.pk == pk and first <= key.sk <= last)
            return [deepcopy(self._items[key]) for key in (keys[::-1] if newest_first else keys)[:limit]]

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
        """See Table."""

        def order(item: Item) -> tuple[Any, ...]:
            return item[index.sk], item["pk"], item["sk"]

        with self._lock:
            found = [
                {name: item[name] for name in ("pk", "sk", index.pk, index.sk)}
                for item in self._items.values()
                if item.get(index.pk) == pk and index.sk in item and (up_to is None or item[index.sk] <= up_to)
            ]
        found.sort(key=order, reverse=newest_first)
        if start is not None:
            found = [i for i in found if (order(i) < order(start) if newest_first else order(i) > order(start))]
        return Page(found[:limit], found[limit - 1] if len(found) > limit else None)

    def delete(self, key: Key, clauses: Sequence[Clause] = ()) -> bool:
        """See Table."""
        with self._lock:
            found = self._items.get(key)
            if found is None:
                return False
            if not _all_hold(found, clauses):
                raise Stale(deepcopy(found))
            del self._items[key]
            return True

    def delete_many(self, keys: Sequence[Key]) -> None:
        """See Table."""
        for key in keys:
            self.delete(key)


def _check(writes: Sequence[Write]) -> None:
    """Refuse what DynamoDB refuses, so that no test passes here alone."""
    changes = [write.change for write in writes if isinstance(write, Update)]
    if not (
        0 < len(writes) <= MAX_WRITES
        and len({write.key for write in writes}) == len(writes)
        and all(change.assign or change.remove or change.add for change in changes)
    ):
        raise Misconfigured("no transaction that a table takes")


def _written(found: Item | None, write: Put | Update) -> Item:
    return deepcopy(write.item) if isinstance(write, Put) else _changed(found, write.key, write.change)


def _changed(found: Item | None, key: Key, change: Change) -> Item:
    return applied(found or key._asdict(), change)


def _same(found: Any, value: Any) -> bool:
    """Compare as DynamoDB does: 1 and 1.0 are the same, 1 and true are not, however deep."""
    match found, value:
        case dict(), dict():
            return found.keys() == value.keys() and all(_same(found[name], value[name]) for name in found)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        case list(), list():
            return len(found) == len(value) and all(map(_same, found, value))  # pyright: ignore[reportUnknownArgumentType]
        case _:
            return isinstance(found, bool) == isinstance(value, bool) and found == value


def _is_number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)


def _all_hold(found: Item | None, clauses: Iterable[Clause]) -> bool:
    return all(_HOLDS[clause.operator](_at(found or {}, clause.path), clause.value) for clause in clauses)


def _at(item: Any, path: Path) -> Any:
    for name in path:
        item = item.get(name, _MISSING) if isinstance(item, dict) else _MISSING  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return item  # pyright: ignore[reportUnknownVariableType]
