"""Ids: `ses_` and 26 base32 characters of 130 random bits; legacy ids stay valid as aliases."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.model.ids import is_alias, is_session_id, new_session_id

BASE32 = string.ascii_lowercase + "234567"


@given(st.binary(min_size=17, max_size=17))
def test_an_id_spells_the_first_130_random_bits(random: bytes) -> None:
    session_id = new_session_id(lambda count: random[:count])
    assert is_session_id(session_id)
    spelt = "".join(f"{BASE32.index(character):05b}" for character in session_id.removeprefix("ses_"))
    assert spelt == "".join(f"{byte:08b}" for byte in random)[:130]


def test_ids_do_not_repeat() -> None:
    assert len({new_session_id() for _ in range(1_000)}) == 1_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ses_",
        "ses_" + "a" * 25,
        "ses_" + "a" * 27,
        "SES_" + "a" * 26,
        "ses_" + "A" * 26,
        "ses_" + "a" * 25 + "1",
        "ses_" + "a" * 26 + "\n",
        " ses_" + "a" * 26,
        "ses-" + "a" * 26,
    ],
)
def test_what_is_not_exactly_of_that_shape_is_no_id(text: str) -> None:
    assert not is_session_id(text)


@pytest.mark.parametrize("legacy", ["42", "chat-7f", "sess:abc/def", "x" * 200, "ses_short", "me"])
def test_an_id_of_an_older_system_may_be_an_alias(legacy: str) -> None:
    assert is_alias(legacy)


@pytest.mark.parametrize("text", ["", "with space", "ümlaut", "x" * 201, "line\n", "tab\t", "ses_" + "a" * 26])
def test_what_is_not_printable_or_is_one_of_our_own_is_no_alias(text: str) -> None:
    assert not is_alias(text)
