"""Buckets over HTTP: saved, loaded, patched, merged, removed; their versions, their expiry, their limits."""

from typing import Any

import pytest

from tessera.model.data import MAX_BUCKETS, MAX_DATA_BYTES
from tessera.stores.keys import child_key, partition
from tests.functions.service import Answer, Owner, Service
from tests.support.fakes import FailingStore, FakeClock

LARGE = {"drawing": "x" * 400_000}
HOUR = 3_600


@pytest.fixture
def owner(service: Service) -> Owner:
    return service.create(kind="form")


def save(service: Service, owner: Owner, data: Any, bucket: str = "form", **how: Any) -> Answer:
    return _call(service, "data/save", owner, bucket, body=data, **how)


def patch(service: Service, owner: Owner, changes: Any, base: int | None = None, **how: Any) -> Answer:
    query = how.pop("query", {}) | ({} if base is None else {"baseVersion": str(base)})
    return _call(service, "data/patch", owner, how.pop("bucket", "form"), body=changes, query=query, **how)


def load(service: Service, owner: Owner, bucket: str = "form", **how: Any) -> Answer:
    return _call(service, "data/load", owner, bucket, **how)


def remove(service: Service, owner: Owner, bucket: str = "form", **how: Any) -> Answer:
    return _call(service, "data/remove", owner, bucket, **how)


def _call(service: Service, name: str, owner: Owner, bucket: str, **how: Any) -> Answer:
    path = {"bucket": bucket, "sessionId": "me"}
    event = {"rawPath": f"/sessions/me/data/{bucket}", "pathParameters": path} if bucket != "form" else {}
    how = {"token": owner.token} | ({"query": {}} if name == "data/patch" else {}) | how
    return service.call(name, None if event else "me", **event, **how)


# --- the life of a bucket ----------------------------------------------------------------------------


def test_what_was_saved_is_loaded(service: Service, owner: Owner, clock: FakeClock) -> None:
    data = {"projectName": "Mühle", "floors": 2, "zones": [1, {"a": None}], "none": None, "empty": {}}
    saved = save(service, owner, data)
    assert saved.json == {
        "bucket": "form",
        "data": data,
        "version": 1,
        "updatedAt": "2026-11-20T10:03:20.000Z",
        "expiresAt": None,
    }
    assert saved.headers["ETag"] == '"1"'
    clock.forward(1)
    assert (load(service, owner).json, load(service, owner).headers["ETag"]) == (saved.json, '"1"')


def test_a_save_replaces_a_patch_changes(service: Service, owner: Owner) -> None:
    save(service, owner, {"a": 1, "b": 2})
    assert patch(service, owner, {"b": None, "c": {"d": None}}).json["data"] == {"a": 1, "c": {}}
    saved = save(service, owner, {"z": 0})
    assert (saved.json["data"], saved.json["version"]) == ({"z": 0}, 3)


def test_a_patch_of_a_missing_bucket_makes_one(service: Service, owner: Owner) -> None:
    made = patch(service, owner, {"a": 1, "b": None, "c": {"d": None, "e": 2}})
    assert (made.status, made.json["version"], made.json["data"]) == (200, 1, {"a": 1, "c": {"e": 2}})
    assert patch(service, owner, {"a": 1}, base=7, bucket="other").json["data"] == {"a": 1}


def test_removed_is_removed_and_versions_go_on(service: Service, owner: Owner) -> None:
    assert remove(service, owner).problem == (404, "bucket-not-found")
    assert load(service, owner).problem == (404, "bucket-not-found")
    save(service, owner, {"secret": "Ada"})
    save(service, owner, {"secret": "Ada L."})
    assert remove(service, owner).status == 204
    for answer in (load(service, owner), remove(service, owner)):
        assert answer.problem == (404, "bucket-not-found")
    assert "Ada" not in repr([*service.table.query(partition(owner.id))])
    assert save(service, owner, {}).json["version"] == 4  # the removal was 3


