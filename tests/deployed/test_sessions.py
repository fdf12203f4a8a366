"""Sessions on the deployed system, over HTTP alone."""

import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from local.stack import Stack
from tests.support.client import Caller, opened

FIELDS = [
    *("id", "kind", "email", "status", "currentStep", "completedSteps", "customer", "products", "amount"),
    *("currency", "upsells", "vaultId", "transactionId", "cartId", "conversationId", "metadata", "version"),
    *("createdAt", "updatedAt", "lastActivityAt", "expiresAt", "absoluteExpiresAt"),
]
UNKNOWN = "ses_" + "a" * 26


def at(moment: str) -> float:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", moment)
    return datetime.fromisoformat(moment).timestamp()


def eventually(holds: Callable[[], Any], seconds: float = 10) -> Any:
    """Wait until something holds, and return it."""
    until = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < until, "it never came to hold"
        time.sleep(0.05)
    return found


def expired(caller: Caller, **body: Any) -> Any:
    """A session that has just expired."""
    session = opened(caller, ttlSeconds=1, **body)
    eventually(lambda: not session.holder.get("/sessions/me/validity").ok()["valid"])
    return session


def cleaned(stack: Stack) -> dict[str, Any]:
    """Run the clean-up once, as the schedule does."""
    name = stack.deployed().resources["LifecycleCleanupFunction"]
    answer = stack.clients.functions.invoke(FunctionName=name, Payload=b"{}")
    return json.loads(answer["Payload"].read())


class TestCreation:
    def test_a_new_session_has_every_field_of_the_contract(self, anyone: Caller) -> None:
        answer = anyone.post("/sessions", {})
        session = answer.ok(201)["session"]
        assert sorted(session) == sorted(FIELDS)
        assert re.fullmatch(r"ses_[a-z2-7]{26}", session["id"])
        assert (session["kind"], session["status"], session["version"]) == ("auth", "pending", 1)
        assert session["email"] is session["customer"] is session["amount"] is None
        assert at(session["expiresAt"]) - at(session["createdAt"]) == pytest.approx(30 * 60)
        assert at(session["absoluteExpiresAt"]) - at(session["createdAt"]) == pytest.approx(12 * 3600)
        assert answer.headers["etag"] == '"1"'
        assert answer.headers["cache-control"] == "no-store"
        assert "L2;dur=" in answer.headers["server-timing"]

    def test_what_was_given_is_what_is_read(self, anyone: Caller) -> None:
        given = {
            "kind": "checkout",
            "email": "ada@example.org",
            "customer": {"firstName": "Ada", "lastName": "Lovelace", "phone": "+44", "vip": True},
            "products": [{"sku": "a", "quantity": 2, "price": 1999, "tags": []}],
            "amount": 3998,
            "currency": "EUR",
            "cartId": "cart-1",
            "metadata": {"utm": {"source": "newsletter"}, "ratio": 0.25, "empty": ""},
        }
        session = opened(anyone, **given, data={"config": {"colour": "red", "sizes": [1, None]}})
        read = session.holder.get("/sessions/me?include=data").ok()
        assert read["data"] == {"config": {"colour": "red", "sizes": [1, None]}}
        assert {name: read[name] for name in given if name != "customer"} == {
            name: value for name, value in given.items() if name != "customer"
        }
        assert read["customer"] == given["customer"] | {"customerId": None}
        assert read["currentStep"] == "checkout"

    def test_the_cookie_is_a_host_cookie_that_scripts_cannot_read(self, anyone: Caller) -> None:
        cookie = opened(anyone, kind="form").cookie
        assert cookie.startswith("__Host-tessera=eyJ")
        attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert attributes >= {"httponly", "secure", "samesite=lax", "path=/"}
        assert not any(part.startswith("domain") for part in attributes)
        assert len(cookie) <= 4096

    def test_an_id_that_a_client_offers_is_never_adopted(self, anyone: Caller, table: Any) -> None:
        assert anyone.post("/sessions", {"id": UNKNOWN}).problem == "invalid"
        forged = {"cookie": f"__Host-tessera={UNKNOWN}"}
        session = anyone.post("/sessions", {}, **forged).ok(201)["session"]
        assert session["id"] != UNKNOWN
        assert table.of(UNKNOWN) == {}

    def test_twenty_creations_with_one_key_make_one_session(self, anyone: Caller, table: Any) -> None:
        email = f"{uuid4().hex}@example.org"
        key = str(uuid4())

        def create(_: int) -> str:
            answer = anyone.post("/sessions", {"email": email}, idempotency_key=key)
            while answer.status == 409:
                assert (answer.problem, answer.headers["retry-after"]) == ("idempotency-in-progress", "1")
                time.sleep(0.1)
                answer = anyone.post("/sessions", {"email": email}, idempotency_key=key)
            return answer.ok(201)["session"]["id"]

        with ThreadPoolExecutor(20) as pool:
            ids = set(pool.map(create, range(20)))
        assert len(ids) == 1
        assert [item["id"]["S"] for item in table.all() if item.get("email") == {"S": email}] == [*ids]

    def test_a_replay_is_the_same_answer_and_another_body_is_refused(self, anyone: Caller) -> None:
        key = str(uuid4())
        first = anyone.post("/sessions", {"kind": "chat"}, idempotency_key=key)
        again = anyone.post("/sessions", {"kind": "chat"}, idempotency_key=key)
        assert again.ok(201) == first.ok(201)
        assert again.headers["set-cookie"] == first.headers["set-cookie"]
        assert again.headers["idempotency-replayed"] == "true"
        other = anyone.post("/sessions", {"kind": "form"}, idempotency_key=key)
        assert (other.status, other.problem) == (422, "idempotency-key-reused")

    def test_a_browser_cannot_name_the_customer_but_a_service_can(self, anyone: Caller, admin: Caller) -> None:
        body = {"customer": {"customerId": f"c-{uuid4()}"}}
        assert anyone.post("/sessions", body).status == 403
        assert (
            admin.post("/sessions", body).ok(201)["session"]["customer"]["customerId"]
            == body["customer"]["customerId"]
        )


