"""Standard events of Shopify's Web Pixel API: what is asked of each, and what is kept of it.

The fields of these models are all that is kept, an allow-list: whatever else an event carries (e-mail, phone,
addresses, names, free texts of a form) passes and goes no further. What opens something or leads to a person,
such as the token of a checkout, is kept as a pseudonym.

Shapes: npm @shopify/web-pixels-extension 2.18, types/PixelEvents. What names a thing must be there; the rest may
be missing, and is of its type where it is not: Shopify's versions differ in it, and what is refused is lost.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field

from tessera.model.bodies import Body, Reference
from tessera.model.clock import GivenMoment
from tessera.model.session import Model
from tessera.model.shopify import (
    Alert,
    Cart,
    CartLine,
    Checkout,
    Collection,
    Count,
    ExtensionError,
    Kept,
    PixelContext,
    ProductVariant,
    SearchResult,
    Secret,
)


class NoData(Kept):
    """Of the page, what its context tells is enough."""


class VariantData(Kept):
    """A product variant."""

    product_variant: ProductVariant


class CollectionData(Kept):
    """A collection."""

    collection: Collection


class SearchData(Kept):
    """A search."""

    search_result: SearchResult


class CartLineData(Kept):
    """A line of the cart, null where Shopify does not know it."""

    cart_line: CartLine | None


class CartData(Kept):
    """The cart, null where there is none."""

    cart: Cart | None


class CheckoutData(Kept):
    """A checkout."""

    checkout: Checkout


class AlertData(Kept):
    """An alert."""

    alert: Alert


class ErrorData(Kept):
    """An error."""

    error: ExtensionError


class _Event(Kept):
    """What all events have."""

    id: Reference
    type: Literal["standard"] = "standard"
    client_id: Annotated[Secret, Field(max_length=200)] | None = None
    seq: Count | None = None
    timestamp: GivenMoment
    context: PixelContext | None = None


class PageViewed(_Event):
    """A page was seen."""

    name: Literal["page_viewed"]
    data: NoData = NoData()


class ProductViewed(_Event):
    """A product was looked at."""

    name: Literal["product_viewed"]
    data: VariantData


class CollectionViewed(_Event):
    """A collection was looked at."""

    name: Literal["collection_viewed"]
    data: CollectionData


class SearchSubmitted(_Event):
    """Something was looked for."""

    name: Literal["search_submitted"]
    data: SearchData


class CartChanged(_Event):
    """A line came into the cart or left it."""

    name: Literal["product_added_to_cart", "product_removed_from_cart"]
    data: CartLineData


class CartViewed(_Event):
    """The cart was looked at."""

    name: Literal["cart_viewed"]
    data: CartData


class CheckoutMoved(_Event):
    """A checkout began, went on or was completed."""

    name: Literal[
        "checkout_started",
        "checkout_contact_info_submitted",
        "checkout_address_info_submitted",
        "checkout_shipping_info_submitted",
        "payment_info_submitted",
        "checkout_completed",
    ]
    data: CheckoutData


class AlertDisplayed(_Event):
    """A buyer was told that something is wrong."""

    name: Literal["alert_displayed"]
    data: AlertData


class ExtensionErrored(_Event):
    """An extension of the checkout failed."""

    name: Literal["ui_extension_errored"]
    data: ErrorData


type PixelEvent = Annotated[
    PageViewed
    | ProductViewed
    | CollectionViewed
    | SearchSubmitted
    | CartChanged
    | CartViewed
    | CheckoutMoved
    | AlertDisplayed
    | ExtensionErrored,
    Field(discriminator="name"),
]


class Events(Body):
    """The body of POST /events: all of them are taken, or none."""

    events: Annotated[list[PixelEvent], Field(min_length=1, max_length=100)]


class Accepted(Model):
    """How many events were taken."""

    accepted: int


def kept(event: PixelEvent, pseudonym: Callable[[str], str]) -> dict[str, Any]:
    """Return what is kept of an event beside its name and time, pseudonyms in the place of secrets."""
    whole = event.model_dump(
        mode="json",
        by_alias=True,
        exclude_none=True,
        exclude={"id", "name", "type", "timestamp"},
        context=pseudonym,
    )
    document: dict[str, Any] = whole.pop("context", {}).get("document", {})
    page = document.get("location", {}) | {name: document[name] for name in ("referrer",) if name in document}
    return whole | ({"page": page} if page else {})
