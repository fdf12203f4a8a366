"""Money: whole minor units of a currency inside, decimals where others want them."""

_WHOLE = ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF")
_MINOR_DIGITS = {
    **dict.fromkeys((*_WHOLE, "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
"""The currencies of ISO 4217 whose minor unit is no hundredth."""

_HUNDREDTHS = 2


def decimal(amount: int, currency: str) -> str:
    """Write an amount of minor units as a decimal, e.g. 4900 EUR → 49.00, 4900 JPY → 4900."""
    digits = _MINOR_DIGITS.get(currency, _HUNDREDTHS)
    sign, text = "-" * (amount < 0), str(abs(amount)).rjust(digits + 1, "0")
    return f"{sign}{text[: len(text) - digits]}.{text[len(text) - digits :]}".rstrip(".")
