"""Web Pixel events: what each kind asks for, and that nothing personal is kept of any."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tessera.model.pixels import Events, kept
from tests.support.pixels import EVENTS, PERSONAL, SECRETS, event

CHECKOUT = {name: EVENTS[name] for name in EVENTS if name.startswith(("checkout", "payment"))}


def read(*events: Any) -> Any:
    return Events.model_validate({"events": list(events)}).events


def pseudonym(identifier: str) -> str:
    return f"pseudonym-{len(identifier)}"


def details(sent: dict[str, Any]) -> dict[str, Any]:
    (found,) = read(sent)
    return kept(found, pseudonym)


@pytest.mark.parametrize("name", EVENTS)
def test_each_standard_event_is_taken_as_shopify_sends_it(name: str) -> None:
    (found,) = read(event(name))
    assert found.name == name


@pytest.mark.parametrize("name", EVENTS)
def test_nothing_personal_is_kept_of_it(name: str) -> None:
    text = json.dumps(details(event(name)))
    assert [word for word in (*PERSONAL, *SECRETS) if word in text] == []


@pytest.mark.parametrize("name", [name for name in EVENTS if EVENTS[name]])
def test_without_its_data_it_is_none(name: str) -> None:
    with pytest.raises(ValidationError):
        read(event(name, data={}))


@pytest.mark.parametrize("name", CHECKOUT)
def test_the_money_of_a_checkout_and_what_was_bought_are_kept(name: str) -> None:
    found = details(event(name))["data"]["checkout"]
    assert found["totalPrice"] == {"amount": 42.5, "currencyCode": "EUR"}
    assert found["lineItems"][0]["variant"]["id"] == "variant-1"
    assert found["token"] == pseudonym("checkout-token")


def test_a_cart_line_is_kept_with_its_product() -> None:
    line = details(event("product_added_to_cart"))["data"]["cartLine"]
    assert line["quantity"] == 2
    assert line["merchandise"]["product"] == {
        "id": "product-1",
        "title": "Shirt",
        "type": "Clothes",
        "vendor": "Acme",
    }


def test_a_cart_is_kept_without_the_key_that_opens_it() -> None:
    assert details(event("cart_viewed"))["data"]["cart"]["id"] == "gid://shopify/Cart/cart-1"


@pytest.mark.parametrize("name", ["cart_viewed", "product_added_to_cart", "product_removed_from_cart"])
def test_what_shopify_does_not_know_may_be_null(name: str) -> None:
    (part,) = EVENTS[name]
    assert details(event(name, data={part: None}))["data"] == {}


@pytest.mark.parametrize(
    ("path", "public"),
    [
        ("/", "/"),
        ("/products/shirt", "/products/shirt"),
        ("/en-gb/collections/new/products/shirt", "/en-gb/collections/new/products/shirt"),
        ("/checkouts/cn/Z2NwLWV1/information", "/checkouts"),
        ("/de/checkouts/cn/Z2NwLWV1", "/de/checkouts"),
        ("/account/activate/7/0f5c", "/account"),
        ("/12345/orders/0f5c/authenticate", "/12345"),
        ("/pages/about?email=ada@example.com", "/pages/about"),
    ],
)
def test_of_a_page_the_path_is_kept_where_all_see_the_same(path: str, public: str) -> None:
    sent = event("page_viewed", context={"document": {"location": {"host": "shop.example", "pathname": path}}})
    assert details(sent)["page"] == {"host": "shop.example", "pathname": public}


@pytest.mark.parametrize(
    ("referrer", "host"),
    [("https://search.example/?q=ada", "search.example"), ("", ""), ("http://[", ""), ("no address", "")],
)
def test_of_the_page_before_the_host_is_kept(referrer: str, host: str) -> None:
    sent = event("page_viewed", context={"document": {"referrer": referrer}})
    assert details(sent)["page"] == {"referrer": host}


@pytest.mark.parametrize(
    ("words", "stays"),
    [("red shirt 42", True), ("ada@example.com", False), ("+44 20 7946 0000", False), ("2000 piece puzzle", True)],
)
def test_of_a_search_the_words_are_kept_unless_they_may_lead_to_somebody(words: str, *, stays: bool) -> None:
    sent = event("search_submitted", data={"searchResult": {"query": words, "productVariants": []}})
    assert details(sent)["data"]["searchResult"]["query"] == (words if stays else "")


@pytest.mark.parametrize("missing", ["id", "name", "timestamp"])
def test_what_every_event_needs(missing: str) -> None:
    sent = event("page_viewed")
    del sent[missing]
    with pytest.raises(ValidationError):
        read(sent)


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"id": 7},
        {"name": "cart_burnt"},
        {"name": "clicked", "type": "dom"},
        {"type": "custom"},
        {"timestamp": "yesterday"},
        {"timestamp": 1_795_169_000_000},
        {"seq": "1"},
        {"seq": -1},
        {"clientId": 7},
        {"context": "page"},
        {"data": None},
    ],
    ids=repr,
)
def test_what_no_event_may_say(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(event("page_viewed") | wrong)


@pytest.mark.parametrize("amount", ["19.99", True, None, -1, 1e300, float("nan"), float("inf"), {}])
@pytest.mark.parametrize("name", ["product_viewed", "collection_viewed", "search_submitted"])
def test_an_amount_is_a_number_that_a_shop_could_ask_for(name: str, amount: Any) -> None:
    variant = {"id": "variant-1", "price": {"amount": amount, "currencyCode": "EUR"}}
    data: dict[str, Any] = {
        "product_viewed": {"productVariant": variant},
        "collection_viewed": {"collection": {"id": "collection-1", "productVariants": [variant]}},
        "search_submitted": {"searchResult": {"query": "", "productVariants": [variant]}},
    }[name]
    with pytest.raises(ValidationError):
        read(event(name, data=data))


@pytest.mark.parametrize("currency", ["eur", "EURO", "", 978, None])
def test_a_currency_is_of_iso_4217(currency: Any) -> None:
    variant = {"id": "variant-1", "price": {"amount": 1, "currencyCode": currency}}
    with pytest.raises(ValidationError):
        read(event("product_viewed", data={"productVariant": variant}))


@given(st.dictionaries(st.text(min_size=1), st.text() | st.integers(), max_size=5))
def test_further_fields_pass_and_go_no_further(extra: dict[str, Any]) -> None:
    sent = event("product_viewed", data={"productVariant": {"id": "variant-1"}})
    known = {"id", "price", "product", "sku", "title", "productVariant"}
    extra = {name: value for name, value in extra.items() if name not in known}
    more = event("product_viewed", data={"productVariant": {**extra, "id": "variant-1"}, **extra})
    assert details(more) == details(sent)
