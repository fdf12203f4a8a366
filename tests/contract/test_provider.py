"""What every payment provider must keep, whoever asks and however often: proved here on the sandbox.

A company's own provider passes the same: give `provider` another factory, and means that its test system knows.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tessera.errors import Stale, Unavailable
from tessera.model.ids import new_session_id
from tessera.model.payments import Charge, Intent, Means
from tessera.payments.provider import PaymentProvider
from tessera.payments.sandbox import Sandbox
from tessera.stores.table import Table
from tests.support.fakes import START, FakeClock

GOOD, BAD = Means(token="tok_visa"), Means(token="tok_declined")


@pytest.fixture
def provider(table: Table, clock: FakeClock) -> PaymentProvider:
    return Sandbox(table, clock)


@pytest.fixture
def intent() -> Intent:
    return Intent(new_session_id(), None, 3998, "EUR", "processing", START)


def test_a_charge_is_paid_and_can_be_found(provider: PaymentProvider, intent: Intent) -> None:
    assert provider.find(intent.key) is None
    charge = provider.charge(intent, GOOD)
    assert charge.paid
    assert charge.transaction_id
    assert provider.find(intent.key) == charge


def test_one_that_is_declined_says_why_and_stays_so(provider: PaymentProvider, intent: Intent) -> None:
    charge = provider.charge(intent, BAD)
    assert (charge.paid, bool(charge.reason), charge.vault_id) == (False, True, None)
    assert provider.find(intent.key) == provider.charge(intent, GOOD) == charge


def test_one_key_is_one_charge_however_many_ask_at_once(provider: PaymentProvider, intent: Intent) -> None:
    with ThreadPoolExecutor(8) as pool:
        charges = list(pool.map(lambda _: provider.charge(intent, GOOD), range(8)))
    assert charges == [provider.find(intent.key)] * 8


def test_other_keys_are_other_charges(provider: PaymentProvider, intent: Intent) -> None:
    """The checkout and each offer of a session, and the same of another session."""
    intents = [
        intent,
        replace(intent, offer_id="a"),
        replace(intent, offer_id="b"),
        replace(intent, offer_id="checkout"),
        replace(intent, session_id=new_session_id()),
    ]
    transactions = [provider.charge(each, GOOD).transaction_id for each in intents]
    assert len({each.key for each in intents}) == len({*transactions}) == len(intents)


def test_what_a_charge_leaves_in_the_vault_can_be_charged(provider: PaymentProvider, intent: Intent) -> None:
    vault = provider.charge(intent, GOOD).vault_id
    assert vault
    assert provider.charge(replace(intent, offer_id="a"), Means(vault=vault)).paid


def test_a_key_that_comes_with_another_amount_is_refused(provider: PaymentProvider, intent: Intent) -> None:
    provider.charge(intent, GOOD)
    with pytest.raises(Stale):
        provider.charge(replace(intent, amount=1), GOOD)


@pytest.mark.parametrize(("token", "made"), [("tok_timeout", True), ("tok_error", False)])
def test_without_an_answer_it_can_be_asked_what_came_of_it(
    provider: PaymentProvider, intent: Intent, token: str, *, made: bool
) -> None:
    with pytest.raises(Unavailable):
        provider.charge(intent, Means(token=token))
    assert (provider.find(intent.key) is not None) == made
    if not made:
        assert provider.charge(intent, Means(token=token)).paid
    assert provider.find(intent.key)


def test_means_are_never_shown() -> None:
    assert "tok_visa" not in repr(GOOD)
    assert "tok_visa" not in repr([Charge(paid=True), GOOD])
