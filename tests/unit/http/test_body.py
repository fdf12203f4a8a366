"""Request bodies: UTF-8, strict JSON, an object, of a size."""

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import ContentTooLarge, Invalid, MalformedJson, Problem, UnsupportedMediaType
from tessera.http.body import MAX_BYTES, parse, read
from tests.support.strategies import json_objects

LARGEST = json.dumps({"a": "x" * (MAX_BYTES - 9)})


def encoded(raw: bytes) -> dict[str, Any]:
    return {"body": b64encode(raw).decode(), "isBase64Encoded": True}


@pytest.mark.parametrize("event", [{}, {"body": None}, {"body": ""}, {"body": "", "isBase64Encoded": True}])
def test_a_request_may_have_no_body_whatever_it_calls_itself(event: dict[str, Any]) -> None:
    assert read(event, "text/plain") is None


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/merge-patch+json",
        "application/vnd.x+json;v=1",
    ],
)
def test_every_media_type_of_json_will_do(media_type: str) -> None:
    assert read({"body": "{}"}, media_type) == "{}"
    assert read(encoded("{é}".encode()), media_type) == "{é}"


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "text/x+json",
        "json",
        "application/jsonx",
    ],
)
def test_any_other_is_refused(media_type: str) -> None:
    """Among them those that a page of another origin may send without asking first (CORS "simple" requests)."""
    with pytest.raises(UnsupportedMediaType):
        read({"body": "{}"}, media_type)


def test_it_may_have_256_kb() -> None:
    assert len(LARGEST) == MAX_BYTES
    assert read({"body": LARGEST}, "") == LARGEST
    assert read(encoded(LARGEST.encode()), "") == LARGEST


@pytest.mark.parametrize(
    "event",
    [
        pytest.param({"body": LARGEST + " "}, id="one byte more"),
        pytest.param(encoded(LARGEST.encode() + b" "), id="one byte more in base64"),
        pytest.param({"body": "é" * (MAX_BYTES // 2 + 1)}, id="more bytes than characters"),
        pytest.param({"body": "x" * 10 * MAX_BYTES, "isBase64Encoded": True}, id="far more"),
    ],
)
def test_but_no_more(event: dict[str, Any]) -> None:
    with pytest.raises(ContentTooLarge) as refused:
        read(event, "")
    assert refused.value.members == {"limit": MAX_BYTES}


@pytest.mark.parametrize("raw", [b"\xff", b"\xc3", b"\xed\xa0\x80"])
def test_what_is_not_utf_8_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedJson):
        read(encoded(raw), "")


@pytest.mark.parametrize("body", ["é", "a"])
def test_what_is_not_base64_is_refused(body: str) -> None:
    with pytest.raises(MalformedJson):
        read({"body": body, "isBase64Encoded": True}, "")


@given(json_objects)
def test_an_object_is_parsed_as_it_was_written(value: dict[str, Any]) -> None:
    assert parse(json.dumps(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}{}",
        "{'a': 1}",
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": -Infinity}',
        "{a: 1}",
        '{"a": 01}',
        "\ufeff{}",
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 5_000,
    ],
)
def test_what_is_not_strict_json_is_malformed(text: str) -> None:
    with pytest.raises(MalformedJson):
        parse(text)


@pytest.mark.parametrize("text", ["[]", '"x"', "1", "null", "true"])
def test_what_is_no_object_is_invalid(text: str) -> None:
    with pytest.raises(Invalid):
        parse(text)


@given(st.text(max_size=40), st.booleans(), st.text(max_size=20))
def test_whatever_comes_is_read_or_refused_in_order(text: str, base64: bool, media_type: str) -> None:
    try:
        found = read({"body": text, "isBase64Encoded": base64}, media_type)
        assert found is None or parse(found) is not None
    except Problem as problem:
        assert problem.status in (400, 415, 422)  # noqa: PT017 - either way is right