def test_the_same_again_is_no_new_version_but_activity(service: Service, owner: Owner, clock: FakeClock) -> None:
    save(service, owner, {"a": 1})
    before = service.graph.sessions.get(owner.id).session
    clock.forward(60)
    again = [save(service, owner, {"a": 1.0}), patch(service, owner, {"a": 1}), patch(service, owner, {"b": None})]
    assert {answer.json["version"] for answer in again} == {1}
    assert {answer.json["updatedAt"] for answer in again} == {"2026-11-20T10:03:20.000Z"}
    after = service.graph.sessions.get(owner.id).session
    assert after.expires_at == before.expires_at + 60_000


def test_writing_is_activity_and_reading_is_not(service: Service, owner: Owner, clock: FakeClock) -> None:
    writes = [
        lambda: save(service, owner, {"a": 1}),
        lambda: patch(service, owner, {"b": 2}),
        lambda: remove(service, owner),
    ]
    for number, write in enumerate(writes, start=2):
        load(service, owner)
        clock.forward(240)
        assert write().status in (200, 204)
        session = service.graph.sessions.get(owner.id).session
        assert (session.version, session.last_activity_at) == (number, clock())
        assert session.expires_at == clock() + 24 * HOUR * 1_000


def test_buckets_come_with_the_session(service: Service, owner: Owner) -> None:
    save(service, owner, LARGE, bucket="large")
    save(service, owner, {"a": 1})
    save(service, owner, {"gone": 1}, bucket="short", query={"ttlSeconds": "5"})
    query = {"include": "data"}
    assert service.call("sessions/get", "me", token=owner.token, query=query).json["data"].keys() == {
        "form",
        "large",
        "short",
    }
    service.clock.forward(5)
    shown = service.call("sessions/get", "me", token=owner.token, query=query).json["data"]
    assert shown == {"form": {"a": 1}, "large": LARGE}


# --- access ------------------------------------------------------------------------------------------


def test_a_revoked_token_is_refused_at_once(service: Service, owner: Owner) -> None:
    """Also by a container that has just written with it."""
    save(service, owner, {"a": 1})
    service.clock.forward(1)
    patch(service, owner, {"a": 2})
    renewed = service.another().login(owner, "customer-1")
    for answer in (
        save(service, owner, {}),
        patch(service, owner, {"a": 3}),
        load(service, owner),
        remove(service, owner),
    ):
        assert answer.problem == (401, "token-revoked")
    assert load(service, renewed).json["data"] == {"a": 2}


def test_an_expired_session_takes_and_shows_nothing(service: Service, owner: Owner, clock: FakeClock) -> None:
    save(service, owner, {"a": 1})
    clock.forward(24 * HOUR)
    token = service.service_token()
    for name, body in {
        "data/save": {"a": 2},
        "data/load": None,
        "data/patch": {"a": 2},
        "data/remove": None,
    }.items():
        answer = service.call(name, owner.id, token=token, body=body)
        assert answer.problem == (404, "session-expired")


# --- versions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["data/save", "data/patch", "data/remove"])
@pytest.mark.parametrize(
    ("if_match", "matches"), [('"2"', True), ("*", True), ('"1", "2"', True), ('"1"', False), ("2", False)]
)
def test_if_match_is_about_the_bucket(
    service: Service, owner: Owner, name: str, if_match: str, matches: bool
) -> None:
    save(service, owner, {"a": 1})
    save(service, owner, {"a": 2})
    service.call("sessions/update", "me", token=owner.token, body={"metadata": {"n": 1}})
    how: dict[str, Any] = {} if name == "data/remove" else {"body": {"b": 3}, "query": {}}
    answer = _call(service, name, owner, "form", headers={"if-match": if_match}, **how)
    assert answer.status in ((200, 204) if matches else (412,))
    if not matches:
        assert (answer.slug, answer.json["version"]) == ("precondition-failed", 2)
        assert load(service, owner).json["data"] == {"a": 2}


