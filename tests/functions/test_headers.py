"""What every answer carries, whatever the operation and whether it went well."""

import re

import pytest

from tests.functions.operations import HTTP
from tests.functions.service import Answer, Service, sample
from tests.support.fakes import FailingStore

CACHED = ("tokens/keys", "operations/openapi")
STORELESS = (*CACHED, "insights/query")
"""What is answered without a look at table or bucket; Athena names its own tier."""
BY_SESSIONS = ("activity/collect", "tokens/revoke")
"""What looks at a store for sessions alone."""
TIER = r"L[123];dur=\d+\.\d"


@pytest.mark.parametrize("name", HTTP)
@pytest.mark.parametrize("allowed", [True, False])
def test_nothing_is_stored_but_what_is_public(service: Service, name: str, *, allowed: bool) -> None:
    answer = _call(service, name, allowed=allowed)
    wanted = r"public, max-age=\d+" if name in CACHED else "no-store"
    assert re.fullmatch(wanted, answer.headers["Cache-Control"])


@pytest.mark.parametrize("name", HTTP)
@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("origin", ["https://shop.example", "http://localhost:5173", "http://localhost"])
def test_pages_of_an_allowed_origin_may_read(service: Service, name: str, origin: str, *, allowed: bool) -> None:
    answer = _call(service, name, allowed=allowed, origin=origin)
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "Origin" in answer.headers["Vary"]
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("name", HTTP)
@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "https://evil.example",
        "http://shop.example",
        "https://shop.example:8443",
        "https://shop.example.evil.example",
        "https://a.shop.example",
        "http://localhost:80.evil.example",
        "http://localhost:x",
        "https://localhost:5173",
        "*",
    ],
)
def test_pages_of_other_origins_may_not(service: Service, name: str, origin: str) -> None:
    answer = _call(service, name, allowed=True, origin=origin)
    assert not any(header.startswith("Access-Control") for header in answer.headers)
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("offered", ["abc-123", "A.b:c/d=e+f_g", "x" * 128])
def test_a_well_formed_correlation_id_is_echoed(service: Service, offered: str) -> None:
    answer = service.call("sessions/get", headers={"x-correlation-id": offered})
    assert answer.headers["X-Correlation-Id"] == offered


@pytest.mark.parametrize("offered", ["", "a b", "x" * 129, "a\r\nSet-Cookie: b", "<script>", "ä", "a;b"])
def test_any_other_is_replaced_by_that_of_the_gateway(service: Service, offered: str) -> None:
    answer = service.call("sessions/get", headers={"x-correlation-id": offered})
    assert answer.headers["X-Correlation-Id"] == sample("sessions/get")["requestContext"]["requestId"]


def test_header_names_are_of_any_case(service: Service) -> None:
    owner = service.create()
    answer = service.call("sessions/extend", "me", token=owner.token, headers={"If-Match": '"7"'})
    assert answer.status == 412


def test_server_timing_names_the_tier_that_answered(service: Service) -> None:
    owner = service.create()
    answer = service.call("sessions/get", "me", token=owner.token)
    assert re.fullmatch(r"L2;dur=\d+\.\d", answer.headers["Server-Timing"])
    assert "Server-Timing" not in service.call("tokens/keys").headers


@pytest.mark.parametrize("name", [name for name in HTTP if name not in STORELESS])
@pytest.mark.parametrize("down", [False, True])
def test_every_answer_names_the_tiers_that_it_comes_from(service: Service, name: str, *, down: bool) -> None:
    """Also one that tells of an outage; none of them is degraded, which L1's alone may be."""
    service.table = store = FailingStore(service.table)
    token = service.create().token if name in BY_SESSIONS else service.service_token()
    store.down = down
    answer = service.call(name, token=token)
    assert re.fullmatch(rf"({TIER}, )*{TIER}", answer.headers["Server-Timing"])
    assert (answer.status == 503) == down
    assert "degraded" not in answer.text
    assert not down or int(answer.headers["Retry-After"]) > 0


def test_server_timing_names_l1_where_a_kind_wants_it(service: Service) -> None:
    cached = service.another(KINDS='{"auth": {"cacheSeconds": 2}}')
    owner = cached.create()
    first, second = (cached.call("sessions/get", "me", token=owner.token, query={}) for _ in range(2))
    assert first.headers["Server-Timing"].startswith("L2;")
    assert re.fullmatch(r"L1;dur=\d+\.\d", second.headers["Server-Timing"])
    assert second.json == first.json


@pytest.mark.parametrize("name", HTTP)
@pytest.mark.parametrize("prefix", ["/api", "/shop/api"])
def test_everything_works_under_a_path_prefix(service: Service, name: str, prefix: str) -> None:
    prefixed = service.another(PATH_PREFIX=prefix)
    plain = _call(service, name, allowed=True)
    path = prefix + sample(name)["rawPath"]
    assert _call(prefixed, name, allowed=True, rawPath=path).status == plain.status


@pytest.mark.parametrize("path", ["/api2/sessions/me", "/sessions/me/api", "/nonsense"])
def test_another_path_is_not_found(service: Service, path: str) -> None:
    owner = service.create()
    prefixed = service.another(PATH_PREFIX="/api")
    answer = prefixed.call("sessions/get", token=owner.token, rawPath=path)
    assert answer.problem == (404, "not-found")


def _call(service: Service, name: str, *, allowed: bool, origin: str | None = None, **event: object) -> Answer:
    token = service.service_token() if allowed else None
    headers = {} if origin is None else {"origin": origin}
    return service.call(name, token=token, headers=headers, **event)


def test_a_new_session_is_located_under_the_prefix(service: Service) -> None:
    answer = service.another(PATH_PREFIX="/api").call("sessions/create", rawPath="/api/sessions")
    assert answer.headers["Location"] == f"/api/sessions/{answer.json['session']['id']}"
