"""Login, rotation with replay, reuse detection, revocation; a state machine presents tokens in any order."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tessera.errors import Invalid, SessionExists, Stale, TokenRevoked
from tessera.model.credentials import (
    GRACE,
    Presented,
    logged_in,
    next_epoch,
    recovered,
    reissued,
    revoked,
    rotated,
)
from tessera.model.record import Record, Refresh
from tessera.stores.keys import core_key
from tessera.stores.memory import MemoryTable
from tessera.stores.sessions import Sessions
from tessera.tokens.refresh import RefreshToken
from tests.support.fakes import START, FakeClock, FakeSecret
from tests.support.records import session

RING = FakeSecret().keys(FakeClock()).ring()
ROOT = RING.sealer(START)
REMEMBERED = 20


class Rotation(RuleBasedStateMachine):
    """One session whose tokens come in any order, at any time, from their owner and from others.

    The model: the token of each generation of the present family, when each was rotated, whether the family lives.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.store = Sessions(MemoryTable(), self.clock, shards=1)
        self.old: list[RefreshToken] = []
        self.epoch = 0

    @initialize()
    def create(self) -> None:
        made = session(kind="chat", now=self.clock())
        token, refresh = RefreshToken.first(ROOT, made.id)
        self.store.create(replace(made, refresh=refresh), {})
        self._new_family(made.id, token)

    def _new_family(self, session_id: str, token: RefreshToken) -> None:
        self.id, self.tokens, self.rotated_at, self.alive = session_id, [token], list[int](), True

    def _present(self, token: RefreshToken) -> RefreshToken:
        """Do what POST /tokens/refresh does."""

        def successor(record: Record) -> RefreshToken:
            family = record.refresh.family if record.refresh else ""
            return RefreshToken.issue(ROOT, token.session_id, family, token.generation + 1)

        def decide(record: Record):  # noqa: ANN202 - a Change
            genuine = record.refresh is not None and token.is_genuine(RING, record.refresh.family)
            presented = Presented(token.generation, token.hash, genuine)
            return rotated(record.live(self.clock()), presented, successor(record).hash, self.clock())

        record = self.store.change(self.id, decide)
        if record.refresh is None:
            raise TokenRevoked
        return successor(record)

    def _refused(self, token: RefreshToken) -> None:
        before = self.store.get(self.id)
        with pytest.raises(TokenRevoked):
            self._present(token)
        assert self.store.get(self.id) == before

    @rule(seconds=st.sampled_from([0, 1, 10, 29, 30, 31, 3_600]), ms=st.sampled_from([0, 0, 1, 999]))
    def time_passes(self, seconds: int, ms: int) -> None:
        self.clock.forward(seconds, ms=ms)

    @precondition(lambda self: self.alive)
    @rule()
    def the_present_token_leads_to_a_new_one(self) -> None:
        successor = self._present(self.tokens[-1])
        assert successor not in self.tokens
        self.tokens.append(successor)
        self.rotated_at.append(self.clock())

    @precondition(lambda self: self.alive and len(self.tokens) > 1)
    @rule(data=st.data())
    def an_earlier_token_leads_to_the_same_successor_or_ends_the_family(self, data: st.DataObject) -> None:
        generation = data.draw(st.integers(0, len(self.tokens) - 2))
        ago = len(self.tokens) - 1 - generation
        now, before = self.clock(), self.store.get(self.id)
        if ago <= REMEMBERED and now - self.rotated_at[generation] <= GRACE:
            assert self._present(self.tokens[generation]) == self.tokens[generation + 1]
            assert self.store.get(self.id).refresh == before.refresh
        else:
            with pytest.raises(TokenRevoked):
                self._present(self.tokens[generation])
            after = self.store.get(self.id)
            assert after.refresh is None
            assert after.epoch > before.epoch
            self.alive = False

    @precondition(lambda self: not self.alive)
    @rule(data=st.data())
    def a_dead_family_stays_dead(self, data: st.DataObject) -> None:
        self._refused(data.draw(st.sampled_from(self.tokens)))

    @rule(generation=st.integers(0, 30), letter=st.sampled_from("AZ"))
    def a_made_up_token_changes_nothing(self, generation: int, letter: str) -> None:
        self._refused(RefreshToken(self.id, generation, letter * 43))

    @precondition(lambda self: self.tokens)
    @rule(data=st.data(), ahead=st.integers(1, 3))
    def a_secret_under_another_generation_changes_nothing(self, data: st.DataObject, ahead: int) -> None:
        token = data.draw(st.sampled_from(self.tokens))
        self._refused(replace(token, generation=token.generation + ahead))

    @precondition(lambda self: self.old)
    @rule(data=st.data())
    def a_token_from_before_the_login_changes_nothing(self, data: st.DataObject) -> None:
        self._refused(data.draw(st.sampled_from(self.old)))

    @rule()
    def login_begins_a_new_family(self) -> None:
        token, refresh = RefreshToken.first(ROOT, self.id)
        before = self.store.get(self.id)
        after = self.store.change(self.id, lambda record: logged_in(record, "c-1", {}, refresh, self.clock()))
        assert after.epoch > before.epoch
        self.old += self.tokens
        self._new_family(self.id, token)

    @rule()
    def revocation_ends_the_family(self) -> None:
        before = self.store.get(self.id)
        after = self.store.change(self.id, lambda record: revoked(record, self.clock()))
        assert after.epoch > before.epoch
        self.alive = False

    @invariant()
    def epochs_only_grow_and_the_store_holds_no_token(self) -> None:
        record = self.store.get(self.id)
        assert record.epoch >= self.epoch
        self.epoch = record.epoch
        stored = repr(record)
        assert all(token.secret not in stored for token in self.tokens)


