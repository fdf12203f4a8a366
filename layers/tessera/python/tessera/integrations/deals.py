"""Orders as deals in Bitrix24."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from tessera.integrations.bitrix24 import ORIGINATOR, Bitrix24
from tessera.model.money import decimal
from tessera.stores.outbox import Claim

_LINES = 50
_LONGEST = 200
_NAMES = ("title", "name", "productId", "id")
"""Where shops have the name of a product, the best first."""


class Deals:
    """Implements `delivery.Crm` on a portal; new deals are at this stage, and of this user."""

    def __init__(self, portal: Bitrix24, *, stage: str, assigned_by: int) -> None:
        self._portal, self._stage, self._assigned_by = portal, stage, assigned_by

    def make(self, claim: Claim) -> str:
        """See Crm."""
        fields = deal_of(claim.session_id, claim.order, stage=self._stage, assigned_by=self._assigned_by)
        return self._portal.add_deal(fields)

    def find(self, session_id: str) -> str | None:
        """See Crm."""
        return self._portal.find_deal(session_id)


def deal_of(session_id: str, order: Mapping[str, Any], *, stage: str, assigned_by: int) -> dict[str, Any]:
    """Return the fields of the deal; `order` is as `model.orders` has it.

    Whatever a shopper may have typed stands in the comments, as text: they show HTML and BB codes.
    """
    return {
        "TITLE": f"Order {order.get('transactionId') or session_id}",
        "STAGE_ID": stage,
        "ASSIGNED_BY_ID": assigned_by,
        "OPPORTUNITY": decimal(order["amount"], order["currency"]),
        "CURRENCY_ID": order["currency"],
        "COMMENTS": "<br>".join(_plain(line) for line in _lines(order)),
        "ORIGINATOR_ID": ORIGINATOR,
        "ORIGIN_ID": session_id,
    }


def _lines(order: Mapping[str, Any]) -> Iterator[str]:
    customer: Mapping[str, Any] = order.get("customer") or {}
    name = " ".join(filter(None, (customer.get("firstName"), customer.get("lastName"))))
    for label, value in (
        ("Name", name),
        ("E-mail", order.get("email")),
        ("Phone", customer.get("phone")),
        ("Customer", customer.get("customerId")),
    ):
        if value:
            yield f"{label}: {value}"
    products: Sequence[Mapping[str, Any]] = order.get("products") or []
    yield from (_product(product) for product in products[:_LINES])
    if len(products) > _LINES:
        yield f"… and {len(products) - _LINES} more"


def _product(product: Mapping[str, Any]) -> str:
    named = next((product[name] for name in _NAMES if isinstance(product.get(name), str | int)), "a product")
    quantity = product.get("quantity")
    return f"{quantity} x {named}" if isinstance(quantity, int) else str(named)


def _plain(line: str) -> str:
    return escape(line[:_LONGEST]).replace("[", "&#91;")
