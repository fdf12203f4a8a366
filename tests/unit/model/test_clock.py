"""Times are RFC 3339 in UTC with milliseconds."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tessera.model.clock import rfc3339


@given(st.integers(0, 253_402_300_799_999))
def test_a_moment_is_written_to_the_millisecond(at: int) -> None:
    written = rfc3339(at)
    assert datetime.fromisoformat(written) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)
    assert len(written) == len("2026-11-20T10:00:00.000Z")
