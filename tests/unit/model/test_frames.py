"""Frames are read strictly, and what is wrong in one is said at its place."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.model.frames import (
    MAX_DATA,
    MAX_FRAME,
    Ping,
    Publish,
    Refused,
    Since,
    Subscribe,
    compact,
    error,
    pong,
    read,
    refuse,
)

PUBLISH = {"type": "publish", "id": 1, "topic": "app:a", "messageId": "m", "data": None}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


def refusal(frame: Any) -> tuple[str, Any]:
    with pytest.raises(Refused) as refused:
        read(frame if isinstance(frame, str) else json.dumps(frame))
    return refused.value.problem.slug, refused.value.frame_id


@given(JSON)
def test_data_may_be_any_json_and_goes_on_as_it_is(data: Any) -> None:
    request = read(json.dumps({**PUBLISH, "data": data}))
    assert isinstance(request, Publish)
    text = compact(request.data)
    assert json.loads(text) == data
    text.encode()


def test_a_subscription_may_name_a_place() -> None:
    frame = {"type": "subscribe", "id": "a", "topic": "app:a", "since": {"epoch": "e", "offset": 7}}
    assert read(json.dumps(frame)) == Subscribe(id="a", topic="app:a", since=Since(epoch="e", offset=7))
    assert read('{"type": "ping"}') == Ping()


@pytest.mark.parametrize("frame_id", ["", "日本語 🎉", "\x00", "\ud800", "i" * 1_000, 0, -1, 2**70])
def test_an_id_is_any_text_or_integer(frame_id: str | int) -> None:
    assert json.loads(compact(pong(read(json.dumps({"type": "ping", "id": frame_id})).id)))["id"] == frame_id


@pytest.mark.parametrize("text", ['{"type": "$connect", "id": 3}', '{"type": "ping", "id": 3}'])
def test_a_frame_by_a_route_of_the_gateways_own_is_of_no_known_type(text: str) -> None:
    answer = json.loads(refuse(text))
    assert (answer["type"], answer["id"], answer["problem"]["type"]) == ("error", 3, "/problems/invalid")
    assert json.loads(refuse("{"))["problem"]["type"] == "/problems/malformed-json"


@pytest.mark.parametrize("kind", ["ping", "colour"])
def test_the_answer_to_an_endless_id_fits_a_frame(kind: str) -> None:
    sent = f'{{"type": "{kind}", "id": "{"é" * 15_000}\\ud800"}}'  # what is written in two bytes, and asks for six
    with pytest.raises(Refused) as refused:
        read(sent)
    assert len(sent.encode()) < MAX_FRAME
    assert len(compact(error(refused.value.problem, refused.value.frame_id)).encode()) < MAX_FRAME


@pytest.mark.parametrize("text", ["", "{", "NaN", '{"type": "ping", "id": Infinity}', "[" * 20_000])
def test_what_is_no_json_is_malformed(text: str) -> None:
    assert refusal(text) == ("malformed-json", None)


@pytest.mark.parametrize(
    ("frame", "frame_id", "pointer"),
    [
        ([], None, ""),
        ({"id": 5}, 5, "/type"),
        ({"type": "subscribed", "id": 5}, 5, "/type"),
        ({"type": "subscribe", "id": 5}, 5, "/topic"),
        ({"type": "subscribe", "topic": "app:a"}, None, "/id"),
        ({"type": "subscribe", "id": [], "topic": "app:a"}, None, "/id"),
        ({"type": "ping", "id": 1.5}, None, "/id"),
        ({"type": "ping", "id": True}, None, "/id"),
        ({"type": "ping", "id": "i" * 1_001}, None, "/id"),
        ({"type": "subscribe", "id": 1, "topic": "app:a", "presence": 1}, 1, "/presence"),
        ({**PUBLISH, "priority": 11}, 1, "/priority"),
        ({**PUBLISH, "priority": True}, 1, "/priority"),
        ({**PUBLISH, "messageId": ""}, 1, "/messageId"),
        ({**PUBLISH, "colour": "red"}, 1, "/colour"),
        (
            {"type": "subscribe", "id": 1, "topic": "app:a", "since": {"epoch": "e", "offset": -1}},
            1,
            "/since/offset",
        ),
        ({**PUBLISH, "data": "x" * (MAX_DATA - 1)}, 1, "/data"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(frame: Any, frame_id: Any, pointer: str) -> None:
    with pytest.raises(Refused) as refused:
        read(json.dumps(frame))
    assert refused.value.frame_id == frame_id
    assert pointer in {error["pointer"] for error in refused.value.problem.members["errors"]}


def test_a_number_beyond_all_numbers_is_refused() -> None:
    assert refusal(json.dumps(PUBLISH).replace("null", "1e999")) == ("invalid", 1)


def test_the_largest_data_fits_and_a_larger_frame_does_not() -> None:
    assert isinstance(read(json.dumps({**PUBLISH, "data": "x" * (MAX_DATA - 2)})), Publish)
    assert refusal(json.dumps({**PUBLISH, "data": "ä" * MAX_FRAME})) == ("content-too-large", None)
