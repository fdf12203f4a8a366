"""Origins: who may read, and who may use a cookie."""

import pytest

from local import deploy
from tessera.errors import CrossSiteRequest
from tessera.http.origins import check_cookie_use, cors_headers, is_allowed

ALLOWED = ("https://shop.example", "http://localhost:*", "http://127.0.0.1:*")


@pytest.mark.parametrize(
    "origin",
    ["https://shop.example", "http://localhost", "http://localhost:3000", "http://127.0.0.1:80"],
)
def test_an_origin_on_the_list_is_allowed(origin: str) -> None:
    assert is_allowed(origin, ALLOWED)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "https://shop.example.evil.example",
        "https://evil.example/https://shop.example",
        "https://shop.example:8443",
        "http://shop.example",
        "https://SHOP.example",
        "https://localhost:3000",
        "http://localhost:",
        "http://localhost:x",
        "http://localhost:3000/",
        "http://localhost:80@evil.example:80",
        "http://localhost.evil.example:3000",
        "http://localhost:3000:80",
        "http://localhost:*",
    ],
)
def test_no_other_is(origin: str) -> None:
    assert not is_allowed(origin, ALLOWED)
    assert cors_headers(origin, ALLOWED) == {"Vary": "Origin"}


def test_nobody_is_allowed_by_an_empty_list() -> None:
    assert not is_allowed("https://shop.example", ())
    assert not is_allowed("", ())


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_safe_method_needs_nothing_but_the_cookie(method: str) -> None:
    check_cookie_use(method, {}, ALLOWED)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("header", [None, "", "1"])
@pytest.mark.parametrize("origin", [None, "https://evil.example", "null", "https://shop.example"])
def test_an_unsafe_one_needs_the_header_and_an_allowed_origin(
    method: str, header: str | None, origin: str | None
) -> None:
    sent = {name: value for name, value in (("x-tessera-csrf", header), ("origin", origin)) if value is not None}
    if header and origin == "https://shop.example":
        check_cookie_use(method, sent, ALLOWED)
    else:
        with pytest.raises(CrossSiteRequest):
            check_cookie_use(method, sent, ALLOWED)


def test_an_allowed_page_may_read_the_answer_with_its_cookie() -> None:
    headers = cors_headers("https://shop.example", ALLOWED)
    assert headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Vary"] == "Origin"
    assert {"ETag", "Retry-After", "RateLimit"} <= set(headers["Access-Control-Expose-Headers"].split(", "))


def test_every_answer_varies_by_origin() -> None:
    assert cors_headers(None, ALLOWED) == {"Vary": "Origin"}


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "https://localhost:5173", "http://127.0.0.1:8000", "http://[::1]:80"]
)
def test_on_a_laptop_pages_of_every_loopback_name_may_call(origin: str) -> None:
    allowed = deploy.PARAMETERS["AllowedOrigins"].split(",")
    assert is_allowed(origin, allowed)
    assert not is_allowed(origin.replace("://", "://evil."), allowed)