class TestReading:
    def test_a_session_reaches_itself_and_nothing_else_known_or_not(self, anyone: Caller) -> None:
        mine, other = opened(anyone), opened(anyone)
        assert mine.holder.get("/sessions/me").ok() == mine.holder.get(f"/sessions/{mine.id}").ok()
        for foreign in (other.id, UNKNOWN, "session-1234567890-abc123-def456", "x"):
            for answer in (
                mine.holder.get(f"/sessions/{foreign}"),
                mine.holder.patch(f"/sessions/{foreign}", {}),
                mine.holder.delete(f"/sessions/{foreign}"),
                mine.holder.get(f"/sessions/{foreign}/validity"),
                mine.holder.post(f"/sessions/{foreign}/extend"),
            ):
                assert (answer.status, answer.problem) == (403, "not-yours")

    def test_to_a_service_unknown_and_malformed_ids_are_404(self, admin: Caller) -> None:
        for unknown in (UNKNOWN, "x", "me", "ws_abc_123", "%F0%9F%92%A9"):
            answer = admin.get(f"/sessions/{unknown}")
            assert answer.status == 404
            assert answer.problem in ("session-not-found", "not-found")

    def test_the_expired_are_never_served_though_still_stored(
        self, anyone: Caller, admin: Caller, table: Any
    ) -> None:
        session = expired(anyone, data={"config": {"a": 1}})
        assert {"CORE", "EXPIRY", "DATA#config"} <= table.of(session.id).keys()
        for caller in (session.holder, admin):
            for answer in (
                caller.get(f"/sessions/{session.id}"),
                caller.get(f"/sessions/{session.id}?include=data"),
                caller.patch(f"/sessions/{session.id}", {"email": "a@b.c"}),
                caller.post(f"/sessions/{session.id}/extend", {"seconds": 60}),
            ):
                assert (answer.status, answer.problem) == (404, "session-expired")
        refresh = anyone.post("/tokens/refresh", {"refreshToken": session.tokens["refreshToken"]})
        assert refresh.problem == "session-expired"
        validity = session.holder.get("/sessions/me/validity").ok()
        assert (validity["valid"], validity["status"]) == (False, "expired")
        assert (validity["reason"], validity["idleSecondsLeft"]) == ("idle-timeout", 0)

    def test_devices_are_listed_newest_first_in_pages(self, admin: Caller) -> None:
        customer = f"c-{uuid4()}"
        sessions = [opened(admin, customer={"customerId": customer}) for _ in range(5)]
        opened(admin, customer={"customerId": f"c-{uuid4()}"})
        newest_first = [session.id for session in reversed(sessions)]

        def ids(page: dict[str, Any]) -> list[str]:
            return [session["id"] for session in page["sessions"]]

        one = sessions[0].holder
        assert ids(one.get("/sessions").ok()) == newest_first
        first = admin.get(f"/sessions?customerId={customer}&limit=2").ok()
        second = admin.get(f"/sessions?customerId={customer}&limit=2&cursor={first['cursor']}").ok()
        third = admin.get(f"/sessions?customerId={customer}&limit=2&cursor={second['cursor']}").ok()
        assert ids(first) + ids(second) + ids(third) == newest_first
        assert third["cursor"] is None
        assert one.get("/sessions?customerId=somebody-else").status == 403
        assert admin.get("/sessions?customerId=x&cursor=%00").status == 422
        assert admin.get("/sessions").status == 422


