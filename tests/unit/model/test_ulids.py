"""ULIDs sort by the time at which they were made."""

import re

from hypothesis import given
from hypothesis import strategies as st

from tessera.model.ulids import Ulids
from tests.support.fakes import START


def test_it_is_the_time_and_random_bits_in_crockfords_base32() -> None:
    """The first ten characters are those of the specification's own example."""
    assert Ulids(lambda: 1_469_918_176_385, bytes)() == "01aryz6s41" + "0" * 16
    assert re.fullmatch(r"[0-7][0-9a-hjkmnp-tv-z]{25}", Ulids(lambda: START)())
    assert Ulids(lambda: 2**48 - 1, lambda n: b"\xff" * n)() == "7" + "z" * 25


@given(st.lists(st.integers(0, 2**48 - 1), min_size=2, max_size=20))
def test_each_sorts_after_the_one_before_whatever_the_clock_does(times: list[int]) -> None:
    moments = iter(times)
    new_ulid = Ulids(lambda: next(moments))
    made = [new_ulid() for _ in times]
    assert made == sorted(set(made))


def test_two_sources_make_different_ones_within_a_millisecond() -> None:
    assert len({Ulids(lambda: START)() for _ in range(100)}) == 100
