"""The life of a session, operation by operation."""

from typing import Any

import pytest

from tessera.errors import Unavailable
from tessera.model.changes import Change
from tessera.model.ids import is_session_id
from tessera.stores.keys import MARKER
from tessera.stores.memory import MemoryTable
from tessera.stores.table import Item, Key
from tests.functions.service import UNKNOWN, Context, Service
from tests.support.fakes import FakeClock, InterruptedStore

NULLS = ("currentStep", "customer", "products", "amount", "currency", "vaultId", "transactionId")


def test_a_new_session_is_complete_and_owned(service: Service, clock: FakeClock) -> None:
    answer = service.call("sessions/create", body={"email": "ada@example.com", "metadata": {"n": None, "a": 1}})
    session = answer.json["session"]
    assert answer.status == 201
    assert answer.headers["ETag"] == '"1"'
    assert answer.headers["Location"] == f"/sessions/{session['id']}"
    assert is_session_id(session["id"])
    assert session["kind"] == "auth"
    assert session["status"] == "pending"
    assert session["metadata"] == {"a": 1}
    assert [session[name] for name in NULLS] == [None] * len(NULLS)
    assert session["createdAt"] == "2026-11-20T10:03:20.000Z"
    assert session["expiresAt"] == "2026-11-20T10:33:20.000Z"
    assert session["absoluteExpiresAt"] == "2026-11-20T22:03:20.000Z"
    assert answer.json["tokens"]["expiresIn"] == 900
    assert clock() == 1_795_169_000_000


def test_the_cookie_is_as_strict_as_a_cookie_can_be(service: Service) -> None:
    (cookie,) = service.call("sessions/create").cookies
    value, *attributes = cookie.split("; ")
    assert value.startswith("__Host-tessera=")
    assert {*attributes} == {"Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=2592000"}


@pytest.mark.parametrize(
    ("origin", "baked"),
    [(None, True), ("https://shop.example", True), ("https://evil.example", False), ("null", False)],
)
def test_no_foreign_page_can_plant_a_session(service: Service, origin: str | None, *, baked: bool) -> None:
    headers = {"origin": origin or ""}
    assert bool(service.call("sessions/create", headers=headers).cookies) is baked


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"id": UNKNOWN}, "/id"),
        ({"sessionId": UNKNOWN}, "/sessionId"),
        ({"kind": "nonsense"}, "/kind"),
        ({"email": "nobody"}, "/email"),
        ({"amount": 1.5}, "/amount"),
        ({"amount": -1}, "/amount"),
        ({"currency": "euro"}, "/currency"),
        ({"ttlSeconds": 0}, "/ttlSeconds"),
        ({"ttlSeconds": 10**9}, "/ttlSeconds"),
        ({"ttlSeconds": True}, "/ttlSeconds"),
        ({"status": "completed"}, "/status"),
        ({"kind": "form", "currentStep": 9}, "/currentStep"),
        ({"metadata": {"n": 1e300}}, "/metadata"),
        ({"metadata": {"": 1}}, "/metadata"),
        ({"metadata": "text"}, "/metadata"),
        ({"data": {"a/b": {}}}, "/data/a~1b"),
    ],
    ids=repr,
)
def test_a_wrong_field_is_named(service: Service, body: dict[str, Any], pointer: str) -> None:
    answer = service.call("sessions/create", body=body)
    assert answer.problem == (422, "invalid")
    assert answer.json["errors"][0]["pointer"] == pointer
    assert answer.json["errors"][0]["detail"]


def test_a_wrong_name_is_told_from_a_wrong_value(service: Service) -> None:
    """The pointer leads to what was sent, so that a page finds it there."""
    for body, beginning in (({"data": {"a/b": {}}}, "its name: "), ({"data": {"a": []}}, "Input should be")):
        (error,) = service.call("sessions/create", body=body).json["errors"]
        assert error["pointer"] == "/data/" + next(iter(body["data"])).replace("/", "~1")
        assert error["detail"].startswith(beginning)


