"""Conversations on the deployed system: many writers, the archive behind the stream, a customer's memory."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from typing import Any
from uuid import uuid4

import pytest

from local.endpoints import Endpoints
from local.stack import Stack
from tests.deployed.test_sessions import at, cleaned, eventually
from tests.support.client import Answer, Caller, Opened, opened


class Archive:
    """The archive's bucket as an operator sees it."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client, self._bucket = client, bucket

    def keys(self, prefix: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def messages(self, session_id: str) -> list[dict[str, Any]]:
        """Every message of a session, as often as it is in an object."""
        found = []
        for key in self.keys(f"archive/{session_id}/"):
            body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            lines = gzip.decompress(body).decode().split("\n")
            found += [json.loads(line) for line in lines if line]
        return found

    def of(self, session_id: str) -> list[str]:
        """Every object of a session."""
        return [*self.keys(f"archive/{session_id}/"), *self.keys(f"overflow/{session_id}/")]


@pytest.fixture(scope="module")
def archive(stack: Stack, endpoints: Endpoints) -> Archive:
    return Archive(stack.clients.s3, endpoints.bucket)


def said(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content} | more


def append(holder: Caller, *messages: dict[str, Any], **headers: str) -> Answer:
    return holder.post("/sessions/me/messages", {"messages": list(messages)}, **headers)


def pages(holder: Caller, limit: int) -> Iterator[list[dict[str, Any]]]:
    """The pages of the open conversation, from the newest on."""
    page = holder.get(f"/sessions/me/messages?limit={limit}").ok()
    while page["messages"]:
        yield page["messages"]
        if page["before"] is None:
            return
        page = holder.get(f"/sessions/me/messages?limit={limit}&before={page['before']}").ok()


def everything(holder: Caller, limit: int = 1_000) -> list[dict[str, Any]]:
    """All messages of the open conversation, oldest first."""
    return [message for page in reversed([*pages(holder, limit)]) for message in page]


def assert_whole(messages: list[dict[str, Any]], writers: int, each: int) -> None:
    """None lost, none twice, each writer's in its order, the numbers dense."""
    assert Counter((m["content"]["writer"], m["content"]["n"]) for m in messages) == {
        (writer, n): 1 for writer in range(writers) for n in range(each)
    }
    assert [message["seq"] for message in messages] == [*range(1, writers * each + 1)]
    for writer in range(writers):
        own = [message["content"]["n"] for message in messages if message["content"]["writer"] == writer]
        assert own == [*range(each)]


def spoken(holder: Caller, writers: int, each: int, at_once: int) -> list[int]:
    """Have so many writers say so many messages each, some of them at once; return the statuses."""

    def speak(writer: int) -> list[int]:
        messages = [said({"writer": writer, "n": n}) for n in range(each)]
        return [append(holder, *batch).status for batch in batched(messages, at_once, strict=True)]

    with ThreadPoolExecutor(writers) as pool:
        return [status for statuses in pool.map(speak, range(writers)) for status in statuses]


def of_customer(admin: Caller, customer: str, **body: Any) -> Opened:
    return opened(admin, kind="chat", customer={"customerId": customer}, **body)


class TestChat:
    def test_a_chat_is_archived_once_and_remembered_when_its_session_has_gone(
        self, admin: Caller, stack: Stack, table: Any, archive: Archive
    ) -> None:
        customer = f"c-{uuid4()}"
        session = of_customer(admin, customer)
        assert set(spoken(session.holder, writers=10, each=20, at_once=2)) == {201}
        read = everything(session.holder, limit=70)
        assert_whole(read, writers=10, each=20)
        # Five make an object; of the last ones up to four wait for company.
        eventually(lambda: len(archive.messages(session.id)) >= 196, seconds=60)
        assert max(Counter(m["seq"] for m in archive.messages(session.id)).values()) == 1
        session.holder.post("/sessions/me/extend", {"seconds": 1}).ok()
        eventually(lambda: not session.holder.get("/sessions/me/validity").ok()["valid"])
        eventually(lambda: (cleaned(stack), table.of(session.id).keys() == {"CORE"})[1])
        assert sorted(archive.messages(session.id), key=lambda message: message["seq"]) == read
        other = of_customer(admin, customer)
        memory = other.holder.get(f"/customers/{customer}/messages?limit=1000").ok()
        assert memory["complete"] is True
        remembered = [
            {k: v for k, v in m.items() if k not in ("sessionId", "conversationId")} for m in memory["messages"]
        ]
        assert sorted(remembered, key=lambda message: message["seq"]) == read
        assert {message["sessionId"] for message in memory["messages"]} == {session.id}
        assert session.holder.get(f"/customers/{customer}/messages").problem == "session-expired"

    def test_fifty_writers_lose_nothing(self, anyone: Caller) -> None:
        session = opened(anyone, kind="chat")
        assert set(spoken(session.holder, writers=50, each=2, at_once=2)) == {201}
        assert_whole(everything(session.holder), writers=50, each=2)
        assert session.holder.get("/sessions/me").ok()["version"] == 51

    def test_ten_that_send_the_same_batch_send_it_once(self, anyone: Caller) -> None:
        session = opened(anyone, kind="chat")
        batch = [said(n, messageId=f"m-{n}") for n in range(5)]
        with ThreadPoolExecutor(10) as pool:
            answers = [*pool.map(lambda _: append(session.holder, *batch).ok(201), range(10))]
        assert all(answer == answers[0] for answer in answers)
        assert [message["content"] for message in everything(session.holder)] == [*range(5)]

    def test_pops_beside_appends_take_what_they_return(self, anyone: Caller) -> None:
        session = opened(anyone, kind="chat")
        append(session.holder, *[said(f"first {n}") for n in range(3)]).ok(201)

        def pop(_: int) -> Any:
            return session.holder.post("/sessions/me/messages/pop").ok()["message"]

        def speak(number: int) -> Any:
            return append(session.holder, said(number)).ok(201)["messages"][0]

        with ThreadPoolExecutor(8) as pool:
            spoken = [pool.submit(speak, number) for number in range(24)]
            popped = [message for message in pool.map(pop, range(12)) if message]
            kept = [future.result() for future in spoken]
        left = everything(session.holder)
        assert len({message["seq"] for message in popped}) == len(popped)
        assert len(left) == 27 - len(popped)
        assert {m["seq"] for m in left} | {m["seq"] for m in popped} == {*range(1, 28)}
        assert all(message in left or message in popped for message in kept)


class TestBesides:
    def test_a_conversation_over_http(self, anyone: Caller, admin: Caller) -> None:
        session = opened(anyone, kind="chat", ttlSeconds=1_000)
        first = append(session.holder, said('Привет \u2028 "🙂"'), {"role": "tool", "content": {"a": [1, None]}})
        assert first.ok(201)["messages"][0]["content"] == 'Привет \u2028 "🙂"'
        read = session.holder.get("/sessions/me?include=data,messages,activity")
        assert read.ok()["messages"] == first.json["messages"]
        assert read.headers["etag"] == '"2"'
        assert at(read.json["expiresAt"]) >= at(session.created["expiresAt"])
        late = append(session.holder, said("late"), if_match='"1"')
        assert (late.status, late.problem, late.json["version"]) == (412, "precondition-failed", 2)
        key = {"idempotency_key": str(uuid4())}
        popped = [session.holder.post("/sessions/me/messages/pop", **key) for _ in range(2)]
        assert popped[0].ok() == popped[1].ok() == {"message": first.json["messages"][1]}
        assert popped[1].headers["idempotency-replayed"] == "true"
        assert session.holder.delete("/sessions/me/messages").ok(204) is None
        empty = admin.get(f"/sessions/{session.id}/messages").ok()
        assert (empty["messages"], empty["before"]) == ([], None)
        assert empty["conversationId"] not in (None, first.json["conversationId"])
        other = opened(anyone)
        assert other.holder.get(f"/sessions/{session.id}/messages").problem == "not-yours"

    def test_large_content_is_read_archived_and_purged(self, anyone: Caller, archive: Archive) -> None:
        session = opened(anyone, kind="chat")
        text = "x" * 700_000
        answer = append(session.holder, said(text), said("beside it"))
        assert [len(message["content"]) for message in answer.ok(201)["messages"]] == [700_000, 9]
        read = session.holder.get("/sessions/me/messages").ok()["messages"]
        assert read == answer.json["messages"]
        assert len(archive.keys(f"overflow/{session.id}/")) == 1
        append(session.holder, *[said(n) for n in range(5)]).ok(201)
        eventually(lambda: archive.messages(session.id)[:2] == read, seconds=60)
        assert append(session.holder, said("x" * 1_100_000)).problem == "content-too-large"
        assert session.holder.delete("/sessions/me?purge=true").ok(204) is None
        assert archive.of(session.id) == []

    def test_a_purge_leaves_no_object_and_no_memory(self, admin: Caller, archive: Archive, table: Any) -> None:
        customer = f"c-{uuid4()}"
        purged, kept = of_customer(admin, customer), of_customer(admin, customer)
        for session in (purged, kept):
            for _ in range(2):
                append(session.holder, *[said(f"word {n}") for n in range(7)]).ok(201)
                session.holder.delete("/sessions/me/messages").ok(204)
            append(session.holder, said("word")).ok(201)
        assert purged.holder.delete("/sessions/me?purge=true").ok(204) is None
        assert kept.holder.delete("/sessions/me").ok(204) is None
        assert table.of(purged.id) == table.of(kept.id) == {}
        assert len(archive.messages(kept.id)) == 15
        # The stream may still be telling of what was purged; nothing of it comes back.
        eventually(lambda: archive.of(purged.id) == [])
        for query in ("", "&query=word"):
            memory = admin.get(f"/customers/{customer}/messages?limit=1000{query}").ok()["messages"]
            assert {message["sessionId"] for message in memory} == {kept.id}
            assert len(memory) == 15

    def test_a_login_brings_what_was_said_before(self, anyone: Caller, admin: Caller) -> None:
        customer = f"c-{uuid4()}"
        session = opened(anyone)
        append(session.holder, said("Which size is the blue one?")).ok(201)
        assert admin.get(f"/customers/{customer}/messages").ok()["messages"] == []
        tokens = admin.post(f"/sessions/{session.id}/login", {"customerId": customer}).ok()["tokens"]
        holder = anyone.having(tokens["accessToken"])
        found = holder.get(f"/customers/{customer}/messages?query=sizes,%20blue").ok()["messages"]
        assert [message["content"] for message in found] == ["Which size is the blue one?"]
        assert found[0]["score"] > 0
        assert holder.get("/customers/somebody-else/messages").problem == "not-yours"


def test_the_archive_has_had_no_errors(stack: Stack, anyone: Caller, archive: Archive) -> None:
    session = opened(anyone, kind="chat")
    append(session.holder, *[said(n) for n in range(5)]).ok(201)
    eventually(lambda: len(archive.messages(session.id)) == 5, seconds=60)
    lines = "\n".join(_logs(stack))
    assert "conversations.archive" in lines
    assert [word for word in ("ERROR", "WARNING", "Traceback", "errorMessage", session.id) if word in lines] == []


def _logs(stack: Stack) -> list[str]:
    """What the archive's function has written."""
    logs, group = stack.clients.logs, "/aws/lambda/tessera-local-conversations-archive"
    return [
        event.get("message", "")
        for stream in logs.describe_log_streams(logGroupName=group)["logStreams"]
        for event in logs.get_log_events(
            logGroupName=group, logStreamName=stream.get("logStreamName", ""), startFromHead=True
        )["events"]
    ]