Rotation.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestRotation = Rotation.TestCase


def presented(generation: int, hash_: str, *, genuine: bool = True) -> Presented:
    return Presented(generation, hash_, genuine)


def test_a_new_root_logs_nobody_out() -> None:
    """At its first moment two tabs may get successors under different roots: both are the present token."""
    store, refresh = (
        Sessions(MemoryTable(), FakeClock(), shards=1),
        Refresh("under-the-old", "family", 5, (START,)),
    )
    made = replace(session(kind="chat"), refresh=refresh)
    store.create(made, {})
    token = presented(5, "under-the-new")
    assert store.change(made.id, lambda record: rotated(record, token, "next", START)).refresh == Refresh(
        "next", "family", 6, (START, START)
    )


@given(st.integers(0, 60))
def test_the_grace_is_thirty_seconds_to_the_millisecond(rotations: int) -> None:
    """However often the session was refreshed before: the memory is bounded, the grace holds."""
    at = tuple(START - 40_000 + 1_000 * i for i in range(min(rotations, REMEMBERED))) or (START,)
    record = replace(session(kind="chat"), refresh=Refresh("now", "family", rotations + 1, (*at, START)))
    within = rotated(record, presented(rotations, "old"), "next", START + GRACE)
    assert ("epoch",) not in within.assign
    late = rotated(record, presented(rotations, "old"), "next", START + GRACE + 1)
    assert late.assign[("epoch",)] > record.epoch


def test_the_memory_of_rotations_is_bounded() -> None:
    refresh = Refresh("now", "family", 500, tuple(range(START, START + 500)))
    record = replace(session(kind="chat"), refresh=refresh)
    change = rotated(record, presented(500, "now"), "next", START + 500)
    assert len(change.assign[("rotatedAt",)]) == REMEMBERED + 1


@given(st.integers(0, 10**14), st.integers(0, 10**14))
def test_an_epoch_grows_even_when_the_clock_goes_back(epoch: int, now: int) -> None:
    assert next_epoch(replace(session(), epoch=epoch), now) > epoch


def test_login_links_the_customer_and_keeps_what_is_known_of_them() -> None:
    store = Sessions(MemoryTable(), FakeClock(), shards=1)
    made = session(customer={"firstName": "Ada", "vip": True})
    store.create(made, {})
    refresh = Refresh("new", "new-family")
    after = store.change(made.id, lambda record: logged_in(record, "c-1", {"role": "buyer"}, refresh, START))
    assert after.session.customer is not None
    assert after.session.customer.model_dump(by_alias=True, exclude_none=True) == {
        "customerId": "c-1",
        "firstName": "Ada",
        "vip": True,
    }
    assert (after.refresh, after.claims) == (refresh, {"role": "buyer"})
    assert [found.id for found in store.of_customer("c-1", 10)[0]] == [made.id]


def test_login_decides_anew_when_another_writer_came_first() -> None:
    """Else what that writer said of the customer would be lost."""
    table = MemoryTable()
    store = Sessions(table, FakeClock(), shards=1)
    made = session()
    store.create(made, {})
    login = logged_in(made, "c-1", {}, Refresh("new", "family"), START)
    store.change(made.id, lambda record: reissued(record, Refresh("x", "y"), START))
    with pytest.raises(Stale):
        table.update(core_key(made.id), login)


def test_claims_are_small() -> None:
    with pytest.raises(Invalid) as refused:
        logged_in(session(), "c-1", {"a": "x" * 1_024}, Refresh("h", "f"), START)
    assert refused.value.members["errors"][0]["pointer"] == "/claims"


def test_a_creation_that_was_answered_into_the_void_is_taken_up_with_new_credentials() -> None:
    found, refresh = session(), Refresh("new", "family")
    change = recovered(found, found, refresh, START + 1)
    assert change.assign[("refreshHash",)] == "new"
    assert change.assign[("epoch",)] > found.epoch


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(session(kind="chat"), id="another kind"),
        pytest.param(
            replace(session(), session=session().session.model_copy(update={"version": 2})), id="used since"
        ),
        pytest.param(session(now=START - 10**9), id="expired"),
    ],
)
def test_but_no_other_session_is(found: Record) -> None:
    with pytest.raises(SessionExists):
        recovered(found, session(), Refresh("new", "family"), START)


def test_a_rotation_that_the_expiry_overtakes_is_not_written() -> None:
    clock, table = FakeClock(), MemoryTable()
    made = session()
    Sessions(table, clock, shards=1).create(made, {})
    rotation = rotated(made, presented(0, "hash-0"), "next", clock.forward(1_800))
    with pytest.raises(Stale):
        table.update(core_key(made.id), rotation)