def test_the_refused_value_is_not_repeated(service: Service) -> None:
    answer = service.call("sessions/create", body={"email": "secret of somebody"})
    assert "secret of somebody" not in answer.text


def test_a_browser_cannot_name_the_customer(service: Service) -> None:
    body = {"customer": {"customerId": "customer-1"}}
    assert service.call("sessions/create", body=body).problem == (403, "service-only")
    begun = {"kind": "checkout", "currentStep": "success"}
    assert service.call("sessions/create", body=begun).problem == (403, "service-only")
    token = service.service_token("sessions:write")
    created = service.call("sessions/create", body=body, token=token)
    assert created.json["session"]["customer"]["customerId"] == "customer-1"


@pytest.mark.parametrize("token", ["forged", "no.token.atall"])
def test_creation_is_public_but_not_for_forged_tokens(service: Service, token: str) -> None:
    assert service.call("sessions/create", token=token).problem == (401, "token-invalid")


def test_a_browser_that_has_a_session_gets_another(service: Service) -> None:
    """Neither its token nor its cookie stands in the way, also when they are dead."""
    owner = service.create()
    assert service.call("sessions/create", token=owner.token).status == 201
    assert service.call("sessions/create", cookie=owner.cookie).status == 201
    assert service.call("sessions/create", cookie="of an old key").status == 201


def test_what_was_created_can_be_read_with_its_data(service: Service) -> None:
    owner = service.create(kind="form", data={"draft": {"text": "Hello", "none": None}})
    answer = service.call("sessions/get", "me", token=owner.token, query={"include": "data"})
    assert answer.status == 200
    assert answer.json == owner.session | {"data": {"draft": {"text": "Hello", "none": None}}}
    plain = service.call("sessions/get", owner.id, token=owner.token, query={})
    assert plain.json == owner.session
    assert plain.headers["ETag"] == '"1"'


def test_reading_slides_nothing(service: Service, clock: FakeClock) -> None:
    owner = service.create()
    clock.forward(60)
    for name in ("sessions/get", "sessions/validate"):
        assert service.call(name, "me", token=owner.token).json["expiresAt"] == owner.session["expiresAt"]
    assert service.call("sessions/list", token=owner.token, query={}).json["sessions"] == [owner.session]


def test_an_unknown_part_is_invalid(service: Service) -> None:
    owner = service.create()
    answer = service.call("sessions/get", "me", token=owner.token, query={"include": "everything"})
    assert answer.problem == (422, "invalid")
    assert answer.json["errors"][0]["pointer"] == "query/include/0"


def test_a_patch_merges_and_slides(service: Service, clock: FakeClock) -> None:
    owner = service.create(kind="form", metadata={"a": 1, "b": {"c": 2}})
    clock.forward(60)
    patch = {"metadata": {"a": None, "b": {"d": 3}}, "currentStep": 2, "email": "ada@example.com"}
    answer = service.call("sessions/update", "me", token=owner.token, body=patch)
    assert answer.status == 200
    assert answer.headers["ETag"] == '"2"'
    assert answer.json["metadata"] == {"b": {"c": 2, "d": 3}}
    assert answer.json["currentStep"] == 2
    assert answer.json["version"] == 2
    assert answer.json["expiresAt"] > owner.session["expiresAt"]
    assert answer.json["absoluteExpiresAt"] == owner.session["absoluteExpiresAt"]
    assert service.call("sessions/get", "me", token=owner.token, query={}).json == answer.json


@pytest.mark.parametrize(
    "field",
    ["id", "kind", "version", "createdAt", "updatedAt", "expiresAt", "conversationId", "epoch", "pk", "nonsense"],
)
def test_a_read_only_field_is_invalid(service: Service, field: str) -> None:
    owner = service.create()
    answer = service.call("sessions/update", "me", token=owner.token, body={field: None})
    assert answer.problem == (422, "invalid")
    assert answer.json["errors"] == [{"pointer": f"/{field}", "detail": "is read-only or unknown"}]


