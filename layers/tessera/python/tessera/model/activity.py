"""What a session does in a shop: its cart, what happens in it, and the products that were looked at."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from tessera.errors import Invalid
from tessera.model.bodies import Body, Reference
from tessera.model.changes import Change, Clause
from tessera.model.clock import GivenMoment, Millis
from tessera.model.life import noted, touched
from tessera.model.parts import Action, CartAction, ShownView
from tessera.model.record import Record
from tessera.model.session import Model
from tessera.model.values import Json, JsonObject, storable

PART = "activity"
"""The part of a session (`Record.parts`) that its actions and views are."""

VIEWS_KEPT = 10
MAX_BYTES = 16 * 1024
"""Of the details of an action and of a view, as JSON: so that ten views fit an item and 100 actions an answer."""


def _small[T](value: T) -> T:
    if len(json.dumps(value, ensure_ascii=False).encode(errors="replace")) > MAX_BYTES:
        raise ValueError(f"at most {MAX_BYTES} bytes of JSON")
    return value


class SetCart(Body):
    """The body of PUT /sessions/{id}/cart."""

    cart_id: Reference


class GivenAction(Body):
    """A cart action as a client tells it; `at` is now unless it says otherwise."""

    action: Action
    details: Annotated[JsonObject, AfterValidator(_small)] | None = None
    at: GivenMoment | None = None


class GivenActions(Body):
    """The body of POST /sessions/{id}/cart/actions, in the order in which they happened."""

    actions: Annotated[list[GivenAction], Field(min_length=1, max_length=100)]


class CartActions(Model):
    """What was recorded."""

    actions: list[CartAction]


class View(Body):
    """A product that was looked at; every other field is the shop's own."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Json]  # pyright: ignore[reportIncompatibleVariableOverride] - pydantic's own way

    product_id: Reference

    @model_validator(mode="after")
    def _storable(self) -> Self:
        storable(self.model_extra)
        _small(self.as_json())
        return self

    def as_json(self) -> dict[str, Any]:
        """The view as it was sent."""
        return self.model_dump(by_alias=True)


class GivenViews(Body):
    """The body of POST /sessions/{id}/views, in the order in which they happened."""

    views: Annotated[list[View], Field(min_length=1, max_length=100)]


class Views(Model):
    """The last views, newest first, each product once."""

    views: list[ShownView]


def cart_named(
    record: Record, cart_id: str, now: Millis, new_id: Callable[[], str]
) -> tuple[Change, list[CartAction]]:
    """Decide the cart of a session. One that is new to it begins with cart_initialized.

    Two name the same new cart at once: one of them comes second, decides anew, finds its cart and records nothing.
    One names the cart that it has while another names a new one: the clause fails, and it is a new cart again.
    """
    if record.session.cart_id == cart_id:
        return touched(record, now) | Change(clauses=(Clause(("cartId",), "is", cart_id),)), []
    action = CartAction(id=new_id(), cart_id=cart_id, action=Action.CART_INITIALIZED, at=now)
    return Change({("cartId",): cart_id}) | touched(record, now) | noted(record, PART), [action]


def acted(
    record: Record, given: Sequence[GivenAction], now: Millis, new_id: Callable[[], str]
) -> tuple[Change, list[CartAction]]:
    """Decide actions on the cart that the session has; raises Invalid when it has none."""
    cart_id = record.session.cart_id
    if cart_id is None:
        raise Invalid.at("/actions", "the session has no cart: name it by PUT /sessions/{id}/cart first")
    actions = [
        CartAction(
            id=new_id(),
            cart_id=cart_id,
            action=each.action,
            details=each.details,
            at=now if each.at is None else each.at,
        )
        for each in given
    ]
    return touched(record, now) | noted(record, PART), actions


def viewed(record: Record, now: Millis) -> Change:
    """Decide what views do to the session itself."""
    return touched(record, now) | noted(record, PART)


def last_views(before: Sequence[Mapping[str, Any]], given: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the last views, newest first; `before` is so too, `given` is in the order in which they happened.

    A product that is looked at again moves to the front with what is told of it now: whoever reloads a page
    ten times has still seen the nine others.
    """
    newest: dict[str, Mapping[str, Any]] = {}
    for view in (*reversed(given), *before):
        newest.setdefault(view["productId"], view)
    return list(newest.values())[:VIEWS_KEPT]
