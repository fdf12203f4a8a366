"""Buckets on the deployed system: what fifty tabs save at once, merges, large ones, and their end."""

import time
from concurrent.futures import ThreadPoolExecutor

from local.stack import Stack
from tests.support.client import Answer, Caller, opened

TABS = 50
FORM = "/sessions/me/data/form"


def saved(holder: Caller, path: str, changes: object) -> Answer:
    """Patch as a page does: again when too many are at it in this second."""
    for _ in range(20):
        answer = holder.patch(path, changes)
        if answer.status != 503:
            return answer
        time.sleep(0.2)
    return answer


def test_fifty_tabs_save_at_once_and_lose_nothing(anyone: Caller) -> None:
    """Each changes another field of one form from the same base, some of them another bucket."""
    holder = opened(anyone, kind="form").holder
    base = holder("PUT", FORM, {"projectName": "Engine"}).ok()["version"]

    def save(tab: int) -> int:
        path = f"{FORM}?baseVersion={base}" if tab % 5 else f"/sessions/me/data/tab-{tab}"
        return saved(holder, path, {f"field{tab}": tab}).status

    with ThreadPoolExecutor(TABS) as pool:
        assert set(pool.map(save, range(TABS))) == {200}
    data = holder.get("/sessions/me?include=data").ok()["data"]
    form = data.pop("form")
    assert form == {"projectName": "Engine"} | {f"field{tab}": tab for tab in range(TABS) if tab % 5}
    assert data == {f"tab-{tab}": {f"field{tab}": tab} for tab in range(0, TABS, 5)}


def test_a_conflict_names_the_field_and_both_values(anyone: Caller) -> None:
    holder = opened(anyone, kind="form").holder
    base = holder("PUT", FORM, {"name": "A", "city": "B"}).ok()["version"]
    holder.patch(f"{FORM}?baseVersion={base}", {"name": "Ada"}).ok()
    refused = holder.patch(f"{FORM}?baseVersion={base}", {"name": "Eve", "city": "Ulm"})
    assert (refused.status, refused.problem) == (409, "edit-conflict")
    assert refused.json["conflicts"] == [{"pointer": "/name", "base": "A", "yours": "Eve", "theirs": "Ada"}]
    assert holder("PUT", FORM, {}, if_match=f'"{base}"').problem == "precondition-failed"
    assert holder("PUT", FORM, {}, if_none_match="*").problem == "precondition-failed"
    found = holder.get(FORM)
    assert found.headers["etag"] == f'"{found.ok()["version"]}"'
    assert found.ok()["data"] == {"name": "Ada", "city": "B"}


def test_a_large_bucket_is_like_any_other_and_goes_with_its_session(anyone: Caller, stack: Stack) -> None:
    session = opened(anyone, kind="configurator", data={"plan": {"svg": "x" * 400_000}})
    path = "/sessions/me/data/plan"
    merged = session.holder.patch(f"{path}?baseVersion=1", {"name": "House"}).ok()
    assert merged["data"] == session.holder.get(path).ok()["data"] == {"svg": "x" * 400_000, "name": "House"}
    s3, names = stack.clients.s3, [bucket.get("Name", "") for bucket in stack.clients.s3.list_buckets()["Buckets"]]
    (archive,) = [name for name in names if "archive" in name]

    def objects() -> int:
        return s3.list_objects_v2(Bucket=archive, Prefix=f"data/{session.id}/")["KeyCount"]

    assert objects() == 1
    assert session.holder.delete("/sessions/me").status == 204
    assert objects() == 0


def test_a_bucket_expires_and_is_removed(anyone: Caller) -> None:
    holder = opened(anyone, kind="form").holder
    assert holder("PUT", f"{FORM}?ttlSeconds=1", {"a": 1}).ok()["expiresAt"] is not None
    holder("PUT", "/sessions/me/data/other", {}).ok()
    assert holder.delete("/sessions/me/data/other").status == 204
    time.sleep(1.1)
    for path in (FORM, "/sessions/me/data/other"):
        assert holder.get(path).problem == "bucket-not-found"
    assert holder.patch(FORM, {"b": 2}).ok()["version"] == 2