@pytest.mark.parametrize(
    "body",
    [
        {"status": "processing"},
        {"vaultId": "v"},
        {"transactionId": "t"},
        {"upsells": {"offers": []}},
        {"customer": {"customerId": "customer-1"}},
        {"currentStep": "processing"},
    ],
    ids=repr,
)
def test_some_fields_are_for_services(service: Service, body: dict[str, Any]) -> None:
    owner = service.create(kind="checkout")
    answer = service.call("sessions/update", "me", token=owner.token, body=body)
    assert answer.problem == (403, "service-only")
    name = next(iter(body))
    assert answer.json["pointer"].startswith(f"/{name}")


def test_the_status_goes_along_its_arrows_alone(service: Service) -> None:
    owner, token = service.create(), service.service_token("sessions:write")
    refused = service.call("sessions/update", owner.id, token=token, body={"status": "completed"})
    assert refused.problem == (409, "illegal-transition")
    assert refused.json["allowed"] == ["processing", "expired"]
    for status in ("processing", "completed"):
        answer = service.call("sessions/update", owner.id, token=token, body={"status": status})
        assert answer.json["status"] == status


def test_a_form_goes_one_step_forward(service: Service) -> None:
    owner = service.create(kind="form")
    answer = service.call("sessions/update", "me", token=owner.token, body={"currentStep": 3})
    assert answer.problem == (409, "illegal-move")
    assert answer.json["allowed"] == [2]


@pytest.mark.parametrize(
    ("body", "seconds"), [(None, 1800), ({}, 1800), ({"seconds": 60}, 60), ({"seconds": 10**8}, 43_140)]
)
def test_an_extension_is_longer_or_shorter_within_the_absolute_timeout(
    service: Service, clock: FakeClock, body: Any, seconds: int
) -> None:
    owner = service.create()
    clock.forward(60)
    answer = service.call("sessions/extend", "me", token=owner.token, body=body)
    assert answer.status == 200
    left = service.call("sessions/validate", "me", token=owner.token).json["idleSecondsLeft"]
    assert left == seconds


def test_validity_says_why_not(service: Service, clock: FakeClock) -> None:
    owner = service.create(ttlSeconds=60)
    valid = service.call("sessions/validate", "me", token=owner.token)
    assert valid.json == {
        "valid": True,
        "status": "pending",
        "reason": None,
        "expiresAt": owner.session["expiresAt"],
        "idleSecondsLeft": 60,
    }
    clock.forward(60)
    expired = service.call("sessions/validate", "me", token=owner.token)
    assert expired.status == 200
    assert expired.json == valid.json | {
        "valid": False,
        "status": "expired",
        "reason": "idle-timeout",
        "idleSecondsLeft": 0,
    }


def test_the_validity_of_a_cleaned_session_is_still_told(service: Service, clock: FakeClock) -> None:
    owner = service.create(ttlSeconds=60)
    clock.forward(60)
    service.handler("lifecycle/cleanup")({}, Context(300_000))
    answer = service.call("sessions/validate", "me", token=owner.token)
    assert (answer.status, answer.json["valid"], answer.json["reason"]) == (200, False, "idle-timeout")


def test_a_deleted_session_leaves_nothing(service: Service) -> None:
    owner = service.create(data={"draft": {}})
    answer = service.call("sessions/delete", "me", token=owner.token, query={})
    assert (answer.status, answer.text, answer.cookies) == (204, "", [])
    assert [*service.table.query(f"SESSION#{owner.id}")] == []
    token = service.service_token()
    assert service.call("sessions/get", owner.id, token=token).problem == (404, "session-not-found")


def test_an_expired_session_can_be_deleted(service: Service, clock: FakeClock) -> None:
    owner = service.create(ttlSeconds=1)
    clock.forward(1)
    assert service.call("sessions/delete", "me", token=owner.token).status == 204


