"""The status machine: pending → processing → completed | failed; any live one → expired."""

from itertools import product

import pytest

from tessera.errors import IllegalTransition
from tessera.model.status import TRANSITIONS, Status, check_transition

LEGAL = {
    ("pending", "processing"),
    ("processing", "completed"),
    ("processing", "failed"),
    ("pending", "expired"),
    ("processing", "expired"),
    ("completed", "expired"),
    ("failed", "expired"),
}
PAIRS = list(product(Status, Status))


@pytest.mark.parametrize(("current", "wanted"), [p for p in PAIRS if p in LEGAL or p[0] == p[1]])
def test_a_status_takes_the_arrows_of_the_contract_and_may_stay(current: Status, wanted: Status) -> None:
    check_transition(current, wanted)


@pytest.mark.parametrize(("current", "wanted"), [p for p in PAIRS if p not in LEGAL and p[0] != p[1]])
def test_every_other_pair_is_refused_and_told_what_is_allowed(current: Status, wanted: Status) -> None:
    with pytest.raises(IllegalTransition) as refused:
        check_transition(current, wanted)
    assert refused.value.status == 409
    assert refused.value.members == {"allowed": list(TRANSITIONS[current])}
    assert {(current, status) for status in refused.value.members["allowed"]} <= LEGAL


def test_nothing_leaves_expired() -> None:
    assert TRANSITIONS[Status.EXPIRED] == ()