class TestChanging:
    def test_a_patch_merges_and_null_removes(self, anyone: Caller) -> None:
        session = opened(anyone, metadata={"a": {"b": 1, "c": 2}, "d": [1]}, email="a@b.c")
        patch = {"metadata": {"a": {"b": None, "e": {"f": None, "g": 3}}, "d": [2]}, "email": None}
        answer = session.holder.patch("/sessions/me", patch, content_type="application/merge-patch+json")
        changed = answer.ok()
        assert changed["metadata"] == {"a": {"c": 2, "e": {"g": 3}}, "d": [2]}
        assert (changed["email"], changed["version"], answer.headers["etag"]) == (None, 2, '"2"')
        assert session.holder.get("/sessions/me").ok() == changed

    def test_read_only_and_unknown_fields_are_refused_by_name(self, anyone: Caller) -> None:
        session = opened(anyone)
        for name in ("id", "kind", "version", "expiresAt", "createdAt", "conversationId", "nonsense"):
            answer = session.holder.patch("/sessions/me", {name: "x", "email": "a@b.c"})
            assert (answer.status, answer.problem) == (422, "invalid")
            assert [error["pointer"] for error in answer.json["errors"]] == [f"/{name}"]
        assert session.holder.get("/sessions/me").ok() == session.created

    def test_the_status_is_moved_by_services_along_the_arrows(self, anyone: Caller, admin: Caller) -> None:
        session = opened(anyone, kind="checkout")
        refused = session.holder.patch("/sessions/me", {"status": "processing"})
        assert (refused.status, refused.problem) == (403, "service-only")
        illegal = admin.patch(f"/sessions/{session.id}", {"status": "completed"})
        assert (illegal.status, illegal.problem) == (409, "illegal-transition")
        assert illegal.json["allowed"] == ["processing", "expired"]
        for status in ("processing", "completed"):
            assert admin.patch(f"/sessions/{session.id}", {"status": status}).ok()["status"] == status

    def test_a_form_moves_one_step_forward_or_back_to_a_completed_one(self, anyone: Caller) -> None:
        form = opened(anyone, kind="form").holder
        assert form.patch("/sessions/me", {"currentStep": 2, "completedSteps": [1]}).ok()["currentStep"] == 2
        illegal = form.patch("/sessions/me", {"currentStep": 4})
        assert (illegal.status, illegal.problem, illegal.json["allowed"]) == (409, "illegal-move", [1, 3])
        assert form.patch("/sessions/me", {"currentStep": 1}).ok()["currentStep"] == 1

    def test_if_match_decides_between_two_writers(self, anyone: Caller) -> None:
        holder = opened(anyone).holder
        assert holder.patch("/sessions/me", {"cartId": "a"}, if_match='"1"').ok()["version"] == 2
        late = holder.patch("/sessions/me", {"cartId": "b"}, if_match='"1"')
        assert (late.status, late.problem, late.json["version"]) == (412, "precondition-failed", 2)
        assert holder.get("/sessions/me").ok()["cartId"] == "a"

    def test_fifty_threads_patching_fifty_fields_lose_none(self, anyone: Caller) -> None:
        holder = opened(anyone).holder

        def write(number: int) -> int:
            return holder.patch("/sessions/me", {"metadata": {f"field{number}": number}}).status

        with ThreadPoolExecutor(50) as pool:
            assert set(pool.map(write, range(50))) == {200}
        session = holder.get("/sessions/me").ok()
        assert session["metadata"] == {f"field{number}": number for number in range(50)}
        assert session["version"] == 51

    def test_writes_slide_the_idle_timeout_and_reads_do_not(self, anyone: Caller) -> None:
        session = opened(anyone, ttlSeconds=100)
        time.sleep(0.05)
        assert session.holder.get("/sessions/me").ok()["expiresAt"] == session.created["expiresAt"]
        slid = session.holder.patch("/sessions/me", {}).ok()
        assert at(slid["expiresAt"]) > at(session.created["expiresAt"])
        assert at(slid["expiresAt"]) - at(slid["lastActivityAt"]) == pytest.approx(100)

    def test_extending_goes_both_ways_and_ends_at_the_absolute_timeout(self, anyone: Caller) -> None:
        holder = opened(anyone).holder
        now = datetime.now(UTC).timestamp()
        assert at(holder.post("/sessions/me/extend", {"seconds": 60}).ok()["expiresAt"]) < now + 90
        assert at(holder.post("/sessions/me/extend", {"seconds": 7200}).ok()["expiresAt"]) > now + 7000
        kept = holder.patch("/sessions/me", {"cartId": "a"}).ok()
        assert at(kept["expiresAt"]) > now + 7000, "a slide never shortens"
        cut = holder.post("/sessions/me/extend", {"seconds": 10**9}).ok()
        assert cut["expiresAt"] == cut["absoluteExpiresAt"]
        assert at(holder.post("/sessions/me/extend").ok()["expiresAt"]) < now + 1900

    def test_bad_input_gets_a_clear_problem_and_changes_nothing(self, anyone: Caller) -> None:
        session = opened(anyone)
        for content, status in (
            (b"{", 400),
            (b'{"amount": NaN}', 400),
            (b"\xff\xfe", 400),
            (b"[" * 100_000, 400),
            (b"[1]", 422),
            (b'{"email": "nonsense"}', 422),
            (b'{"amount": 1.5}', 422),
            (b'{"currency": "euro"}', 422),
            (b'{"metadata": {"a": 1e300}}', 422),
            (b'{"metadata": {"a": "\\ud800"}}', 422),
            (b'{"metadata": {"": 1}}', 422),
            (b'{"metadata": {"a": "' + b"x" * 300_000 + b'"}}', 413),
        ):
            answer = session.holder("PATCH", "/sessions/me", content=content, content_type="application/json")
            assert answer.status == status, (content[:40], answer.response.text)
            assert answer.problem
        form = session.holder("PATCH", "/sessions/me", content=b"a=b", content_type="text/plain")
        assert (form.status, form.problem) == (415, "unsupported-media-type")
        assert session.holder.get("/sessions/me").ok() == session.created


