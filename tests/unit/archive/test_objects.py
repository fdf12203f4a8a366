"""Archive objects: JSON lines that come back as they went in, and are the same bytes at any time."""

import gzip
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tessera.archive import objects
from tests.support.fakes import START
from tests.support.strategies import json_values, same_json


def message(content: Any, seq: int = 1, at: int = START) -> dict[str, Any]:
    return {"messageId": "m", "role": "user", "content": content, "createdAt": at, "seq": seq}


def test_a_key_names_session_conversation_and_range() -> None:
    key = objects.key("ses_a", "cnv_b", 6, 15)
    assert key == "archive/ses_a/cnv_b/6-15.jsonl.gz"
    assert key.startswith(objects.prefix("ses_a"))


@given(st.lists(st.tuples(json_values, st.integers(0, 253_402_300_799_999)), max_size=6))
def test_messages_come_back_as_they_went_in(said: list[tuple[Any, int]]) -> None:
    """Also with line ends of every script in a text."""
    messages = [message(content, seq, at) for seq, (content, at) in enumerate(said, 1)]
    found = [objects.stored(line) for line in objects.decode(objects.encode(messages))]
    assert same_json({"all": found}, {"all": messages})


def test_a_line_is_a_message_as_it_is_shown() -> None:
    body = objects.encode([message("a\u2028b\x85c\nd"), message({"ä": 1}, 2)])
    assert gzip.decompress(body).decode().count("\n") == 2
    assert objects.decode(body)[1] == message({"ä": 1}, 2) | {"createdAt": "2026-11-20T10:03:20.000Z"}


def test_the_same_messages_are_the_same_bytes() -> None:
    """Whoever writes them, in whichever order their attributes came from the table."""
    one = message("a")
    other = dict(reversed(one.items()))
    assert objects.encode([one]) == objects.encode([other])
    assert objects.decode(objects.encode([])) == []