def test_a_tag_that_a_proxy_has_weakened_still_names_its_version_to_if_none_match(
    service: Service, owner: Owner
) -> None:
    """RFC 9110, section 13.1.2: weak comparison. To If-Match it never does (section 13.1.1)."""
    save(service, owner, {"a": 1})
    assert save(service, owner, {"a": 2}, headers={"if-none-match": 'W/"1"'}).problem[0] == 412
    assert save(service, owner, {"a": 2}, headers={"if-match": 'W/"1"'}).problem[0] == 412
    assert save(service, owner, {"a": 2}, headers={"if-none-match": 'W/"7"'}).status == 200


@pytest.mark.parametrize("write", [save, patch])
def test_if_none_match_creates_and_never_overwrites(service: Service, owner: Owner, write: Any) -> None:
    asked = {"headers": {"if-none-match": "*"}}
    assert write(service, owner, {"a": 1}, **asked).status == 200
    refused = write(service, owner, {}, **asked)
    assert (refused.problem, refused.json["version"]) == ((412, "precondition-failed"), 1)
    missing = write(service, owner, {}, bucket="other", headers={"if-match": "*"})
    assert (missing.problem, missing.json["version"]) == ((412, "precondition-failed"), None)
    assert load(service, owner).json["data"] == {"a": 1}


def test_two_tabs_from_one_base_both_keep_what_they_wrote(service: Service, owner: Owner) -> None:
    base = save(service, owner, {"name": "", "city": "", "o": {"x": 1}}).json["version"]
    patch(service, owner, {"name": "Ada", "o": {"y": 2}}, base)
    merged = patch(service, owner, {"city": "Ulm", "o": {"x": 3}}, base)
    assert merged.json["data"] == {"name": "Ada", "city": "Ulm", "o": {"x": 3, "y": 2}}
    assert merged.json["version"] == 3


def test_the_same_field_is_a_conflict_and_nothing_is_written(service: Service, owner: Owner) -> None:
    base = save(service, owner, {"name": "A", "city": "B"}).json["version"]
    patch(service, owner, {"name": "Ada"}, base)
    refused = patch(service, owner, {"name": "Eve", "city": "Ulm"}, base)
    assert refused.problem == (409, "edit-conflict")
    conflict = {"pointer": "/name", "base": "A", "yours": "Eve", "theirs": "Ada"}
    assert (refused.json["conflicts"], refused.json["version"]) == ([conflict], 2)
    assert load(service, owner).json["data"] == {"name": "Ada", "city": "B"}
    settled = patch(service, owner, {"name": "Eve", "city": "Ulm"}, refused.json["version"])
    assert settled.json["data"] == {"name": "Eve", "city": "Ulm"}


def test_a_restore_into_an_empty_form_takes_nothing_away(service: Service, owner: Owner) -> None:
    save(service, owner, {"name": "Ada", "floors": 2})
    drawn = {"name": "", "floors": None, "city": ""}
    assert patch(service, owner, drawn, base=0).json["data"] == {"name": "Ada", "floors": 2, "city": ""}
    assert patch(service, owner, {"name": "Eve"}, base=0).problem == (409, "edit-conflict")


def test_a_version_that_is_still_to_come_is_no_base(service: Service, owner: Owner) -> None:
    save(service, owner, {})
    refused = patch(service, owner, {"a": 1}, base=2)
    assert refused.problem == (422, "invalid")
    assert refused.json["errors"][0]["pointer"] == "query/baseVersion"
    for nonsense in ("-1", "x", "1.5", ""):
        assert patch(service, owner, {}, query={"baseVersion": nonsense}).problem == (422, "invalid")


# --- expiry ------------------------------------------------------------------------------------------


