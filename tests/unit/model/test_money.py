"""Minor units as decimals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.model.money import decimal


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (4_900, "EUR", "49.00"),
        (5, "USD", "0.05"),
        (0, "EUR", "0.00"),
        (4_900, "JPY", "4900"),
        (0, "KRW", "0"),
        (1_234, "KWD", "1.234"),
        (7, "BHD", "0.007"),
        (1, "CLF", "0.0001"),
        (-4_905, "EUR", "-49.05"),
    ],
)
def test_each_currency_has_its_digits(amount: int, currency: str, text: str) -> None:
    assert decimal(amount, currency) == text


@given(st.integers(-(10**15), 10**15), st.sampled_from(["EUR", "JPY", "KWD", "CLF"]))
def test_nothing_is_lost(amount: int, currency: str) -> None:
    """No float has been near it: the digits are those of the amount."""
    text = decimal(amount, currency)
    assert int(text.replace(".", "")) == amount
    assert not text.endswith(".")
