"""The compaction: turns archive objects into Parquet by day, each message into one file.

A batch goes in four steps, and whoever comes after a crash, or beside another run, does the same ones again:

1. The manifest is written, unless there is one of that number: it says which objects the batch consists of.
   Then the state says that the batch is pending.
2. The files of exactly that manifest are written, under names of its number and their days.
3. The ranges of these objects are taken out of the index of those that wait.
4. The manifest says what came of it, and forgets whose objects they were. The state says that the batch is done.

Manifests are never deleted. So of all runs that ever work on a number, late ones too, the first to write its
manifest has decided what is in the batch. A range waits until its batch is written, and nobody begins the next one
before that: so it is in one manifest, and its messages are in one file. Only a purge takes some of it away.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tessera.archive import objects
from tessera.archive.parquet import DayFiles
from tessera.archive.rows import Input, Rows
from tessera.errors import Misconfigured, PoisonedItem, Stale
from tessera.model.changes import Change, Clause
from tessera.model.clock import Clock, Millis, rfc3339
from tessera.stores.bucket import Bucket
from tessera.stores.heads import compaction_bucket
from tessera.stores.keys import COMPACTION, conversation_of, head_key, range_key
from tessera.stores.table import BY_CUSTOMER, BY_EXPIRY, PAGE, PRESENT, Item, Key, Page, Table, pages

MOST_MESSAGES, MOST_CHARACTERS = 10_000, 64_000_000
"""Where a batch ends, so that it fits into memory; the object over the limit still belongs to it."""

_THREADS = 8
_UNDUE = Change(
    remove=frozenset({(BY_EXPIRY.pk,), (BY_EXPIRY.sk,)}), clauses=(PRESENT, Clause((BY_EXPIRY.pk,), "present"))
)
_NONE_YET = Clause(("batch",), "absent")
_READ = ("first", "last", BY_EXPIRY.pk, BY_CUSTOMER.pk, "popped", "purgingAt")


@dataclass(frozen=True, slots=True)
class Compacted:
    """What came of a batch: the `rows` that it added, and for each object that nobody can read its session."""

    rows: int = 0
    unreadable: Sequence[str] = ()


@dataclass(slots=True)
class _Batch:
    """A batch on its way: its number, the objects in its manifest, its files."""

    number: int
    inputs: list[Input] = field(default_factory=list[Input])
    files: DayFiles = field(default_factory=DayFiles)
    unreadable: list[str] = field(default_factory=list[str])
    complete: bool = False
    """Whether its manifest says so: then its files are there, and nothing of it waits any more."""

    def full(self, most: int) -> bool:
        return self.files.count >= most or self.files.size >= MOST_CHARACTERS


class Compaction:
    """Works off the index of archive objects that wait. Raises what table and buckets raise.

    Args:
        table: where ranges, heads and the state are.
        archive: the bucket to read from.
        analytics: the bucket to write to.
        clock: now.
        shards: over how many partitions of the index the objects are spread.
        rows: makes rows of objects.
        most: how many messages end a batch.

    """

    def __init__(
        self,
        table: Table,
        archive: Bucket,
        analytics: Bucket,
        clock: Clock,
        shards: int,
        *,
        rows: Rows,
        most: int = MOST_MESSAGES,
    ) -> None:
        self._table, self._archive, self._analytics = table, archive, analytics
        self._clock, self._shards, self._rows, self._most = clock, shards, rows, most

    def batch(self) -> Compacted | None:
        """Finish the batch that is pending, or make the next one; None when nothing waits.

        Of two runs that finish the same batch one alone has its rows; the other returns 0 and looks again.
        """
        state = self._table.get(COMPACTION) or {"batch": 0}
        number = state["batch"] + 1
        batch = self._again(number) if "pending" in state else self._next(number)
        if batch is None:
            return None
        if not batch.complete:
            outputs = self._write(batch)
            self._settle(batch.inputs)
            self._complete(batch, outputs)
        if not self._finish(number):
            return Compacted()
        return Compacted(batch.files.count, batch.unreadable)

    def waiting_since(self) -> Millis | None:
        """Return since when the oldest object waits, as the index has it; None when none does."""
        pages = (self._due(shard, limit=1) for shard in range(self._shards))
        return min((page.items[0][BY_EXPIRY.sk] for page in pages if page.items), default=None)

    def _due(self, shard: int, *, limit: int, start: Item | None = None) -> Page:
        bucket = compaction_bucket(shard)
        return self._table.query_index(BY_EXPIRY, bucket, up_to=self._clock(), limit=limit, start=start)

    # -- which objects -------------------------------------------------------------------------------------

    def _next(self, number: int) -> _Batch | None:
        """Choose what waits and write its manifest; None when nothing waits.

        A run that died before it said that its batch is pending has left a manifest of this number: its objects
        wait still, and it is done in place of ours. The same with one of a run beside us.
        """
        batch = self._chosen(number)
        if not batch.inputs:
            return None
        manifest = {"batch": number, "at": rfc3339(self._clock()), "inputs": batch.inputs}
        ours = self._analytics.put_new(_manifest_key(number), _json(manifest))
        self._begin(number)
        return batch if ours else self._again(number)

    def _chosen(self, number: int) -> _Batch:
        """Read what waits until it is enough. Each batch begins at another shard, so that none waits for ever."""
        batch = _Batch(number)
        for place in range(self._shards):
            for inputs in self._waiting((number + place) % self._shards):
                self._read(batch, inputs, self._most)
                if batch.full(self._most):
                    return batch
        return batch

    def _waiting(self, shard: int) -> Iterator[list[Input]]:
        """Give the objects that wait in a shard, page by page.

        The index lags behind the table: what it still shows may have been compacted, or purged. So the ranges are
        read themselves, and their heads: a conversation without one, or with a marked one, is being purged.
        """
        for page in pages(lambda start: self._due(shard, limit=PAGE, start=start)):
            ranges = [Key(item["pk"], item["sk"]) for item in page]
            heads = {head_key(*conversation_of(key)) for key in ranges}
            items = self._table.get_many([*ranges, *heads], only=_READ) if ranges else []
            found = {Key(item["pk"], item["sk"]): item for item in items}
            both = [(found[key], found.get(head_key(*conversation_of(key)))) for key in ranges if key in found]
            yield [
                self._rows.chosen(r, head)
                for r, head in both
                if BY_EXPIRY.pk in r and head and "purgingAt" not in head
            ]

    def _again(self, number: int) -> _Batch:
        """Return the batch of a manifest that was written before."""
        manifest = json.loads(self._analytics.get(_manifest_key(number)) or "null")
        if manifest is None:
            raise Misconfigured(f"the manifest of batch {number} was deleted; see docs/insights.md")
        batch = _Batch(number, complete="inputs" not in manifest)
        self._read(batch, manifest.get("inputs", ()))
        return batch

    # -- their rows ----------------------------------------------------------------------------------------

    def _read(self, batch: _Batch, inputs: Sequence[Input], most: int | None = None) -> None:
        """Take objects into the batch, until it is full if `most` says so. One that a purge took has no rows."""
        keys = [objects.key(i["session"], i["conversation"], i["first"], i["last"]) for i in inputs]
        for chosen, body in zip(inputs, self._archive.get_many(keys), strict=False):
            batch.inputs.append(chosen)
            try:
                rows = self._rows.of(chosen, body) if body is not None else []
            except PoisonedItem as poisoned:
                batch.unreadable.append(poisoned.key)
                continue
            for day, row in rows:
                batch.files.add(day, row)
            if most is not None and batch.full(most):
                return

    # -- what comes of it ----------------------------------------------------------------------------------

    def _write(self, batch: _Batch) -> list[dict[str, Any]]:
        """Write the files; return what the manifest says of them."""
        outputs: list[dict[str, Any]] = []
        for day, body in batch.files.finished():
            key = f"messages/day={day}/{batch.number:010}.parquet"
            self._analytics.put(key, body)
            outputs.append({"key": key, "rows": batch.files.rows[day], "bytes": len(body)})
        return outputs

    def _settle(self, inputs: Sequence[Input]) -> None:
        """Take the ranges out of the index of those that wait, unless a purge or another run was there before."""
        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in pool.map(self._undue, inputs):
                pass

    def _undue(self, of: Input) -> None:
        with suppress(Stale):
            self._table.update(range_key(of["session"], of["conversation"], of["first"]), _UNDUE)

    def _complete(self, batch: _Batch, outputs: Sequence[dict[str, Any]]) -> None:
        """Say in the manifest what came of it. Whose objects they were is forgotten: only pseudonyms stay here."""
        done = {"completedAt": rfc3339(self._clock()), "outputs": outputs, "rows": batch.files.count}
        counts = {"objects": len(batch.inputs), "unreadable": len(batch.unreadable)}
        self._analytics.put(_manifest_key(batch.number), _json({"batch": batch.number, **done, **counts}))

    # -- the state -----------------------------------------------------------------------------------------

    def _begin(self, number: int) -> None:
        """Say that the batch is pending, unless another run has said so, or has done it meanwhile."""
        before = Clause(("batch",), "is", number - 1) if number > 1 else _NONE_YET
        begun = Change({("pending",): True}, clauses=(before, Clause(("pending",), "absent")))
        with suppress(Stale):
            self._table.update(COMPACTION, begun | Change({("batch",): number - 1}))

    def _finish(self, number: int) -> bool:
        """Say that the batch is done; False when another run has said so."""
        clauses = (Clause(("batch",), "is", number - 1), Clause(("pending",), "present"))
        try:
            self._table.update(COMPACTION, Change({("batch",): number}, frozenset({("pending",)}), clauses))
        except Stale:
            return False
        return True


def _manifest_key(number: int) -> str:
    return f"manifests/{number:010}.json"


def _json(manifest: dict[str, Any]) -> bytes:
    return json.dumps(manifest, separators=(",", ":")).encode()