def test_a_bucket_may_go_before_its_session(service: Service, owner: Owner, clock: FakeClock) -> None:
    saved = save(service, owner, {"card": "…"}, query={"ttlSeconds": "60"})
    assert saved.json["expiresAt"] == "2026-11-20T10:04:20.000Z"
    clock.forward(30)
    assert patch(service, owner, {"a": 1}).json["expiresAt"] == "2026-11-20T10:04:20.000Z"
    clock.forward(30, ms=-1)
    assert load(service, owner).status == 200
    clock.forward(ms=1)
    assert load(service, owner).problem == (404, "bucket-not-found")
    assert remove(service, owner).problem == (404, "bucket-not-found")
    anew = patch(service, owner, {"b": 1}, base=2)
    assert (anew.json["data"], anew.json["version"], anew.json["expiresAt"]) == ({"b": 1}, 3, None)


@pytest.mark.parametrize("swept", [False, True], ids=["still stored", "taken by TTL"])
def test_versions_go_on_after_an_expiry(service: Service, owner: Owner, clock: FakeClock, swept: bool) -> None:
    for number in range(3):
        save(service, owner, {"n": number}, query={"ttlSeconds": "60"})
    clock.forward(60)
    if swept:
        service.table.delete(child_key(owner.id, "DATA#form"))
    assert save(service, owner, {"n": 9}).json["version"] == 4
    assert patch(service, owner, {"n": 10}, base=2).problem == (409, "edit-conflict")


def test_an_expiry_can_be_moved_and_lifted(service: Service, owner: Owner) -> None:
    save(service, owner, {}, query={"ttlSeconds": "60"})
    moved = patch(service, owner, {}, query={"ttlSeconds": "120"})
    assert (moved.json["expiresAt"], moved.json["version"]) == ("2026-11-20T10:05:20.000Z", 2)
    assert patch(service, owner, {}, query={"ttlSeconds": "0"}).json["expiresAt"] is None
    beyond = save(service, owner, {}, query={"ttlSeconds": str(31 * 24 * HOUR)})
    assert beyond.json["expiresAt"] is None, "it goes with the session"
    for nonsense in ("-1", "x", "1.5", "1000000001"):
        assert save(service, owner, {}, query={"ttlSeconds": nonsense}).problem == (422, "invalid")


# --- limits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["-form", ".form", "a b", "ä", "x" * 65, "a#b", "%00"])
def test_a_name_has_letters_digits_and_little_else(service: Service, owner: Owner, name: str) -> None:
    for refused in (save(service, owner, {}, bucket=name), load(service, owner, bucket=name)):
        assert refused.problem == (422, "invalid")
        assert refused.json["errors"][0]["pointer"] == "path/bucket"


@pytest.mark.parametrize("name", ["A", "0", "config", "order-2026_07.v1", "x" * 64])
def test_names_that_are_good(service: Service, owner: Owner, name: str) -> None:
    assert save(service, owner, {}, bucket=name).json["bucket"] == name


def test_a_session_has_so_many_buckets_and_no_more(service: Service, owner: Owner, clock: FakeClock) -> None:
    save(service, owner, {}, query={"ttlSeconds": "60"}, bucket="short")
    for number in range(MAX_BUCKETS - 1):
        assert save(service, owner, {}, bucket=f"b{number}").status == 200
    refused = patch(service, owner, {})
    assert (refused.problem, refused.json["limit"]) == ((409, "too-many-buckets"), MAX_BUCKETS)
    assert save(service, owner, {"a": 1}, bucket="b1").status == 200
    clock.forward(60)
    assert save(service, owner, {}).status == 200, "the short one has expired"
    assert save(service, owner, {}, bucket="short").problem == (409, "too-many-buckets")
    remove(service, owner, bucket="b1")
    assert save(service, owner, {}, bucket="short").status == 200


def test_a_bucket_has_a_size_and_no_more(service: Service, owner: Owner) -> None:
    save(service, owner, {"text": "x" * (MAX_DATA_BYTES - 50)})
    assert load(service, owner).status == 200
    refused = patch(service, owner, {"more": "y" * 50})
    assert (refused.problem, refused.json["limit"]) == ((413, "content-too-large"), MAX_DATA_BYTES)
    assert save(service, owner, {"text": "x" * MAX_DATA_BYTES}).problem == (413, "content-too-large")
    assert load(service, owner).json["version"] == 1
    save(service, owner, {"a": "b" * 100}, bucket="more")
    whole = service.call("sessions/get", "me", token=owner.token, query={"include": "data"})
    assert (whole.problem, whole.json["detail"]) == ((413, "content-too-large"), "Read the buckets one by one")


