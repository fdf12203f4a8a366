"""An order as the fields of a deal: its amount to the last digit, and what shoppers type as text."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tessera.integrations.deals import deal_of

ORDER: dict[str, Any] = {
    "amount": 4_900,
    "currency": "EUR",
    "email": "ada@example.org",
    "transactionId": "tx-1",
    "customer": {"customerId": "c-1", "firstName": "Ada", "lastName": "Lovelace", "phone": "+44 20"},
    "products": [{"productId": "p-1", "title": "Kettle", "quantity": 2}, {"productId": "p-2"}],
}


def deal(**order: Any) -> dict[str, Any]:
    return deal_of("ses_1", ORDER | order, stage="NEW", assigned_by=1)


def test_an_order_in_full() -> None:
    assert deal() == {
        "TITLE": "Order tx-1",
        "STAGE_ID": "NEW",
        "ASSIGNED_BY_ID": 1,
        "OPPORTUNITY": "49.00",
        "CURRENCY_ID": "EUR",
        "COMMENTS": "Name: Ada Lovelace<br>E-mail: ada@example.org<br>Phone: +44 20<br>Customer: c-1"
        "<br>2 x Kettle<br>p-2",
        "ORIGINATOR_ID": "tessera",
        "ORIGIN_ID": "ses_1",
    }


def test_an_order_of_which_little_is_known() -> None:
    found = deal_of("ses_1", {"amount": 100, "currency": "JPY"}, stage="C5:NEW", assigned_by=7)
    assert (found["TITLE"], found["OPPORTUNITY"], found["COMMENTS"]) == ("Order ses_1", "100", "")
    assert (found["STAGE_ID"], found["ASSIGNED_BY_ID"]) == ("C5:NEW", 7)


def test_what_a_shopper_types_is_neither_html_nor_bb_code() -> None:
    comments = deal(
        customer={"firstName": '<img src=x onerror="alert(1)">', "lastName": "[url=http://evil]x[/url]"}
    )["COMMENTS"]
    assert "<img" not in comments
    assert "[" not in comments
    assert comments.startswith("Name: &lt;img")


def test_many_products_are_counted_and_a_long_name_is_cut() -> None:
    comments = deal(products=[{"title": "x" * 1_000}] * 60)["COMMENTS"].split("<br>")
    assert comments[-1] == "… and 10 more"
    assert len(comments[-2]) == 200


names = st.sampled_from(["title", "name", "productId", "quantity", "price"])
values = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)


@given(st.dictionaries(names, values))
def test_a_product_of_any_shape_has_a_line(product: dict[str, Any]) -> None:
    assert len(deal(products=[product])["COMMENTS"].split("<br>")) == 5
