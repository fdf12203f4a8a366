"""The life of a session: birth, sliding, extension, expiry, tombstone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import Invalid, ServiceOnly, SessionExpired, Stale
from tessera.model.bodies import CreateSession
from tessera.model.changes import Change, Clause
from tessera.model.clock import SECOND
from tessera.model.kinds import DEFAULTS
from tessera.model.life import born, buried, extended, touched, validity
from tessera.model.record import Record, Refresh, ttl
from tessera.model.status import Status
from tessera.stores.keys import core_key
from tessera.stores.memory import MemoryTable
from tessera.stores.table import Put
from tests.support.fakes import START
from tests.support.records import session

HALF_HOUR, HALF_DAY = 1_800 * SECOND, 43_200 * SECOND


def by_browser(**body: Any) -> Record:
    wanted = CreateSession.model_validate(body)
    refresh = Refresh("hash", "family")
    return born("ses_x", wanted, kinds=DEFAULTS, by_service=False, refresh=refresh, now=START)


def written(record: Record, change: Change) -> Record:
    """Return the record as the store has it after the change, or raise Stale."""
    table = MemoryTable()
    table.transact([Put({**core_key(record.id)._asdict(), **record.attributes()})])
    return Record.of(table.update(core_key(record.id), change))


def test_a_session_is_born_pending_and_expires_when_idle() -> None:
    made = session().session
    assert (made.kind, made.status, made.version) == ("auth", Status.PENDING, 1)
    assert made.created_at == made.updated_at == made.last_activity_at == START
    assert made.expires_at == START + HALF_HOUR
    assert made.absolute_expires_at == START + HALF_DAY


def test_its_idle_timeout_may_be_its_own() -> None:
    assert session(ttlSeconds=1).session.expires_at == START + SECOND
    assert session(ttlSeconds=43_200).session.expires_at == START + HALF_DAY


def test_but_not_longer_than_the_absolute_one() -> None:
    with pytest.raises(Invalid) as refused:
        session(ttlSeconds=43_201)
    assert refused.value.members["errors"][0]["pointer"] == "/ttlSeconds"


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        session(kind="tour")
    assert refused.value.members["errors"][0]["pointer"] == "/kind"


def test_a_browser_names_no_customer_a_service_may() -> None:
    with pytest.raises(ServiceOnly):
        by_browser(customer={"customerId": "c-1"})
    assert by_browser(customer={"firstName": "Ada"}).session.customer_id is None
    assert session(customer={"customerId": "c-1"}).session.customer_id == "c-1"


@pytest.mark.parametrize(("kind", "first"), [("checkout", "checkout"), ("form", 1), ("chat", None)])
def test_a_session_begins_where_its_flow_begins(kind: str, first: str | int | None) -> None:
    assert session(kind=kind).session.current_step == first


def test_only_a_service_begins_a_guarded_flow_elsewhere() -> None:
    began = {"kind": "checkout", "currentStep": "upsell-1", "completedSteps": ["checkout", "processing"]}
    assert session(**began).session.current_step == "upsell-1"
    for body in (began, {"kind": "checkout", "completedSteps": ["checkout"]}):
        with pytest.raises(ServiceOnly):
            by_browser(**body)
    assert by_browser(kind="form", currentStep=3).session.current_step == 3


@pytest.mark.parametrize("body", [{"currentStep": 5}, {"currentStep": "1"}, {"completedSteps": [1, 9]}])
def test_a_step_that_the_flow_does_not_have_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        session(kind="form", **body)


def test_a_session_without_a_flow_may_name_its_steps() -> None:
    assert by_browser(currentStep="intro", completedSteps=["hello", 2]).session.completed_steps == ["hello", 2]


def test_a_record_comes_back_from_its_attributes_as_it_was() -> None:
    made = session(
        kind="form",
        email="ada@example.com",
        customer={"customerId": "c-1", "firstName": "Ada", "vip": {"since": 1.5, "tags": [None, True]}},
        products=[{"sku": "x", "note": None}],
        amount=100,
        currency="EUR",
        metadata={"a": {"b": [1, "1", {}]}, "gone": None},
        data={"cart": {"n": 1}},
    )
    assert Record.of(made.attributes()) == made
    assert made.session.metadata == {"a": {"b": [1, "1", {}]}}
    assert made.parts == ("data",)


@given(expires_at=st.integers(1, 10**13), retention=st.integers(0, 10**8))
def test_dynamodb_sweeps_in_whole_seconds_never_before_expiry_and_retention(
    expires_at: int, retention: int
) -> None:
    swept = ttl(expires_at, retention) * SECOND
    assert expires_at + retention * SECOND <= swept < expires_at + (retention + 1) * SECOND


# --- sliding and extending ---------------------------------------------------------------------------


@given(st.integers(0, HALF_HOUR - 1))
def test_activity_slides_the_idle_timeout(later: int) -> None:
    record, now = session(), START + later
    slid = written(record, touched(record, now)).session
    assert slid.expires_at == now + HALF_HOUR
    assert slid.last_activity_at == slid.updated_at == now
    assert slid.absolute_expires_at == record.session.absolute_expires_at


def test_the_absolute_timeout_ends_all_sliding() -> None:
    record, now = session(ttlSeconds=43_200), START + HALF_DAY - SECOND
    slid = written(record, touched(record, now))
    assert slid.session.expires_at == slid.session.absolute_expires_at == START + HALF_DAY
    with pytest.raises(SessionExpired):
        slid.live(START + HALF_DAY)


@given(st.integers(0, 3 * HALF_HOUR))
def test_an_expired_session_takes_no_write(later: int) -> None:
    """Not even one that was decided before the expiry came."""
    record, now = session(), START + HALF_HOUR + later
    for change in (touched(record, now), extended(record, 60, now)):
        with pytest.raises(Stale):
            written(record, change)


def test_nor_does_one_that_was_buried_meanwhile() -> None:
    record = session()
    stone = Record.of({**record.attributes(), "status": "expired"})
    for change in (touched(record, START), extended(record, 60, START)):
        with pytest.raises(Stale):
            written(stone, change)


@given(st.integers(1, 10**9))
def test_an_extension_counts_from_now_and_is_cut_at_the_absolute_timeout(seconds: int) -> None:
    record, now = session(), START + 60 * SECOND
    longer = written(record, extended(record, seconds, now)).session
    assert longer.expires_at == min(now + seconds * SECOND, START + HALF_DAY)


def test_an_extension_without_seconds_is_one_idle_timeout() -> None:
    record, now = session(ttlSeconds=90), START + SECOND
    assert written(record, extended(record, None, now)).session.expires_at == now + 90 * SECOND


def test_an_extension_may_shorten_and_a_later_slide_moves_on_from_there() -> None:
    record = session()
    shorter = written(record, extended(record, 10, START))
    assert shorter.session.expires_at == START + 10 * SECOND
    slid = written(shorter, touched(shorter, START + 5 * SECOND))
    assert slid.session.expires_at == START + 5 * SECOND + HALF_HOUR


@given(st.integers(1_801, 43_200), st.integers(0, HALF_HOUR))
def test_a_slide_never_shortens(seconds: int, later: int) -> None:
    record = session()
    longer = written(record, extended(record, seconds, START))
    now = START + later
    slid = written(longer, touched(longer, now)).session
    assert slid.expires_at == max(longer.session.expires_at, now + HALF_HOUR)


def test_a_slide_that_another_writer_overtook_is_decided_anew() -> None:
    record = session()
    slide = touched(record, START + SECOND)
    with pytest.raises(Stale):
        written(written(record, extended(record, 7_200, START)), slide)


def test_an_extension_has_no_such_condition() -> None:
    record = session()
    longer = written(record, extended(record, 7_200, START))
    assert written(longer, extended(record, 60, START)).session.expires_at == START + 60 * SECOND


@given(st.integers(0, HALF_HOUR - 1), st.integers(1, 10**5))
def test_the_ttl_follows_the_expiry(later: int, seconds: int) -> None:
    record, now = session(), START + later
    for change in (touched(record, now), extended(record, seconds, now)):
        changed = written(record, change)
        assert change.assign.get(("ttl",), record.attributes()["ttl"]) == ttl(
            changed.session.expires_at, record.retention_seconds
        )


def test_nothing_is_assigned_when_there_is_nothing_to_slide() -> None:
    record = session()
    longer = written(record, extended(record, 43_200, START))
    change = touched(longer, START + SECOND)
    assert set(change.assign) == {("updatedAt",), ("lastActivityAt",)}
    assert Clause(("expiresAt",), "after", START + SECOND) in change.clauses


# --- the end -----------------------------------------------------------------------------------------


@given(st.integers(-5, 5))
def test_a_session_is_live_until_its_very_expiry(offset: int) -> None:
    record, now = session(), START + HALF_HOUR + offset
    assert record.session.live(now) == (offset < 0)
    assert validity(record, now).valid == (offset < 0)


def test_validity_tells_what_is_left() -> None:
    found = validity(session(), START + 500)
    assert found.model_dump() == {
        "valid": True,
        "status": "pending",
        "reason": None,
        "expires_at": START + HALF_HOUR,
        "idle_seconds_left": 1_799,
    }


def test_validity_tells_why_a_session_is_over() -> None:
    record = session()
    stone = Record.of(buried(record, START))
    whole = session(ttlSeconds=43_200)
    reasons = [
        validity(record, START + HALF_HOUR).reason,
        validity(whole, START + HALF_DAY).reason,
        validity(stone, START).reason,
    ]
    assert reasons == ["idle-timeout", "absolute-timeout", "ended"]
    over = validity(record, START + HALF_HOUR)
    assert (over.status, over.idle_seconds_left) == (Status.EXPIRED, 0)


def test_a_tombstone_says_that_there_was_a_session_and_nothing_about_whom() -> None:
    record = session(
        kind="form",
        email="ada@example.com",
        customer={"customerId": "c-1", "firstName": "Ada"},
        products=[{"sku": "x"}],
        cartId="cart-1",
        metadata={"a": 1},
        data={"cart": {}},
    )
    now = START + 10 * HALF_DAY
    stone = buried(record, now)
    assert "ada" not in repr(stone).lower()
    assert not {"email", "customer", "customerId", "products", "cartId", "metadata"} & stone.keys()
    assert not {"refreshHash", "refreshFamily"} & stone.keys()
    read = Record.of(stone)
    assert (read.session.status, read.session.version) == (Status.EXPIRED, record.session.version + 1)
    assert read.session.expires_at == record.session.expires_at
    assert read.epoch == record.epoch
    assert read.parts == record.parts, "a clean-up that comes after a crash must know what lies beside it"
    with pytest.raises(SessionExpired):
        read.live(START)