def test_a_customer_sees_its_devices(service: Service, clock: FakeClock) -> None:
    owners = []
    for _ in range(3):
        owners.append(service.login(service.create(), "customer-1"))
        clock.forward(1)
    service.login(service.create(), "customer-2")
    mine = service.call("sessions/list", token=owners[0].token, query={})
    assert [session["id"] for session in mine.json["sessions"]] == [o.id for o in reversed(owners)]
    assert mine.json["cursor"] is None
    same = service.call("sessions/list", token=owners[0].token, query={"customerId": "customer-1"})
    assert same.json == mine.json


@pytest.mark.parametrize("customer_id", ["customer-2", "unknown"])
def test_a_session_lists_no_other_customer(service: Service, customer_id: str) -> None:
    linked, alone = service.login(service.create(), "customer-1"), service.create()
    for token in (linked.token, alone.token):
        answer = service.call("sessions/list", token=token, query={"customerId": customer_id})
        assert answer.problem == (403, "not-yours")


def test_a_list_goes_on_where_the_cursor_says(service: Service, clock: FakeClock) -> None:
    ids = []
    for _ in range(5):
        ids.append(service.login(service.create(), "customer-1").id)
        clock.forward(1)
    token, seen, cursor = service.service_token("sessions:read"), list[str](), None
    while cursor or not seen:
        query = {"customerId": "customer-1", "limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = service.call("sessions/list", token=token, query=query).json
        assert len(page["sessions"]) <= 2
        seen += [session["id"] for session in page["sessions"]]
        cursor = page["cursor"]
    assert seen == ids[::-1]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({}, "query/customerId"),
        ({"customerId": ""}, "query/customerId"),
        ({"customerId": "c", "limit": "0"}, "query/limit"),
        ({"customerId": "c", "limit": "101"}, "query/limit"),
        ({"customerId": "c", "limit": "ten"}, "query/limit"),
        ({"customerId": "c", "cursor": "nonsense"}, "query/cursor"),
        ({"customerId": "c", "cursor": "ä"}, "query/cursor"),
        ({"customerId": "c", "cursor": "MQ=="}, "query/cursor"),
    ],
    ids=repr,
)
def test_a_wrong_query_is_named(service: Service, query: dict[str, str], pointer: str) -> None:
    answer = service.call("sessions/list", token=service.service_token(), query=query)
    assert answer.problem == (422, "invalid")
    assert answer.json["errors"][0]["pointer"] == pointer


def test_login_links_and_kills_what_is_older(service: Service, clock: FakeClock) -> None:
    owner = service.create(customer={"firstName": "Ada"})
    clock.forward(1)
    answer = service.call(
        "sessions/login",
        owner.id,
        token=service.service_token("sessions:write"),
        body={"customerId": "customer-1", "claims": {"aal": 2}},
    )
    assert answer.status == 200
    assert answer.json["session"]["customer"] == {
        "customerId": "customer-1",
        "firstName": "Ada",
        "lastName": None,
        "phone": None,
    }
    assert answer.cookies
    assert service.call("sessions/get", "me", token=owner.token).problem == (401, "token-revoked")
    assert service.call("sessions/get", "me", cookie=owner.cookie).problem == (401, "token-revoked")
    refreshed = service.call("tokens/refresh", body={"refreshToken": owner.refresh_token})
    assert refreshed.problem == (401, "token-revoked")
    new = answer.json["tokens"]
    assert service.call("sessions/get", "me", token=new["accessToken"], query={}).status == 200
    assert service.call("tokens/refresh", body={"refreshToken": new["refreshToken"]}).status == 200


