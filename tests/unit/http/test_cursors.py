"""Cursors: opaque, and refused when they are not ours."""

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import Invalid
from tessera.http import cursors
from tessera.model.ids import new_session_id


@given(st.integers(0, 10**15 - 1))
def test_a_place_comes_back_from_its_cursor(at: int) -> None:
    place = (at, new_session_id())
    cursor = cursors.write(place)
    assert cursor is not None
    assert cursors.read(cursor) == place
    assert cursor.isascii()
    assert len(cursor) <= 200


def test_no_cursor_is_the_beginning_and_the_end() -> None:
    assert cursors.read(None) is None
    assert cursors.write(None) is None


@pytest.mark.parametrize(
    "content", [b"", b"1", b"1 ", b" x", b"-1 x", b"x y", b"1 a b", b"1" * 16 + b" x", b"\xff"]
)
def test_what_says_something_else_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        cursors.read(urlsafe_b64encode(content).decode())
    assert refused.value.members["errors"][0]["pointer"] == "query/cursor"


@given(st.text(max_size=40))
def test_whatever_comes_is_refused_in_order(text: str) -> None:
    with pytest.raises(Invalid):
        cursors.read(text)