@pytest.mark.parametrize("text", ["[1]", "1", "null", '"a"', '{"": 1}', '{"a": "\\ud800"}', '{"a": 1e400}'])
def test_what_is_no_object_or_cannot_be_stored_is_refused(service: Service, owner: Owner, text: str) -> None:
    for name in ("data/save", "data/patch"):
        answer = service.call(name, "me", token=owner.token, text=text, query={})
        assert answer.status in (400, 422), answer.text
    assert load(service, owner).problem == (404, "bucket-not-found")


# --- what is too large for an item -------------------------------------------------------------------


def objects(service: Service) -> list[str]:
    return [*service.archive_bucket.keys("")]


def test_nobody_sees_that_a_large_bucket_lies_elsewhere(service: Service, owner: Owner) -> None:
    save(service, owner, LARGE | {"a": 1})
    assert len(objects(service)) == 1
    assert load(service, owner).json["data"] == LARGE | {"a": 1}
    patch(service, owner, {"b": 2}, base=1)
    merged = patch(service, owner, {"a": 3}, base=1)
    assert merged.json["data"] == LARGE | {"a": 3, "b": 2}
    assert len(objects(service)) == 1, "what was superseded is gone"
    small = patch(service, owner, {"drawing": "small"})
    assert (small.json["data"], objects(service)) == ({"drawing": "small", "a": 3, "b": 2}, [])


def test_a_session_is_born_with_a_large_bucket(service: Service) -> None:
    owner = service.create(data={"form": LARGE, "small": {"a": 1}})
    assert load(service, owner).json["data"] == LARGE
    assert load(service, owner).json["version"] == 1
    assert len(objects(service)) == 1


@pytest.mark.parametrize("way", ["removed", "deleted", "purged", "expired"])
def test_large_buckets_go_with_the_rest(service: Service, owner: Owner, clock: FakeClock, way: str) -> None:
    save(service, owner, LARGE)
    if way == "removed":
        assert remove(service, owner).status == 204
    elif way == "expired":
        clock.forward(25 * HOUR)
        assert service.handler("lifecycle/cleanup")({}, _Patient())["expired"] == 1
    else:
        query = {"purge": "true"} if way == "purged" else {}
        assert service.call("sessions/delete", "me", token=owner.token, query=query).status == 204
    assert objects(service) == []


def test_while_s3_is_down_nothing_is_half_done(service: Service, owner: Owner, clock: FakeClock) -> None:
    save(service, owner, {"a": 1})
    service.archive_bucket = down = FailingStore(service.archive_bucket)
    down.down = True
    broken = Service(clock, service.secret, service.table, archive_bucket=down)
    assert save(broken, owner, LARGE).problem == (503, "unavailable")
    assert load(broken, owner).json["data"] == {"a": 1}
    down.down = False
    assert save(broken, owner, LARGE).status == 200
    down.down = True
    assert load(broken, owner).problem == (503, "unavailable")
    assert broken.call("sessions/delete", "me", token=owner.token, query={}).status == 204
    down.down = False
    assert broken.handler("lifecycle/cleanup")({}, _Patient())["deleted"] > 0
    assert [*down.keys("")] == []


def test_the_log_holds_nothing_of_a_bucket(service: Service, owner: Owner, output: Any) -> None:
    save(service, owner, {"email": "ada@example.org"})
    patch(service, owner, {"email": "eve@example.org"}, base=0)
    logged = repr(output.lines())
    assert "data.patch" in logged
    assert "example.org" not in logged


class _Patient:
    """Lambda's context for a schedule."""

    def get_remaining_time_in_millis(self) -> int:
        return 300_000