@pytest.mark.parametrize(
    "body",
    [{}, {"customerId": ""}, {"customerId": None}, {"customerId": "c", "claims": {"x": "y" * 2_000}}, {"x": 1}],
    ids=lambda body: repr(body)[:40],
)
def test_login_needs_a_customer(service: Service, body: Any) -> None:
    owner = service.create()
    answer = service.call("sessions/login", owner.id, token=service.service_token(), body=body)
    assert answer.problem == (422, "invalid")


def test_an_expired_session_logs_nobody_in(service: Service, clock: FakeClock) -> None:
    owner = service.create(ttlSeconds=1)
    clock.forward(1)
    answer = service.call("sessions/login", owner.id, token=service.service_token())
    assert answer.problem == (404, "session-expired")


def test_a_session_of_another_customer_is_refused_at_login(service: Service) -> None:
    """It holds what is theirs: name, address, vault. To log in again as the same customer is fine."""
    owner = service.login(service.create(email="a@example.com"), "customer-1")
    token, before = service.service_token(), service.graph.sessions.find(owner.id)
    body = {"customerId": "customer-2"}
    answer = service.call("sessions/login", owner.id, token=token, body=body)
    assert answer.problem == (409, "linked-to-another")
    assert service.graph.sessions.find(owner.id) == before
    assert service.login(owner, "customer-1").id == owner.id


def test_a_large_field_may_be_replaced_by_another_large_one(service: Service) -> None:
    """What counts is what the session will have, not what it had as well."""
    owner = service.create(products=[{"text": "x" * 180_000}])
    answer = service.call("sessions/update", "me", token=owner.token, body={"products": [{"text": "y" * 170_000}]})
    assert answer.status == 200
    both = {"metadata": {"text": "z" * 170_000}}
    assert service.call("sessions/update", "me", token=owner.token, body=both).problem[0] == 413


def test_a_page_of_large_sessions_fits_into_an_answer(service: Service) -> None:
    customer = {"customer": {"customerId": "customer-1"}}
    token = service.service_token()
    made = []
    for number in range(20):
        body = customer | {"metadata": {"number": number, "text": "x" * 240_000}}
        made.append(service.call("sessions/create", body=body, token=token).json["session"]["id"])
        service.clock.forward(1)
    seen, query, sizes = [], {"customerId": "customer-1"}, []
    while True:
        answer = service.call("sessions/list", token=token, query=query)
        sizes.append(len(answer.text))
        seen += [session["id"] for session in answer.json["sessions"]]
        if answer.json["cursor"] is None:
            break
        query = query | {"cursor": answer.json["cursor"]}
    assert seen == made[::-1]
    assert max(sizes) < 6_000_000


def test_what_is_done_is_answered_as_done(service: Service, clock: FakeClock) -> None:
    """The marker could not be moved: the clean-up comes later, and the change stands."""

    class Unmoving(MemoryTable):
        def update(self, key: Key, change: Change) -> Item:
            if key.sk == MARKER:
                raise Unavailable
            return super().update(key, change)

    service.table = Unmoving()
    owner = service.create()
    answer = service.call("sessions/extend", "me", token=owner.token, body={"seconds": 5})
    assert answer.status == 200
    clock.forward(6)
    assert service.call("sessions/get", "me", token=owner.token).problem == (404, "session-expired")


@pytest.mark.parametrize(("query", "verb"), [({}, "delete"), ({"purge": "true"}, "transact")], ids=repr)
def test_a_deletion_under_if_match_loses_to_another_writer(
    service: Service, query: dict[str, str], verb: str
) -> None:
    """The version is decided where the session ends, not where it was read."""
    owner = service.create()
    table = InterruptedStore(
        service.table, verb, lambda: service.call("sessions/update", "me", token=owner.token, body={"amount": 7})
    )
    slow = Service(service.clock, service.secret, table)
    answer = slow.call("sessions/delete", "me", token=owner.token, headers={"if-match": '"1"'}, query=query)
    assert answer.problem == (412, "precondition-failed")
    assert answer.json["version"] == 2
    assert service.call("sessions/get", "me", token=owner.token, query={}).json["amount"] == 7
