"""The things of a shop that Shopify's events are about, as far as they are kept: see `tessera.model.pixels`."""

import re
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, PlainSerializer, SerializationInfo

from tessera.model.bodies import Reference
from tessera.model.session import Model
from tessera.model.values import Text, storable

_PUBLIC = {"blogs", "collections", "pages", "policies", "products"}
"""Where a shop shows the same to everybody; elsewhere (checkouts, orders, accounts) a path may open something."""

_PERSONAL = re.compile(r"@|(\d[ ./()+-]*){7}")
"""What is or could be an e-mail address or a number that leads to a person."""

_LOCALE = re.compile(r"[a-z]{2}(-[a-z]{2})?", re.IGNORECASE)


class Kept(Model):
    """A part of an event; what is not a field of it is not kept."""

    model_config = ConfigDict(extra="ignore", validate_by_name=False)


def _pseudonymous(value: str, info: SerializationInfo[Callable[[str], str]]) -> str:
    return info.context(value)


def _public_path(path: str) -> str:
    parts = [part for part in path.partition("?")[0].split("/") if part]
    locale = parts[:1] if parts and _LOCALE.fullmatch(parts[0]) else []
    rest = parts[len(locale) :]
    return "/" + "/".join(locale + (rest if rest and rest[0] in _PUBLIC else rest[:1]))


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:  # not an address: a referrer is whatever a page before says
        return ""


def _impersonal(words: str) -> str:
    return "" if _PERSONAL.search(words) else words


Secret = Annotated[Text, PlainSerializer(_pseudonymous, return_type=str)]
"""A text that is kept as a pseudonym."""

Count = Annotated[int, Field(strict=True, ge=0, lt=10**9)]
CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class Money(Kept):
    """An amount as Shopify has it: a decimal number of a currency."""

    amount: Annotated[float, Field(strict=True, ge=0, le=1e12, allow_inf_nan=False)]
    currency_code: CurrencyCode


class Cost(Kept):
    """What something costs in all."""

    total_amount: Money | None = None


class Product(Kept):
    """A product of the shop's catalogue."""

    id: Reference | None = None
    title: Text | None = None
    type: Text | None = None
    vendor: Text | None = None


class ProductVariant(Kept):
    """A variant of a product."""

    id: Reference | None
    price: Money | None = None
    product: Product | None = None
    sku: Text | None = None
    title: Text | None = None


Variants = Annotated[list[ProductVariant], Field(max_length=500)]


class Collection(Kept):
    """A collection of products."""

    id: Reference
    title: Text | None = None
    product_variants: Variants = Field(default=[])


class SearchResult(Kept):
    """What was looked for. The words are a visitor's own: none are kept that could be an address or a number."""

    query: Annotated[Text, AfterValidator(_impersonal)]
    product_variants: Variants = Field(default=[])


class CartLine(Kept):
    """A line of a cart."""

    merchandise: ProductVariant
    quantity: Count
    cost: Cost | None = None


class Cart(Kept):
    """A cart, without its key, its attributes and notes."""

    id: Annotated[Reference, AfterValidator(lambda cart_id: cart_id.partition("?")[0])] | None = None
    total_quantity: Count | None = None
    cost: Cost | None = None
    lines: list[CartLine] = Field(default=[], max_length=500)


class LineItem(Kept):
    """A line of a checkout, without the properties that a buyer fills in."""

    id: Reference | None = None
    quantity: Count
    variant: ProductVariant | None = None
    final_line_price: Money | None = None


class Order(Kept):
    """The order that a checkout became."""

    id: Annotated[Secret, Field(min_length=1)] | None = None


class ShippingRate(Kept):
    """What delivery costs."""

    price: Money | None = None


class PaymentMethod(Kept):
    """How it is paid, without names and numbers."""

    type: Text | None = None


class Transaction(Kept):
    """A payment."""

    amount: Money | None = None
    gateway: Text | None = None
    payment_method: PaymentMethod | None = None


class Checkout(Kept):
    """A checkout, without whoever checks out."""

    token: Secret | None = None
    currency_code: CurrencyCode | None = None
    total_price: Money | None = None
    subtotal_price: Money | None = None
    total_tax: Money | None = None
    discounts_amount: Money | None = None
    shipping_line: ShippingRate | None = None
    line_items: list[LineItem] = Field(default=[], max_length=500)
    transactions: list[Transaction] = Field(default=[], max_length=100)
    order: Order | None = None


class Alert(Kept):
    """An alert that a buyer saw, without what they had typed."""

    type: Text
    target: Text | None = None


class ExtensionError(Kept):
    """An extension of the checkout that failed; its message and trace may hold anything."""

    type: Text
    app_id: Text | None = None
    app_name: Text | None = None
    app_version: Text | None = None
    api_version: Text | None = None
    extension_name: Text | None = None
    extension_target: Text | None = None


class Location(Kept):
    """Where it happened; of paths that are not the same for everybody, the first part."""

    host: Text | None = None
    pathname: Annotated[Text, AfterValidator(_public_path)] | None = None


class Document(Kept):
    """The page; of the one before, the host."""

    location: Location | None = None
    referrer: Annotated[str, Field(max_length=4_000), AfterValidator(storable), AfterValidator(_host)] | None = (
        None
    )


class PixelContext(Kept):
    """Around an event."""

    document: Document | None = None