class TestEnding:
    def test_deleting_leaves_no_item_and_no_way_in(self, anyone: Caller, admin: Caller, table: Any) -> None:
        session = opened(anyone, data={"a": {}, "b": {}}, email="a@b.c")
        session.holder.post("/sessions/me/extend", {}, idempotency_key=str(uuid4())).ok()
        assert any(key.startswith("IDEMPOTENCY#") for key in table.of(session.id))
        assert session.holder.delete("/sessions/me").ok(204) is None
        assert table.of(session.id) == {}
        own = session.holder.get("/sessions/me")
        assert (own.status, own.problem) == (401, "token-revoked")
        other = admin.get(f"/sessions/{session.id}")
        assert (other.status, other.problem) == (404, "session-not-found")
        refresh = anyone.post("/tokens/refresh", {"refreshToken": session.tokens["refreshToken"]})
        assert (refresh.status, refresh.problem) == (401, "token-revoked")

    def test_the_clean_up_buries_what_has_expired(
        self, anyone: Caller, admin: Caller, stack: Stack, table: Any
    ) -> None:
        live = opened(anyone, data={"a": {}})
        dead = expired(anyone, data={"a": {}}, email="gone@example.org")
        lost = expired(anyone, data={"a": {}})
        table.client.delete_item(
            TableName=table.name, Key={"pk": {"S": f"SESSION#{lost.id}"}, "sk": {"S": "CORE"}}
        )  # as DynamoDB's TTL would
        assert cleaned(stack)["done"]
        assert table.of(dead.id).keys() == {"CORE"}, "a tombstone stays, to say that it has expired"
        assert "gone@example.org" not in str(table.of(dead.id))
        assert table.of(lost.id) == {}
        assert {"CORE", "EXPIRY", "DATA#a"} <= table.of(live.id).keys()
        assert admin.get(f"/sessions/{dead.id}").problem == "session-expired"
        assert cleaned(stack)["expired"] == 0, "each is counted once"
        age = anyone.get("/health").ok()["checks"]["cleanup"]["ageSeconds"]
        assert 0 <= age < 60

    def test_a_session_in_use_outlives_its_first_marker(self, anyone: Caller, stack: Stack, table: Any) -> None:
        session = opened(anyone, ttlSeconds=1)
        session.holder.post("/sessions/me/extend", {"seconds": 7200}).ok()
        before = table.of(session.id)["EXPIRY"]["expiryBucket"]
        time.sleep(1.1)
        cleaned(stack)
        assert session.holder.get("/sessions/me").ok()["id"] == session.id
        assert table.of(session.id)["EXPIRY"]["expiryBucket"] != before
