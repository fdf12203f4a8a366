"""Which changes complete an order, and what is told of it."""

from dataclasses import replace
from typing import Any

import pytest

from tessera.model.changes import Change
from tessera.model.orders import completed_order
from tessera.model.record import Record
from tessera.model.status import Status
from tests.support.records import session

COMPLETES = Change({("status",): "completed"})
ORDER = {"amount": 4_900, "currency": "EUR", "products": [{"productId": "kettle"}]}


def processing(**body: Any) -> Record:
    record = session(kind="checkout", **body)
    return replace(record, session=record.session.model_copy(update={"status": Status.PROCESSING}))


def test_an_order_is_told_as_it_is_completed() -> None:
    change = COMPLETES | Change({("transactionId",): "tx-1", ("amount",): 5_100})
    assert completed_order(processing(**ORDER, email="ada@example.org"), change) == {
        **ORDER,
        "amount": 5_100,
        "email": "ada@example.org",
        "transactionId": "tx-1",
    }


@pytest.mark.parametrize("body", [{}, {"amount": 100}, {"currency": "EUR"}])
def test_what_has_no_amount_and_currency_is_no_order(body: dict[str, Any]) -> None:
    assert completed_order(processing(**body), COMPLETES) is None


def test_an_order_is_completed_once() -> None:
    done = processing(**ORDER)
    done = replace(done, session=done.session.model_copy(update={"status": Status.COMPLETED}))
    assert completed_order(done, COMPLETES) is None


@pytest.mark.parametrize("change", [Change(), Change({("status",): "failed"}), Change({("email",): "completed"})])
def test_no_other_change_completes_an_order(change: Change) -> None:
    assert completed_order(processing(**ORDER), change) is None


def test_nothing_beside_the_order_is_told() -> None:
    record = processing(**ORDER, metadata={"secret": 1}, customer={"firstName": "Ada"})
    order = completed_order(record, COMPLETES | Change({("vaultId",): "v-1"}))
    assert order is not None
    assert order.keys() == {"amount", "currency", "products", "customer"}
