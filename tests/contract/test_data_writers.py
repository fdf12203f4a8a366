"""Two tabs and two devices on one bucket, in any order: no change that was acknowledged is ever lost.

Each device acts on what it has seen, however old that is; a plain object beside says what must have become of it.
"""

from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tessera.errors import EditConflict, PreconditionFailed, Problem
from tessera.http.access import check_if_match
from tessera.model.data import Held, Wanted, merged, patched
from tessera.model.threeway import same
from tessera.stores.bucket import MemoryBucket
from tessera.stores.keys import data_key
from tessera.stores.memory import MemoryTable
from tests.support.drafts import Desk
from tests.support.fakes import FakeClock, InterruptedStore

DEVICES = st.integers(0, 3)
FIELDS = st.sampled_from("abc")
VALUES = st.sampled_from(["", 0, 1, 2, True, [1]])
EMPTY = ("", None)
OBJECTS = st.dictionaries(FIELDS, VALUES, max_size=3)
PATCHES = st.dictionaries(FIELDS, VALUES | st.none(), min_size=1, max_size=3)
MISSING: Any = "no such field"


class Writers(RuleBasedStateMachine):
    """`truth` is what every acknowledged change has made of the bucket, None while there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.table, self.bucket = MemoryTable(), MemoryBucket()
        self.truth: dict[str, Any] | None = None
        self.version = 0
        self.began = 1
        """The version with which the present bucket began: of what was before nothing is known."""
        self.expires: int | None = None
        self.views: list[tuple[dict[str, Any], int]] = [({}, 0)] * 4
        self.past: dict[int, dict[str, Any]] = {}

    @initialize()
    def begin(self) -> None:
        """Two containers; two devices come to each of them."""
        self.containers = [Desk(self.table, self.bucket, self.clock) for _ in range(2)]
        self.session_id = self.containers[0].begin()

    @rule(device=DEVICES)
    def look(self, device: int) -> None:
        held = self._desk(device).load(self.session_id)
        assert (None if held is None else held.data) == self.truth
        if held is not None:
            assert held.version == self.version
            self.views[device] = (dict(held.data), held.version)

    @rule(device=DEVICES, data=OBJECTS, careful=st.booleans())
    def put(self, device: int, data: dict[str, Any], careful: bool) -> None:
        """A careful writer sends If-Match and is refused where anything has changed since."""
        tag = f'"{self.views[device][1]}"' if careful else None
        stale = careful and (self.truth is None or self.version != self.views[device][1])

        def decide(held: Held | None) -> Wanted:
            check_if_match(tag, held and held.version)
            return Wanted(data)

        desk = self._desk(device)
        done = _outcome(lambda: desk.data.change(self.session_id, "form", decide, desk.admit))
        if stale:
            assert isinstance(done, PreconditionFailed)
            assert done.members["version"] == (None if self.truth is None else self.version)
        else:
            self._acknowledged(device, done, data)

    @rule(device=DEVICES, changes=PATCHES)
    def patch(self, device: int, changes: dict[str, Any]) -> None:
        held = self._desk(device).patch(self.session_id, changes)
        self._acknowledged(device, held, _applied(self.truth or {}, changes))

    @rule(device=DEVICES, changes=PATCHES)
    def merge(self, device: int, changes: dict[str, Any]) -> None:
        """A device sends what its user has changed of what it shows."""
        self._merged(device, _outcome(lambda: self._merge(self._desk(device), device, changes)), changes)

    @rule(device=DEVICES, changes=PATCHES, other=DEVICES, others=PATCHES)
    def merge_while_another_writes(
        self, device: int, changes: dict[str, Any], other: int, others: dict[str, Any]
    ) -> None:
        """The other one is written after this one has read, and before it writes."""

        def meanwhile() -> None:
            self.patch(other, others)

        view, before = self.views[device], (self.truth, self.version)
        expected, conflicts = self._expected(device, changes)
        unchanged = not conflicts and same(expected, self.truth)
        slow = self._desk(device).beside(InterruptedStore(self.table, "transact", meanwhile))
        done = _outcome(lambda: self._merge(slow, device, changes, view[1]))
        if unchanged:  # it had nothing to write, so that it comes before the other
            assert isinstance(done, Held)
            assert same(done.data, before[0])
            assert done.version == before[1]
        else:
            self._merged(device, done, changes, view)

    @rule(device=DEVICES)
    def remove(self, device: int) -> None:
        desk = self._desk(device)
        if self.truth is not None:
            desk.save(self.session_id, None)
            self.truth, self.expires = None, None

    @rule(device=DEVICES, seconds=st.sampled_from([0, 10, 100]))
    def keep_for(self, device: int, seconds: int) -> None:
        if self.truth is not None:
            held = self._desk(device).save(self.session_id, self.truth, ttl=seconds)
            self.expires = self.clock() + seconds * 1_000 if seconds else None
            self._acknowledged(device, held, self.truth)

    @rule(seconds=st.sampled_from([1, 10, 100]))
    def time_goes_by(self, seconds: int) -> None:
        self.clock.forward(seconds)
        if self.expires is not None and self.clock() >= self.expires:
            self.truth, self.expires = None, None

    @rule()
    def ttl_sweeps(self) -> None:
        """DynamoDB takes what has expired, some time later."""
        item = self.table.get(data_key(self.session_id, "form"))
        if item and item.get("expiresAt", self.clock() + 1) <= self.clock():
            self.table.delete(data_key(self.session_id, "form"))

    @rule(container=st.integers(0, 1))
    def a_new_container(self, container: int) -> None:
        self.containers[container] = Desk(self.table, self.bucket, self.clock)

    @invariant()
    def everything_acknowledged_is_there(self) -> None:
        if hasattr(self, "session_id"):
            held = Desk(self.table, self.bucket, self.clock).load(self.session_id)
            assert (None if held is None else held.data) == self.truth

    def _desk(self, device: int) -> Desk:
        return self.containers[device % 2]

    def _merge(self, desk: Desk, device: int, changes: dict[str, Any], base: int | None = None) -> Held:
        base = self.views[device][1] if base is None else base

        def decide(held: Held | None) -> Wanted:
            if held is None:
                return Wanted(patched(held, changes))
            return Wanted(merged(held, desk.data.base(self.session_id, "form", held, base), changes))

        held = desk.data.change(self.session_id, "form", decide, desk.admit)
        assert held is not None
        return held

    def _merged(
        self, device: int, done: Any, changes: dict[str, Any], view: tuple[dict[str, Any], int] | None = None
    ) -> None:
        expected, conflicts = self._expected(device, changes, view)
        if conflicts:
            assert isinstance(done, EditConflict)
            assert {conflict["pointer"].removeprefix("/") for conflict in done.members["conflicts"]} == conflicts
        else:
            self._acknowledged(device, done, expected)

    def _expected(
        self, device: int, changes: dict[str, Any], view: tuple[dict[str, Any], int] | None = None
    ) -> tuple[dict[str, Any], set[str]]:
        """Say by the words of the contract what a merge makes of the truth, and which fields conflict."""
        seen, version = view or self.views[device]
        if self.truth is None:
            return _applied({}, changes), set()
        known = version == 0 or version >= self.began
        result, conflicts = dict(self.truth), set[str]()
        for field, value in changes.items():
            mine = MISSING if value is None else value
            base, theirs = seen.get(field, MISSING), self.truth.get(field, MISSING)
            if same(mine, theirs):
                continue
            if not known:
                conflicts.add(field)
            elif same(base, theirs):
                result = _applied(result, {field: value})
            elif not same(base, mine) and not (_empty(base) and _empty(mine)):
                conflicts.add(field)
        return result, conflicts

    def _acknowledged(self, device: int, held: Any, truth: dict[str, Any]) -> None:
        assert isinstance(held, Held)
        assert same(held.data, truth)
        assert held.version >= self.version
        if self.truth is None:
            assert held.version > self.version
            self.began = held.version
        assert self.past.setdefault(held.version, truth) == truth, "a version is of one content, for ever"
        self.truth, self.version = dict(truth), held.version
        self.views[device] = (dict(truth), held.version)


def _outcome(act: Callable[[], Held | None]) -> Held | Problem | None:
    try:
        return act()
    except Problem as problem:
        return problem


def _applied(data: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    changed = data | changes
    return {field: value for field, value in changed.items() if value is not None}


def _empty(value: Any) -> bool:
    return value is MISSING or value in EMPTY


TestWriters = Writers.TestCase
TestWriters.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
