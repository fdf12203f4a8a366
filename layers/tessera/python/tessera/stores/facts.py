"""Facts: what happened, as lines of JSON for analysis. Sessions and customers are in them as pseudonyms alone.

At least once: a fact may be told twice, with the same id; questions count ids, not lines.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from tessera.errors import PoisonedItem
from tessera.model.clock import Millis
from tessera.model.record import Record
from tessera.stores.attributes import AttributeValue, decode_item
from tessera.stores.keys import ACTIONS, CART, CORE, EXPOSURES, STEPS
from tessera.stores.table import Item

if TYPE_CHECKING:
    from tessera.model.pixels import PixelEvent

type Pseudonym = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened at a moment.

    `id` is the same at each telling. `name` is the kind of a session, the action on a cart, the name of an
    event, what happened in a flow, an experiment, of which `variation` is what is seen. `details` is a JSON text.
    """

    fact: Literal["session", "cart", "event", "step", "exposure"]
    id: str
    session: str | None
    customer: str | None
    at_ms: Millis
    name: str
    cart: str | None = None
    variation: str | None = None
    details: str = "{}"

    def line(self) -> str:
        """Return the fact as a line of JSON, with its end."""
        return compact(asdict(self)) + "\n"


class Facts(Protocol):
    """Where facts go."""

    def put(self, facts: Sequence[Fact]) -> None:
        """Tell them all.

        Raises:
            Throttled, Unavailable: some may have been told, not all were; telling them again does no harm.
            Misconfigured: there is no such place, or no right to it.

        """
        ...


class MemoryFacts:
    """Implements `Facts` by keeping their lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def put(self, facts: Sequence[Fact]) -> None:
        """See Facts."""
        self.lines += [fact.line() for fact in facts]


def facts_of(image: dict[str, AttributeValue], pseudonym: Pseudonym) -> list[Fact]:
    """Return what a new item of the table's stream means: a session, actions on a cart, an event of a flow.

    Raises:
        PoisonedItem: it cannot be read.

    """
    try:
        item = decode_item(image)
        sk = item["sk"]
        if sk == CORE:
            return [_session(item, pseudonym)]
        if sk.startswith(STEPS):
            return [_step(item, pseudonym)]
        if sk.startswith(EXPOSURES):
            return [_exposure(item, pseudonym)]
        return list(_actions(item, pseudonym)) if sk.startswith(ACTIONS) and item["type"] == CART else []
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PoisonedItem("a record of the stream") from error


def fact_of_event(
    event: "PixelEvent", details: Mapping[str, Any], sender: str, record: Record | None, pseudonym: Pseudonym
) -> Fact:
    """Return an event that a session or a service sends, with what is kept of it.

    A sender chooses the ids of its events; those of another sender are others.
    """
    session = record.session if record else None
    cart: Any = details.get("data", {}).get("cart") or {}
    return Fact(
        fact="event",
        id=pseudonym(f"{sender}/{event.id}"),
        session=pseudonym(session.id) if session else None,
        customer=_customer(session.customer_id, pseudonym) if session else None,
        at_ms=event.timestamp,
        name=event.name,
        cart=cart_of(cart.get("id") or (session and session.cart_id)),
        details=compact(details),
    )


def _session(item: Item, pseudonym: Pseudonym) -> Fact:
    session = pseudonym(_text(item["id"]))
    details = {name: item[name] for name in ("amount", "currency") if name in item}
    return Fact(
        fact="session",
        id=session,
        session=session,
        customer=_customer(item.get("customerId"), pseudonym),
        at_ms=_whole(item["createdAt"]),
        name=_text(item["kind"]),
        cart=cart_of(item.get("cartId")),
        details=compact(details),
    )


def _actions(item: Item, pseudonym: Pseudonym) -> Iterator[Fact]:
    session = pseudonym(_text(item["pk"]).removeprefix("SESSION#"))
    customer = _customer(item.get("customer"), pseudonym)
    for action in item["actions"]:
        yield Fact(
            fact="cart",
            id=_text(action["id"]),
            session=session,
            customer=customer,
            at_ms=_whole(action["at"]),
            name=_text(action["action"]),
            cart=cart_of(action["cartId"]),
            details=compact(action.get("details") or {}),
        )


def _step(item: Item, pseudonym: Pseudonym) -> Fact:
    moved = {name: item[name] for name in ("kind", "from", "to") if name in item}
    return Fact(
        fact="step",
        id=_text(item["id"]),
        session=pseudonym(_text(item["pk"]).removeprefix("SESSION#")),
        customer=_customer(item.get("customer"), pseudonym),
        at_ms=_whole(item["at"]),
        name=_text(item["name"]),
        details=compact(moved | item.get("details", {})),
    )


def _exposure(item: Item, pseudonym: Pseudonym) -> Fact:
    """One of a session or of a customer, whichever the experiment is about; the other one is left out."""
    session_id, key = _text(item["pk"]).removeprefix("SESSION#"), _text(item["experiment"])
    by_session = _text(item["unit"]) == "session"
    return Fact(
        fact="exposure",
        id=pseudonym(f"{session_id}/{key}"),
        session=pseudonym(session_id) if by_session else None,
        customer=None if by_session else pseudonym(_text(item["customer"])),
        at_ms=_whole(item["at"]),
        name=key,
        variation=_text(item["variation"]),
    )


def cart_of(cart_id: str | None) -> str | None:
    """Return the id of a cart without what follows its `?`: in Shopify's ids that is the key which opens it."""
    return cart_id if cart_id is None else _text(cart_id).partition("?")[0]


def compact(value: Any) -> str:
    """Return JSON without blanks."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _customer(customer_id: str | None, pseudonym: Pseudonym) -> str | None:
    return pseudonym(_text(customer_id)) if customer_id else None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("not a whole number")
    return value
