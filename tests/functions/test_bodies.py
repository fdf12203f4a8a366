"""What is no JSON, no object, too large or of another media type is refused the same way everywhere."""

import json
from base64 import b64encode
from typing import Any

import pytest

from tessera.http.body import LARGE_BYTES, MAX_BYTES
from tests.functions.operations import ON_A_SESSION, WITH_BODY
from tests.functions.service import Answer, Owner, Service

OPTIONAL = ["sessions/create", "sessions/extend", "tokens/refresh"]
LARGE = dict.fromkeys(("sessions/create", "data/save", "data/patch", "conversations/append"), LARGE_BYTES)


@pytest.fixture
def owner(service: Service) -> Owner:
    return service.create()


@pytest.mark.parametrize("name", WITH_BODY)
@pytest.mark.parametrize(
    "text",
    [
        "{",
        "no JSON",
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": -Infinity}',
        '{"a": 01}',
        "{'a': 1}",
        '{"a": 1,}',
        '{"a": "\t"}',
        '{"a": ' + "[" * 100_000,
        "[" * 50_000 + "]" * 50_000,
        '{"a": ' + "9" * 5_000 + "}",
    ],
    ids=lambda text: text[:12],
)
def test_malformed_json(service: Service, owner: Owner, name: str, text: str) -> None:
    assert _send(service, owner, name, text).problem == (400, "malformed-json")


@pytest.mark.parametrize("name", WITH_BODY)
@pytest.mark.parametrize("raw", [b'{"email": "\xff@x"}', b"\xc3\x28", b'{"a": "\xed\xa0\x80"}', b"{"])
def test_bytes_that_are_no_utf_8_are_malformed(service: Service, owner: Owner, name: str, raw: bytes) -> None:
    answer = _send(service, owner, name, b64encode(raw).decode(), isBase64Encoded=True)
    assert answer.problem == (400, "malformed-json")


def test_broken_base64_is_malformed(service: Service, owner: Owner) -> None:
    answer = _send(service, owner, "sessions/update", "a", isBase64Encoded=True)
    assert answer.problem == (400, "malformed-json")


def test_a_body_in_base64_is_read(service: Service, owner: Owner) -> None:
    """API Gateway encodes whatever it does not know as text: merge patches too."""
    body = b64encode('{"metadata": {"name": "Ä"}}'.encode()).decode()
    answer = _send(service, owner, "sessions/update", body, isBase64Encoded=True)
    assert answer.json["metadata"] == {"name": "Ä"}


@pytest.mark.parametrize("name", WITH_BODY)
@pytest.mark.parametrize("text", ["[]", "null", "1", '"text"', "true", '[{"email": null}]'])
def test_what_is_no_object_is_invalid(service: Service, owner: Owner, name: str, text: str) -> None:
    answer = _send(service, owner, name, text)
    assert answer.problem == (422, "invalid")
    assert answer.json["errors"] == [{"pointer": "", "detail": "must be a JSON object"}]


@pytest.mark.parametrize("name", [name for name in WITH_BODY if name not in OPTIONAL])
def test_a_body_is_needed(service: Service, owner: Owner, name: str) -> None:
    answer = _send(service, owner, name, "")
    assert answer.problem == (422, "invalid")


@pytest.mark.parametrize("name", WITH_BODY)
@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml", "json", "*/*"],
)
def test_another_media_type_is_refused(service: Service, owner: Owner, name: str, media_type: str) -> None:
    """Forms above all: a page anywhere may send one without a preflight."""
    answer = _send(service, owner, name, "{}", {"content-type": media_type})
    assert answer.problem == (415, "unsupported-media-type")


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "application/merge-patch+json",
        "APPLICATION/JSON; charset=UTF-8",
        "application/vnd.shop+json; a=b",
    ],
)
def test_every_media_type_of_json_will_do(service: Service, owner: Owner, media_type: str) -> None:
    answer = _send(service, owner, "sessions/update", '{"amount": 7}', {"content-type": media_type})
    assert answer.json["amount"] == 7


@pytest.mark.parametrize("name", WITH_BODY)
@pytest.mark.parametrize("encoded", [False, True])
def test_a_body_over_the_limit_is_too_large(service: Service, owner: Owner, name: str, *, encoded: bool) -> None:
    limit = LARGE.get(name, MAX_BYTES)
    text = json.dumps({"x": "ä" * (limit // 2)}, ensure_ascii=False)
    body = b64encode(text.encode()).decode() if encoded else text
    answer = _send(service, owner, name, body, isBase64Encoded=encoded)
    assert answer.problem == (413, "content-too-large")
    assert answer.json["limit"] == limit


def test_a_session_that_would_outgrow_its_item_is_too_large(service: Service, owner: Owner) -> None:
    """Many patches in a row, each within the limit of a body."""
    statuses = [
        _send(service, owner, "sessions/update", json.dumps({"metadata": {str(n): ["x" * 60_000]}})).status
        for n in range(6)
    ]
    assert statuses == [200, 200, 200, 200, 413, 413]


@pytest.mark.parametrize("text", ['{"email": "\\ud800@x"}', '{"metadata": {"\\ud800": 1}}'])
def test_a_lone_surrogate_is_invalid(service: Service, owner: Owner, text: str) -> None:
    assert _send(service, owner, "sessions/update", text).problem == (422, "invalid")


def test_what_nests_deeper_than_the_store_is_invalid(service: Service, owner: Owner) -> None:
    text = '{"metadata": ' + '{"a": ' * 25 + "1" + "}" * 26
    assert _send(service, owner, "sessions/update", text).problem == (422, "invalid")


def _send(
    service: Service,
    owner: Owner,
    name: str,
    text: str,
    headers: dict[str, str] | None = None,
    **event: Any,
) -> Answer:
    """Send it as somebody who may do everything but send this."""
    by_service = name == "sessions/login"
    token = service.service_token() if by_service else owner.token
    asked = owner.id if name in ON_A_SESSION else None
    return service.call(name, asked, token=token, text=text, headers=headers, **event)
