"""What a change of a bucket consists of: the core of the session, the bucket, the way back; and the conditions."""

from dataclasses import dataclass
from typing import Any

from tessera.model.changes import Admitted, Change, Clause, applied
from tessera.model.data import Held, removal
from tessera.model.life import touched
from tessera.model.record import DATA, Record
from tessera.model.threeway import steps_back
from tessera.stores.data_items import bucket_item, past_item
from tessera.stores.keys import core_key, data_key
from tessera.stores.overflow import Overflow
from tessera.stores.table import ABSENT, PRESENT, Delete, Item, Put, Update, Write


@dataclass(slots=True)
class Plan:
    """A decided change: `held` becomes `after`, None is no bucket. `record` and `item` are what will be there."""

    record: Record
    name: str
    seen: Item | None
    held: Held | None
    after: Held | None
    core: Update
    item: Item | None = None

    def writes(self, overflow: Overflow) -> list[Write]:
        """Return the writes of the transaction: the core, then the bucket, if anything changes of it.

        Two tabs save the same bucket at once: both have read the same version, and the second to write finds
        another; it decides anew, on what the first one left. Two that save different buckets touch the same core,
        yet no condition there stands between them. A new bucket must find nothing in its place.
        """
        if self.after is self.held:
            return [self.core]
        unmoved = Clause(("version",), "is", self.seen["version"]) if self.seen else ABSENT
        if self.after is None:
            return [self.core, Delete(data_key(self.record.id, self.name), (unmoved,))]
        self.item = bucket_item(self.record, self.name, self.after, overflow)
        writes: list[Write] = [self.core, Put(self.item, (unmoved,))]
        if self.held is not None:
            steps = steps_back(self.after.data, self.held.data)
            writes.append(Put(past_item(self.record, self.name, self.after, steps)))
        return writes


def planned(
    record: Record, name: str, seen: Item | None, allowed: Admitted, *, held: Held | None, after: Held | None
) -> Plan:
    """Return the plan by which a bucket becomes what was decided of it."""
    change = _core(record, held, after, allowed)
    now_there = Record.of(applied(record.attributes(), change))
    return Plan(now_there, name, seen, held, after, Update(core_key(record.id), change))


def _core(record: Record, held: Held | None, after: Held | None, allowed: Admitted) -> Change:
    """Decide what becomes of the core, and what it must still be.

    The container may remember the core from its last write, so what the decision took from it is a condition: the
    caller's epoch (a revocation in between wins), and the expiry where this write does not move it. A slide has a
    condition of its own. A new bucket stands on the version of the session, which every other one moves: by that
    its first version is after the mark, and the count of buckets is right.
    """
    change = touched(record, allowed.now) | Change(add={("version",): 1})
    change |= Change(clauses=(PRESENT, Clause(("epoch",), "is", record.epoch), *allowed.clauses))
    if ("expiresAt",) not in change.assign:
        change |= Change(clauses=(Clause(("expiresAt",), "is", record.session.expires_at),))
    if held is None:
        change |= Change(clauses=(Clause(("version",), "is", record.session.version),))
    if DATA not in record.parts:
        change |= Change({("parts",): [*record.parts, DATA]})
    return change | _marked(record, held, after)


def _marked(record: Record, held: Held | None, after: Held | None) -> Change:
    """Raise the mark to the version of a bucket that may go by itself, or to that of the removal of one that goes.

    A version that comes twice would make an old ETag, or what a container remembers, right again for other data.
    """
    if after is None:
        mark = removal(held.version) if held else 0
    else:
        mark = after.version if after.expires_at is not None else 0
    if mark <= record.data_mark:
        return Change()
    path: tuple[str, ...] = ("dataMark",)
    seen: Any = Clause(path, "is", record.data_mark) if record.data_mark else Clause(path, "absent")
    return Change({path: mark}, clauses=(seen,))
