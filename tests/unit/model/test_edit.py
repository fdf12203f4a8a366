"""PATCH: who may change what, and how it is written."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tessera.errors import IllegalMove, IllegalTransition, Invalid, ServiceOnly, Stale
from tessera.model.bodies import SessionPatch
from tessera.model.changes import Change
from tessera.model.edit import edited
from tessera.model.merge import merge_patch
from tessera.model.record import Record
from tessera.stores.keys import core_key
from tessera.stores.memory import MemoryTable
from tessera.stores.table import Put
from tests.support.fakes import START
from tests.support.records import KINDS, session
from tests.support.strategies import json_objects

EVERY_FIELD: dict[str, Any] = {
    "email": "ada@example.com",
    "currentStep": "intro",
    "completedSteps": ["hello"],
    "customer": {"firstName": "Ada", "vip": True},
    "products": [{"sku": "x", "note": None}],
    "amount": 1_999,
    "currency": "EUR",
    "cartId": "cart-1",
    "metadata": {"a": {"b": 1}},
    "status": "processing",
    "vaultId": "vault-1",
    "transactionId": "tx-1",
    "upsells": {"offers": [{"id": 1}]},
}
SERVICE_ONLY = ("status", "vaultId", "transactionId", "upsells")


def decide(record: Record, patch: dict[str, Any], *, by_service: bool = True) -> Change:
    flow = KINDS[record.session.kind].flow
    wanted = SessionPatch.model_validate(patch)
    return edited(record, wanted, flow=flow, by_service=by_service, data=dict, now=START)


def written(record: Record, *changes: Change) -> Record:
    """Return the record as the store has it after the changes, or raise Stale."""
    table = MemoryTable()
    table.transact([Put({**core_key(record.id)._asdict(), **record.attributes()})])
    for change in changes:
        record = Record.of(table.update(core_key(record.id), change))
    return record


def patched(record: Record, *patches: dict[str, Any], by_service: bool = True) -> Record:
    """Apply patches one after the other, each decided on what is stored then."""
    table = MemoryTable()
    table.transact([Put({**core_key(record.id)._asdict(), **record.attributes()})])
    for patch in patches:
        record = Record.of(table.update(core_key(record.id), decide(record, patch, by_service=by_service)))
    return record


def shown(record: Record) -> dict[str, Any]:
    return record.session.model_dump(by_alias=True, mode="json")


# --- rights ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", EVERY_FIELD)
def test_a_service_changes_every_field_a_browser_what_is_its_own(field: str) -> None:
    record, patch = session(), {field: EVERY_FIELD[field]}
    assert merge_patch(shown(record), patch)[field] == patch[field] or field in ("customer", "upsells")
    changed = shown(patched(record, patch))[field]
    assert merge_patch(changed, patch[field]) == changed
    if field in SERVICE_ONLY:
        with pytest.raises(ServiceOnly) as refused:
            decide(record, patch, by_service=False)
        assert refused.value.members == {"pointer": f"/{field}"}
    else:
        assert shown(patched(record, patch, by_service=False))[field] == changed


@pytest.mark.parametrize("field", [name for name in EVERY_FIELD if name != "status"])
def test_null_removes_and_the_field_can_be_set_again(field: str) -> None:
    empty, patch = session(), {field: EVERY_FIELD[field]}
    once = patched(empty, patch)
    removed = patched(empty, patch, {field: None})
    assert shown(removed)[field] == shown(empty)[field]
    assert shown(patched(empty, patch, {field: None}, patch))[field] == shown(once)[field]


def test_removed_offers_leave_the_decisions_and_can_come_back() -> None:
    offers = {"upsells": {"offers": [{"id": 1}]}}
    for removal in ({"upsells": None}, {"upsells": {"offers": None}}):
        again = patched(session(), offers, removal, offers)
        assert shown(again)["upsells"] == {"accepted": [], "declined": [], "offers": [{"id": 1}]}


def test_a_removed_list_does_not_stand_in_the_way_of_a_huge_patch() -> None:
    """Whole fields are written on the condition that they are what was read: what is shown must be stored."""
    huge = {"metadata": {f"k{i}": i for i in range(200)}, "completedSteps": ["b"]}
    offers = {"upsells": {"offers": [{"id": 2}]}}
    for removal in ({"completedSteps": None}, {"upsells": None}, {"upsells": {"offers": None}}):
        assert shown(patched(session(), removal, huge | offers))["completedSteps"] == ["b"]


@pytest.mark.parametrize(
    "field",
    [
        "id",
        "kind",
        "version",
        "createdAt",
        "updatedAt",
        "lastActivityAt",
        "expiresAt",
        "absoluteExpiresAt",
        "conversationId",
        "epoch",
        "refreshHash",
        "claims",
        "pk",
        "customerId",
        "idleSeconds",
        "unknown",
    ],
)
def test_read_only_and_unknown_fields_are_refused(field: str) -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        SessionPatch.model_validate({field: None})


@pytest.mark.parametrize("value", ["c-2", None])
def test_the_customer_link_is_of_login_alone(value: str | None) -> None:
    patch, linked = {"customer": {"customerId": value}}, session(customer={"customerId": "c-1"})
    with pytest.raises(ServiceOnly) as by_browser:
        decide(linked, patch, by_service=False)
    with pytest.raises(Invalid) as by_service:
        decide(linked, patch)
    assert by_browser.value.members["pointer"] == "/customer/customerId"
    assert by_service.value.members["errors"][0]["pointer"] == "/customer/customerId"


def test_nobody_can_be_linked_by_a_patch_and_nobody_is_no_news() -> None:
    for by_service, error in ((False, ServiceOnly), (True, Invalid)):
        with pytest.raises(error):
            decide(session(), {"customer": {"customerId": "c-1"}}, by_service=by_service)
        change = decide(session(customer={"vip": True}), {"customer": {"customerId": None}}, by_service=by_service)
        assert not change.remove
        assert set(change.assign) == {("updatedAt",), ("lastActivityAt",)}


def test_removing_the_customer_forgets_the_person_and_keeps_the_link() -> None:
    linked = session(customer={"customerId": "c-1", "firstName": "Ada", "vip": True})
    assert shown(patched(linked, {"customer": None}))["customer"] == {
        "customerId": "c-1",
        "firstName": None,
        "lastName": None,
        "phone": None,
    }
    unlinked = session(customer={"firstName": "Ada"})
    assert shown(patched(unlinked, {"customer": None}))["customer"] is None


@pytest.mark.parametrize("field", ["currentStep", "completedSteps"])
def test_a_browser_does_not_move_a_guarded_flow(field: str) -> None:
    patch = {"currentStep": "processing"} if field == "currentStep" else {field: ["checkout"]}
    with pytest.raises(ServiceOnly):
        decide(session(kind="checkout"), patch, by_service=False)
    assert shown(patched(session(kind="checkout"), patch))[field] == patch[field]


# --- moves -------------------------------------------------------------------------------------------


def test_a_form_moves_forward_and_back() -> None:
    forward = {"currentStep": 2, "completedSteps": [1]}
    record = patched(session(kind="form"), forward, {"currentStep": 1}, by_service=False)
    assert (record.session.current_step, record.session.completed_steps) == (1, [1])


def test_a_move_that_the_flow_does_not_have_is_refused_with_what_it_has() -> None:
    with pytest.raises(IllegalMove) as refused:
        decide(session(kind="form"), {"currentStep": 3})
    assert refused.value.members["allowed"] == [2]


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        ({"currentStep": 9}, "/currentStep"),
        ({"currentStep": "2"}, "/currentStep"),
        ({"currentStep": None}, "/currentStep"),
        ({"completedSteps": [9]}, "/completedSteps"),
        ({"completedSteps": [True]}, "/completedSteps"),
    ],
)
def test_a_step_that_is_none_of_the_flow_is_invalid(patch: dict[str, Any], pointer: str) -> None:
    try:
        decide(session(kind="form"), patch)
    except Invalid as invalid:
        assert invalid.members["errors"][0]["pointer"] == pointer  # noqa: PT017 - either refusal will do
    except ValidationError as invalid:
        assert pointer.strip("/") in str(invalid)  # noqa: PT017 - same
    else:
        pytest.fail("it was taken")


def test_of_two_moves_from_the_same_step_one_is_decided_anew() -> None:
    record = session(kind="form", completedSteps=[1])
    move = decide(record, {"currentStep": 2})
    with pytest.raises(Stale):
        written(record, move, move)


def test_a_flow_that_came_to_the_kind_later_can_be_entered() -> None:
    record = session(kind="chat")
    flow = KINDS["form"].flow
    change = edited(
        record, SessionPatch.model_validate({"currentStep": 1}), flow=flow, by_service=True, data=dict, now=START
    )
    assert written(record, change).session.current_step == 1


# --- the status --------------------------------------------------------------------------------------


def test_a_service_takes_the_status_along_the_arrows_only() -> None:
    done = patched(session(), {"status": "processing"}, {"status": "completed"})
    assert done.session.status == "completed"
    with pytest.raises(IllegalTransition) as refused:
        decide(session(), {"status": "completed"})
    assert refused.value.members["allowed"] == ["processing", "expired"]


def test_a_status_cannot_be_removed_or_made_up() -> None:
    with pytest.raises(Invalid):
        decide(session(), {"status": None})
    with pytest.raises(ValidationError):
        decide(session(), {"status": "paid"})


def test_of_two_transitions_from_the_same_status_one_is_decided_anew() -> None:
    record = patched(session(), {"status": "processing"})
    completed, failed = decide(record, {"status": "completed"}), decide(record, {"status": "failed"})
    with pytest.raises(Stale) as stale:
        written(record, completed, failed)
    assert stale.value.found is not None
    assert stale.value.found["status"] == "completed"


def test_an_order_that_is_changed_while_it_is_checked_out_is_decided_anew() -> None:
    record = session()
    begun = Change({("payment",): {"print": "p", "open": None}, ("amount",): 3_998})
    for patch in ({"amount": 1}, {"currency": "VND"}, {"products": []}):
        with pytest.raises(Stale):
            written(record, begun, decide(record, patch, by_service=False))
    paid = written(record, Change({("payment",): {"print": "p"}, ("amount",): 3_998}))
    begun = Change({("payment",): {"print": "p", "open": "warranty"}})
    with pytest.raises(Stale):
        written(paid, begun, decide(paid, {"amount": 1}))
    written(record, begun, decide(record, {"cartId": "c"}, by_service=False))


# --- the whole ---------------------------------------------------------------------------------------


@given(json_objects, st.lists(json_objects, max_size=3))
def test_metadata_becomes_what_the_standard_says(first: dict[str, Any], then: list[dict[str, Any]]) -> None:
    expected: Any = merge_patch(None, first)
    for patch in then:
        expected = merge_patch(expected, patch)
    record = patched(session(), *({"metadata": patch} for patch in (first, *then)))
    assert record.session.metadata == expected


def test_an_empty_patch_is_activity_and_nothing_else() -> None:
    assert set(decide(session(), {}).assign) == {("updatedAt",), ("lastActivityAt",)}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "ada"),
        ("email", "@example.com"),
        ("email", "a b@example.com"),
        ("email", "a" * 250 + "@x.io"),
        ("amount", -1),
        ("amount", 1.5),
        ("amount", "100"),
        ("amount", True),
        ("amount", 10**15),
        ("currency", "eur"),
        ("currency", "EURO"),
        ("currentStep", ""),
        ("currentStep", -1),
        ("currentStep", 1.0),
        ("currentStep", True),
        ("currentStep", ["a"]),
        ("completedSteps", ["x"] * 101),
        ("cartId", ""),
        ("metadata", []),
        ("metadata", "x"),
        ("products", [1]),
        ("customer", "c-1"),
        ("upsells", {"accepted": ["x"]}),
    ],
)
def test_a_value_of_the_wrong_shape_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        SessionPatch.model_validate({field: value})
