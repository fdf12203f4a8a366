"""Conversations, operation by operation: append, read, pop, clear."""

import json
from typing import Any

import pytest

from tessera.errors import Unavailable
from tessera.http.body import LARGE_BYTES
from tessera.stores.memory import MemoryTable
from tessera.stores.table import Write
from tests.functions.conftest import Output
from tests.functions.service import CSRF, Answer, Context, Owner, Service
from tests.functions.talking import (
    DAY,
    MINUTE,
    append,
    archived,
    chat,
    clear,
    contents,
    everything,
    heads,
    inserted,
    pop,
    read,
    said,
    segments,
    stream,
    taken_by_ttl,
)
from tests.support.fakes import FailingStore, FakeClock, InterruptedStore

LAMBDA_BYTES = 6 * 1024 * 1024
"""What an answer of Lambda may have."""


@pytest.fixture
def owner(service: Service) -> Owner:
    return service.create(kind="chat")


class TestAppending:
    def test_an_append_answers_with_what_it_kept(self, service: Service, owner: Owner) -> None:
        answer = append(
            service, owner, said("Hello"), {"role": "assistant", "content": "Hi", "metadata": {"n": 1}}
        )
        conversation_id = answer.json["conversationId"]
        assert answer.status == 201
        assert conversation_id.startswith("cnv_")
        assert answer.json == {
            "conversationId": conversation_id,
            "firstSeq": 1,
            "lastSeq": 2,
            "messages": [
                {
                    "messageId": f"{conversation_id}.1",
                    "seq": 1,
                    "role": "user",
                    "content": "Hello",
                    "createdAt": "2026-11-20T10:03:20.000Z",
                },
                {
                    "messageId": f"{conversation_id}.2",
                    "seq": 2,
                    "role": "assistant",
                    "content": "Hi",
                    "createdAt": "2026-11-20T10:03:20.000Z",
                    "metadata": {"n": 1},
                },
            ],
        }
        assert read(service, owner) == {
            "conversationId": conversation_id,
            "messages": answer.json["messages"],
            "before": None,
        }
        session = service.call("sessions/get", "me", token=owner.token, query={}).json
        assert session["conversationId"] == conversation_id

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "text",
            'Привет \u2028\u2029\x85 "quoted" \\ \x00\x01\n🙂',
            0,
            -1.5,
            10**37,
            True,
            False,
            None,
            [],
            {},
            [1, [None, {"a": []}]],
            {"type": "image", "parts": [{"url": None}]},
        ],
        ids=repr,
    )
    def test_content_is_any_json_and_comes_back_from_table_and_archive(
        self, service: Service, owner: Owner, content: Any
    ) -> None:
        answer = append(service, owner, *[said(content, metadata={"of": content}) for _ in range(5)])
        assert answer.status == 201, answer.text
        assert stream(service, *inserted(service, owner.id)) == []
        hot = read(service, owner)
        taken_by_ttl(service, owner.id)
        assert read(service, owner) == hot
        for message in hot["messages"]:
            assert (message["content"], message["metadata"]) == (content, {"of": content})
            assert type(message["content"]) is type(content)

    @pytest.mark.parametrize("role", ["user", "assistant", "system", "tool"])
    def test_every_role_may_speak(self, service: Service, owner: Owner, role: str) -> None:
        answer = append(service, owner, {"role": role, "content": ""})
        assert answer.json["messages"][0]["role"] == role

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00.000Z"),
            ("2026-11-20t12:30:00.1239+02:30", "2026-11-20T10:00:00.123Z"),
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
            ("2026-11-20T10:08:20Z", "2026-11-20T10:08:20.000Z"),  # five minutes ahead of our clock
            (None, "2026-11-20T10:03:20.000Z"),
        ],
    )
    def test_a_client_may_say_when_it_was(
        self, service: Service, owner: Owner, given: str | None, kept: str
    ) -> None:
        append(service, owner, *[said("then", createdAt=given) for _ in range(5)])
        stream(service, *inserted(service, owner.id))
        hot = read(service, owner)["messages"]
        assert {message["createdAt"] for message in hot} == {kept}
        taken_by_ttl(service, owner.id)
        assert read(service, owner)["messages"] == hot

    @pytest.mark.parametrize(
        ("message", "pointer"),
        [
            ({"role": "user"}, "/content"),
            ({"content": "x"}, "/role"),
            ({"role": "nobody", "content": "x"}, "/role"),
            ({"role": None, "content": "x"}, "/role"),
            ({"role": "User", "content": "x"}, "/role"),
            (said("x", seq=1), "/seq"),
            (said("x", message_id="m"), "/message_id"),
            (said("x", messageId=""), "/messageId"),
            (said("x", messageId="m" * 201), "/messageId"),
            (said("x", messageId=7), "/messageId"),
            (said("x", metadata="text"), "/metadata"),
            (said("x", metadata=[]), "/metadata"),
            (said("x", metadata={"n": 1e300}), "/metadata"),
            (said("x", createdAt="yesterday"), "/createdAt"),
            (said("x", createdAt="2026-11-20"), "/createdAt"),
            (said("x", createdAt="2026-11-20T10:00:00"), "/createdAt"),
            (said("x", createdAt="2026-02-30T10:00:00Z"), "/createdAt"),
            (said("x", createdAt="1969-12-31T23:59:59Z"), "/createdAt"),
            (said("x", createdAt="1970-01-01T00:00:00+00:01"), "/createdAt"),
            (said("x", createdAt="9999-12-31T23:59:59-23:59"), "/createdAt"),
            (said("x", createdAt=1_795_168_800_000), "/createdAt"),
            (said("x", createdAt="2026-11-20T10:08:20.001Z"), "/createdAt"),
            (said("x", createdAt="2027-01-01T00:00:00Z"), "/createdAt"),
            (said({"": 1}), "/content"),
            (said(1e300), "/content"),
            ("text", ""),
        ],
        ids=lambda value: repr(value)[:60],
    )
    def test_what_is_wrong_is_named_and_nothing_is_kept(
        self, service: Service, owner: Owner, message: Any, pointer: str
    ) -> None:
        append(service, owner, said("before"))
        before = everything(service, owner.id)
        answer = append(service, owner, said("good"), message)
        assert answer.problem == (422, "invalid")
        assert [error["pointer"] for error in answer.json["errors"]] == [f"/messages/1{pointer}"]
        assert everything(service, owner.id) == before

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"messages": []},
            {"messages": [said(n) for n in range(101)]},
            {"messages": None},
            {"messages": {}},
            {"messages": said("x")},
        ],
        ids=lambda body: repr(body)[:40],
    )
    def test_a_batch_has_one_to_a_hundred_messages(self, service: Service, owner: Owner, body: Any) -> None:
        before = everything(service, owner.id)
        answer = service.call("conversations/append", "me", token=owner.token, body=body)
        assert answer.problem == (422, "invalid")
        assert answer.json["errors"][0]["pointer"] == "/messages"
        assert everything(service, owner.id) == before

    def test_a_hundred_with_ids_of_their_own_are_one_batch(self, service: Service, owner: Owner) -> None:
        """More than a transaction takes: the next append makes room for the rest of the ids."""
        batch = [said(n, messageId=f"m-{n}") for n in range(100)]
        first = append(service, owner, *batch)
        assert (first.json["firstSeq"], first.json["lastSeq"]) == (1, 100)
        assert append(service, owner, *batch).json == first.json
        assert append(service, owner, said("next")).json["firstSeq"] == 101
        assert append(service, owner, *batch).json == first.json
        assert contents(read(service, owner, limit=1_000)["messages"]) == [*range(100), "next"]

    def test_numbers_are_dense_over_all_appends(self, service: Service, owner: Owner) -> None:
        sizes, last = [1, 7, 100, 2], 0
        for size in sizes:
            answer = append(service, owner, *[said(n) for n in range(size)]).json
            assert (answer["firstSeq"], answer["lastSeq"]) == (last + 1, last + size)
            last += size
        assert [message["seq"] for message in read(service, owner, limit=1_000)["messages"]] == [*range(1, 111)]

    def test_an_append_is_one_version_and_a_repetition_none(self, service: Service, owner: Owner) -> None:
        versions = [owner.session["version"]]
        for batch in ([said(1, messageId="a"), said(2)], [said(1, messageId="a")], [said(3)]):
            append(service, owner, *batch)
            answer = service.call("sessions/get", "me", token=owner.token, query={})
            assert answer.headers["ETag"] == f'"{answer.json["version"]}"'
            versions.append(answer.json["version"])
        assert versions == [1, 2, 2, 3]


class TestRepeating:
    def test_a_repeated_message_is_the_first_one(self, service: Service, owner: Owner) -> None:
        first = append(service, owner, said("one", messageId="m-1"), said("two", messageId="m-2"))
        append(service, owner, said("three"))
        again = append(service, owner, said("other", messageId="m-1"), said("two", messageId="m-2"))
        assert (again.status, again.json) == (201, first.json)
        assert contents(read(service, owner)["messages"]) == ["one", "two", "three"]

    def test_within_a_batch_too(self, service: Service, owner: Owner) -> None:
        answer = append(service, owner, said("one", messageId="m-1"), said("x", messageId="m-1"), said("two"))
        assert [message["seq"] for message in answer.json["messages"]] == [1, 1, 2]
        assert contents(read(service, owner)["messages"]) == ["one", "two"]

    def test_the_new_ones_beside_it_are_kept(self, service: Service, owner: Owner) -> None:
        append(service, owner, said("one", messageId="m-1"))
        answer = append(service, owner, said("two", messageId="m-2"), said("one", messageId="m-1"))
        assert (answer.json["firstSeq"], answer.json["lastSeq"]) == (1, 2)
        assert contents(answer.json["messages"]) == ["two", "one"]
        assert contents(read(service, owner)["messages"]) == ["one", "two"]

    def test_an_id_of_ours_may_be_repeated(self, service: Service, owner: Owner) -> None:
        first = append(service, owner, said("one"))
        again = append(service, owner, said("one", messageId=first.json["messages"][0]["messageId"]))
        assert again.json == first.json

    def test_also_when_it_is_in_the_archive_alone(self, service: Service, owner: Owner) -> None:
        first = append(service, owner, *[said(n, messageId=f"m-{n}") for n in range(5)])
        stream(service, *inserted(service, owner.id))
        taken_by_ttl(service, owner.id)
        assert append(service, owner, said("x", messageId="m-3")).json == {
            "conversationId": first.json["conversationId"],
            "firstSeq": 4,
            "lastSeq": 4,
            "messages": [first.json["messages"][3]],
        }

    def test_also_when_its_conversation_has_ended(self, service: Service, owner: Owner) -> None:
        first = append(service, owner, said("one", messageId="m-1"))
        clear(service, owner)
        assert append(service, owner, said("one", messageId="m-1")).json == first.json
        assert read(service, owner)["messages"] == []

    def test_of_two_conversations_the_answer_is_about_the_open_one(self, service: Service, owner: Owner) -> None:
        chat(service, owner, 3)
        append(service, owner, said("old", messageId="m-4"))
        clear(service, owner)
        open_id = read(service, owner)["conversationId"]
        answer = append(service, owner, said("old", messageId="m-4"), said("new")).json
        assert (answer["conversationId"], answer["firstSeq"], answer["lastSeq"]) == (open_id, 1, 1)
        assert contents(answer["messages"]) == ["old", "new"]

    def test_what_was_popped_stays_away(self, service: Service, owner: Owner) -> None:
        append(service, owner, said("one", messageId="m-1"))
        pop(service, owner)
        answer = append(service, owner, said("one", messageId="m-1"))
        assert (answer.status, answer.json["messages"]) == (201, [])
        assert read(service, owner)["messages"] == []

    def test_ids_are_of_one_session(self, service: Service, owner: Owner) -> None:
        append(service, owner, said("one", messageId="m-1"))
        other = service.create()
        assert contents(append(service, other, said("two", messageId="m-1")).json["messages"]) == ["two"]


class TestReading:
    def test_a_session_without_messages_has_an_empty_page(self, service: Service, owner: Owner) -> None:
        assert read(service, owner) == {"conversationId": None, "messages": [], "before": None}

    def test_the_newest_hundred_come_oldest_first(self, service: Service, owner: Owner) -> None:
        append(service, owner, *[said(n) for n in range(1, 101)])
        append(service, owner, *[said(n) for n in range(101, 131)])
        page = read(service, owner)
        assert contents(page["messages"]) == [*range(31, 131)]
        assert page["before"] == 31
        assert contents(read(service, owner, before=31)["messages"]) == [*range(1, 31)]
        assert read(service, owner, before=31)["before"] is None

    @pytest.mark.parametrize("cold", [0, 12, 25], ids=lambda n: f"{n} in the archive alone")
    @pytest.mark.parametrize(
        ("query", "wanted"),
        [
            ({"limit": 3}, range(23, 26)),
            ({"limit": 1}, range(25, 26)),
            ({"limit": 1_000}, range(1, 26)),
            ({"before": 1}, range(0)),
            ({"before": 4}, range(1, 4)),
            ({"before": 14, "limit": 4}, range(10, 14)),
            ({"before": 999}, range(1, 26)),
            ({"after": 0, "limit": 2}, range(1, 3)),
            ({"after": 11, "limit": 4}, range(12, 16)),
            ({"after": 24}, range(25, 26)),
            ({"after": 25}, range(0)),
            ({"after": 999}, range(0)),
        ],
        ids=repr,
    )
    def test_pages_are_the_same_wherever_the_messages_lie(
        self, service: Service, owner: Owner, query: dict[str, int], wanted: range, cold: int
    ) -> None:
        append(service, owner, *[said(n) for n in range(1, 13)])
        if cold:
            stream(service, *inserted(service, owner.id))
            taken_by_ttl(service, owner.id)
        append(service, owner, *[said(n) for n in range(13, 26)])
        if cold == 25:
            stream(service, *inserted(service, owner.id))
            taken_by_ttl(service, owner.id)
        page = read(service, owner, **query)
        assert [message["seq"] for message in page["messages"]] == contents(page["messages"]) == [*wanted]
        assert page["before"] == (wanted.start if wanted and wanted.start > 1 else None)

    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ({"limit": "0"}, "query/limit"),
            ({"limit": "1001"}, "query/limit"),
            ({"limit": "ten"}, "query/limit"),
            ({"limit": ""}, "query/limit"),
            ({"before": "0"}, "query/before"),
            ({"before": "-1"}, "query/before"),
            ({"before": str(10**10)}, "query/before"),
            ({"before": "x"}, "query/before"),
            ({"after": "-1"}, "query/after"),
            ({"after": "1.5"}, "query/after"),
            ({"after": "1", "before": "2"}, "query/after"),
        ],
        ids=repr,
    )
    def test_a_wrong_query_is_named(
        self, service: Service, owner: Owner, query: dict[str, str], pointer: str
    ) -> None:
        answer = service.call("conversations/read", "me", token=owner.token, query=query)
        assert answer.problem == (422, "invalid")
        assert answer.json["errors"][0]["pointer"] == pointer

    def test_a_session_may_be_read_with_them(self, service: Service, owner: Owner) -> None:
        append(service, owner, *[said(n) for n in range(100)])
        append(service, owner, said("newest"))
        answer = service.call("sessions/get", "me", token=owner.token, query={"include": "messages"})
        assert contents(answer.json["messages"]) == [*range(1, 100), "newest"]
        assert answer.headers["ETag"] == '"3"'
        assert "messages" not in service.call("sessions/get", "me", token=owner.token, query={}).json

    @pytest.mark.parametrize("include", ["data,messages,activity", "activity,messages,data,messages"])
    def test_and_with_all_of_its_parts(self, service: Service, include: str) -> None:
        owner = service.create(data={"draft": {"a": 1}})
        append(service, owner, said("Hello"))
        service.call("activity/views", "me", token=owner.token, body={"views": [{"productId": "p-1"}]})
        answer = service.call("sessions/get", "me", token=owner.token, query={"include": include})
        assert answer.json["data"] == {"draft": {"a": 1}}
        assert contents(answer.json["messages"]) == ["Hello"]
        assert answer.json["activity"]["views"] == [{"productId": "p-1"}]


class TestPopping:
    def test_the_newest_goes_and_its_number_with_it(self, service: Service, owner: Owner) -> None:
        chat(service, owner, 3)
        newest = read(service, owner)["messages"][-1]
        assert pop(service, owner).json == {"message": newest}
        assert contents(read(service, owner)["messages"]) == ["message 1", "message 2"]
        assert append(service, owner, said("next")).json["firstSeq"] == 4
        assert [message["seq"] for message in read(service, owner)["messages"]] == [1, 2, 4]

    @pytest.mark.parametrize("cold", [False, True])
    def test_archived_or_not(self, service: Service, owner: Owner, *, cold: bool) -> None:
        append(service, owner, *[said(n) for n in range(1, 6)])
        stream(service, *inserted(service, owner.id))
        if cold:
            taken_by_ttl(service, owner.id)
        assert [pop(service, owner).json["message"]["content"] for _ in range(3)] == [5, 4, 3]
        assert contents(read(service, owner)["messages"]) == [1, 2]
        assert contents(read(service, owner, after=2)["messages"]) == []
        assert [pop(service, owner).json["message"] and 1 for _ in range(3)] == [1, 1, None]

    def test_what_was_popped_before_is_not_archived(self, service: Service, owner: Owner) -> None:
        append(service, owner, *[said(n) for n in range(1, 6)])
        pop(service, owner)
        stream(service, *inserted(service, owner.id))
        assert contents(archived(service, owner.id)) == [1, 2, 3, 4]

    def test_where_there_is_nothing_nothing_happens(self, service: Service, owner: Owner) -> None:
        for _ in range(2):
            before = everything(service, owner.id)
            answer = pop(service, owner)
            assert (answer.status, answer.json) == (200, {"message": None})
            assert everything(service, owner.id) == before
            chat(service, owner, 1)
            pop(service, owner)

    def test_the_content_leaves_the_table(self, service: Service, owner: Owner) -> None:
        append(service, owner, said("a secret"))
        pop(service, owner)
        assert "a secret" not in repr(everything(service, owner.id))


class TestClearing:
    def test_the_conversation_ends_and_the_next_one_is_open(self, service: Service, owner: Owner) -> None:
        ended = chat(service, owner, 3)
        answer = clear(service, owner)
        assert (answer.status, answer.text) == (204, "")
        page = read(service, owner)
        assert page["conversationId"].startswith("cnv_")
        assert page == {"conversationId": page["conversationId"], "messages": [], "before": None}
        assert page["conversationId"] != ended
        next_one = append(service, owner, said("Hello again")).json
        assert (next_one["conversationId"], next_one["firstSeq"]) == (page["conversationId"], 1)

    def test_without_messages_nothing_happens(self, service: Service, owner: Owner) -> None:
        for _ in range(2):
            before = everything(service, owner.id)
            assert clear(service, owner).status == 204
            assert everything(service, owner.id) == before
            chat(service, owner, 1)
            clear(service, owner)

    def test_nothing_is_popped_out_of_an_ended_one(self, service: Service, owner: Owner) -> None:
        chat(service, owner, 3)
        clear(service, owner)
        assert pop(service, owner).json == {"message": None}


class TestSliding:
    @pytest.mark.parametrize("name", ["append", "pop", "clear"])
    def test_a_write_slides_the_idle_timeout(self, service: Service, clock: FakeClock, name: str) -> None:
        owner = service.create()
        chat(service, owner, 1)
        clock.forward(10 * MINUTE)
        token = service.service_token()
        write: dict[str, Any] = {"token": token}
        if name == "append":
            write["body"] = {"messages": [said("x")]}
        assert service.call(f"conversations/{name}", owner.id, **write).status in (200, 201, 204)
        session = service.call("sessions/get", owner.id, token=token, query={}).json
        assert session["expiresAt"] == "2026-11-20T10:43:20.000Z"
        assert session["lastActivityAt"] == session["updatedAt"] == "2026-11-20T10:13:20.000Z"
        assert session["absoluteExpiresAt"] == owner.session["absoluteExpiresAt"]

    def test_reading_slides_nothing(self, service: Service, clock: FakeClock) -> None:
        owner = service.create()
        chat(service, owner, 1)
        clock.forward(MINUTE)
        before = everything(service, owner.id)
        read(service, owner)
        service.call("sessions/get", "me", token=owner.token, query={"include": "messages"})
        assert everything(service, owner.id) == before

    def test_a_container_that_remembers_the_session_sees_its_end(self, service: Service, clock: FakeClock) -> None:
        """What it remembers is never what decides: expiry, deletion and a new epoch are seen at once."""
        owner = service.create(ttlSeconds=60)
        chat(service, owner, 2)
        other = service.another()
        assert other.call("sessions/extend", "me", token=owner.token, body={"seconds": 30}).status == 200
        clock.forward(31)
        assert append(service, owner, said("late")).problem == (404, "session-expired")

    def test_and_its_revocation_and_deletion(self, service: Service) -> None:
        revoked, deleted = service.create(), service.create()
        for owner in (revoked, deleted):
            chat(service, owner, 2)
        other = service.another()
        other.clock.forward(1)
        other.call("tokens/revoke", token=revoked.token, body={"scope": "this"})
        other.call("sessions/delete", "me", token=deleted.token)
        for owner in (revoked, deleted):
            assert append(service, owner, said("late")).problem == (401, "token-revoked")
        assert segments(service, deleted.id) == []


class TestRacing:
    @pytest.mark.parametrize("first", ["update", "append", "pop", "clear"])
    @pytest.mark.parametrize("second", ["update", "append", "pop", "clear"])
    def test_of_two_at_once_with_the_same_version_one_wins(
        self, service: Service, owner: Owner, first: str, second: str
    ) -> None:
        """Both have read version 2; one is about to write when the other does."""
        chat(service, owner, 1)
        answers: list[Answer] = []
        table = InterruptedStore(
            service.table,
            "update" if first == "update" else "transact",
            lambda: answers.append(_insisting(service, owner, second)),
        )
        slow = Service(service.clock, service.secret, table, archive_bucket=service.archive_bucket)
        answers.append(_insisting(slow, owner, first))
        assert [answer.status for answer in answers] == [{"append": 201, "clear": 204}.get(second, 200), 412]
        assert answers[1].problem == (412, "precondition-failed")
        assert answers[1].json["version"] == 3
        session = service.call("sessions/get", "me", token=owner.token, query={}).json
        assert session["version"] == 3

    def test_without_it_both_are_kept_in_some_order(self, service: Service, owner: Owner) -> None:
        chat(service, owner, 1)
        table = InterruptedStore(service.table, "transact", lambda: append(service, owner, said("fast")))
        slow = Service(service.clock, service.secret, table)
        assert append(slow, owner, said("slow")).json["firstSeq"] == 3
        assert contents(read(service, owner)["messages"]) == ["message 1", "fast", "slow"]

    def test_an_append_that_meets_a_clear_goes_into_the_next_conversation(
        self, service: Service, owner: Owner
    ) -> None:
        ended = chat(service, owner, 2)
        table = InterruptedStore(service.table, "transact", lambda: clear(service, owner))
        slow = Service(service.clock, service.secret, table)
        answer = append(slow, owner, said("late")).json
        assert (answer["conversationId"] != ended, answer["firstSeq"]) == (True, 1)

    def test_two_pops_at_once_take_two_messages(self, service: Service, owner: Owner) -> None:
        chat(service, owner, 3)
        popped: list[Any] = []
        table = InterruptedStore(service.table, "transact", lambda: popped.append(pop(service, owner).json))
        popped.append(pop(Service(service.clock, service.secret, table), owner).json)
        assert [answer["message"]["content"] for answer in popped] == ["message 3", "message 2"]
        assert contents(read(service, owner)["messages"]) == ["message 1"]

    def test_two_that_repeat_each_other_at_once_append_once(self, service: Service, owner: Owner) -> None:
        answers: list[Answer] = []

        def send(to: Service) -> None:
            answers.append(append(to, owner, said("one", messageId="m-1"), said("two", messageId="m-2")))

        table = InterruptedStore(service.table, "transact", lambda: send(service))
        send(Service(service.clock, service.secret, table))
        assert [answer.status for answer in answers] == [201, 201]
        assert answers[0].json == answers[1].json
        assert contents(read(service, owner)["messages"]) == ["one", "two"]

    def test_a_token_that_is_revoked_meanwhile_appends_nothing(self, service: Service, owner: Owner) -> None:
        chat(service, owner, 1)
        service.clock.forward(1)
        revoke = {"token": owner.token, "body": {"scope": "this"}}
        table = InterruptedStore(service.table, "transact", lambda: service.call("tokens/revoke", **revoke))
        slow = Service(service.clock, service.secret, table)
        assert append(slow, owner, said("late")).problem == (401, "token-revoked")
        assert len(segments(service, owner.id)) == 1


class TestByCookie:
    def test_the_cookie_reads_and_with_the_header_and_origin_writes(self, service: Service, owner: Owner) -> None:
        body = {"messages": [said("Hello")]}
        by: dict[str, Any] = {"cookie": owner.cookie, "headers": CSRF}
        assert service.call("conversations/append", "me", body=body, **by).status == 201
        page = service.call("conversations/read", "me", cookie=owner.cookie, query={})
        assert contents(page.json["messages"]) == ["Hello"]
        assert service.call("conversations/pop", "me", **by).json["message"]["content"] == "Hello"
        assert service.call("conversations/clear", "me", **by).status == 204

    @pytest.mark.parametrize("headers", [{}, {"x-tessera-csrf": "1"}, {"origin": CSRF["origin"]}], ids=repr)
    def test_without_them_nothing_is_written(
        self, service: Service, owner: Owner, headers: dict[str, str]
    ) -> None:
        chat(service, owner, 1)
        before = everything(service, owner.id)
        for name, body in (("append", {"messages": [said("x")]}), ("pop", None), ("clear", None)):
            sent: dict[str, Any] = {} if body is None else {"body": body}
            answer = service.call(f"conversations/{name}", "me", cookie=owner.cookie, headers=headers, **sent)
            assert answer.problem == (403, "cross-site-request")
        assert everything(service, owner.id) == before


class TestSizes:
    def test_a_body_of_a_mebibyte_is_kept_and_read_from_wherever_it_lies(
        self, service: Service, owner: Owner
    ) -> None:
        frame = len(json.dumps({"messages": [said("")]}))
        whole = {"messages": [said("x" * (LARGE_BYTES - frame))]}
        assert len(json.dumps(whole)) == LARGE_BYTES
        answer = service.call("conversations/append", "me", token=owner.token, body=whole)
        assert answer.status == 201
        assert answer.json["messages"][0]["content"] == whole["messages"][0]["content"]
        assert all(len(repr(item)) < 400_000 for item in segments(service, owner.id))
        assert read(service, owner)["messages"] == answer.json["messages"]
        chat(service, owner, 4)
        stream(service, *inserted(service, owner.id))
        taken_by_ttl(service, owner.id)
        assert read(service, owner, limit=5)["messages"][0] == answer.json["messages"][0]

    def test_one_byte_more_is_too_large(self, service: Service, owner: Owner) -> None:
        before = everything(service, owner.id)
        text = json.dumps({"messages": [said("x" * LARGE_BYTES)]})[: LARGE_BYTES + 1]
        answer = service.call("conversations/append", "me", token=owner.token, text=text)
        assert answer.problem == (413, "content-too-large")
        assert answer.json["limit"] == LARGE_BYTES
        assert everything(service, owner.id) == before

    @pytest.mark.parametrize("letter", ["ж", "漢", "🙂", '"', "\\", "\x01", "\u2028", "x"], ids=repr)
    def test_no_answer_is_larger_than_lambda_takes(self, service: Service, owner: Owner, letter: str) -> None:
        """Whatever its letters are escaped to: once in the body, once more around it."""
        bytes_each = len(json.dumps(letter, ensure_ascii=False).encode()) - 2
        batch = [said(letter * (100_000 // bytes_each), messageId=f"m-{n}") for n in range(10)]
        body = json.dumps({"messages": batch}, ensure_ascii=False)
        for _ in range(6):
            batch = [{**message, "messageId": f"{message['messageId']}x"} for message in batch]
            body = json.dumps({"messages": batch}, ensure_ascii=False)
            answer = service.call("conversations/append", "me", token=owner.token, text=body)
            assert answer.status == 201
            assert _bytes_of(answer) < LAMBDA_BYTES
        page = service.call("conversations/read", "me", token=owner.token, query={"limit": "1000"})
        assert _bytes_of(page) < LAMBDA_BYTES
        assert len(page.json["messages"]) >= 2
        assert page.json["messages"][-1]["content"] == batch[-1]["content"]
        session = service.call("sessions/get", "me", token=owner.token, query={"include": "messages"})
        assert _bytes_of(session) < LAMBDA_BYTES

    def test_pages_of_large_messages_lead_to_all_of_them(self, service: Service, owner: Owner) -> None:
        for number in range(8):
            append(service, owner, said([number, "ж" * 150_000]))
        seen: list[int] = []
        page = read(service, owner)
        while page["messages"]:
            seen = [content[0] for content in contents(page["messages"])] + seen
            page = read(service, owner, before=page["before"]) if page["before"] else {"messages": []}
        assert seen == [*range(8)]

    def test_the_answer_to_many_large_repetitions_is_cut(self, service: Service, owner: Owner) -> None:
        for number in range(8):
            append(service, owner, said("x" * 900_000, messageId=f"m-{number}"))
        answer = append(service, owner, *[said("", messageId=f"m-{number}") for number in range(8)])
        assert (answer.status, answer.json["firstSeq"], answer.json["lastSeq"]) == (201, 1, 8)
        assert _bytes_of(answer) < LAMBDA_BYTES


class TestEnding:
    def test_deletion_keeps_the_archive_and_purge_does_not(self, service: Service) -> None:
        for purge in (False, True):
            owner = service.create(kind="chat")
            append(service, owner, said("x" * 700_000))
            chat(service, owner, 7)
            clear(service, owner)
            chat(service, owner, 3)
            query = {"purge": "true"} if purge else {}
            assert service.call("sessions/delete", "me", token=owner.token, query=query).status == 204
            assert [*service.table.query(f"SESSION#{owner.id}")] == []
            assert len(archived(service, owner.id)) == (0 if purge else 11)
            assert len(heads(service, owner.id)) == (0 if purge else 2)
            if purge:
                assert [*service.table.query(f"CONVERSATION#{owner.id}")] == []
                assert [key for key in service.archive_bucket.keys("") if owner.id in key] == []

    def test_a_deletion_while_s3_is_down_is_one_all_the_same(self, clock: FakeClock, output: Output) -> None:
        """Nobody gets in any more; what is not archived yet stays until the clean-up has brought it there."""
        bucket = FailingStore(Service(clock).archive_bucket)
        service = Service(clock, archive_bucket=bucket)
        owner = service.create(kind="chat", data={"draft": {}})
        chat(service, owner, 3)
        bucket.down = True
        assert service.call("sessions/delete", "me", token=owner.token, query={}).status == 204
        assert service.call("sessions/get", "me", token=owner.token).problem == (401, "token-revoked")
        assert len(segments(service, owner.id)) == 3
        clean = service.handler("lifecycle/cleanup")
        assert clean({}, Context(300_000))["done"] is False
        bucket.down = False
        assert clean({}, Context(300_000))["done"] is True
        assert contents(archived(service, owner.id)) == ["message 1", "message 2", "message 3"]
        assert [*service.table.query(f"SESSION#{owner.id}")] == []
        assert output.logs()

    @pytest.mark.parametrize("value", ["", "maybe", "2"])
    def test_purge_is_true_or_false(self, service: Service, owner: Owner, value: str) -> None:
        answer = service.call("sessions/delete", "me", token=owner.token, query={"purge": value})
        assert answer.problem == (422, "invalid")
        assert answer.json["errors"][0]["pointer"] == "query/purge"

    def test_an_expired_session_is_flushed_by_the_clean_up(self, service: Service, clock: FakeClock) -> None:
        owner = service.create(kind="chat", ttlSeconds=60)
        chat(service, owner, 3)
        clock.forward(60)
        run = service.handler("lifecycle/cleanup")({}, Context(300_000))
        assert (run["expired"], run["done"]) == (1, True)
        assert contents(archived(service, owner.id)) == ["message 1", "message 2", "message 3"]
        assert segments(service, owner.id) == []
        assert "endedAt" in heads(service, owner.id)[0]


class TestOutages:
    def test_small_messages_need_no_s3(self, clock: FakeClock, output: Output) -> None:
        bucket = FailingStore(Service(clock).archive_bucket)
        service = Service(clock, archive_bucket=bucket)
        owner = service.create()
        bucket.down = True
        assert append(service, owner, *[said(n) for n in range(100)]).status == 201
        assert len(read(service, owner)["messages"]) == 100
        assert pop(service, owner).json["message"]["content"] == 99
        assert clear(service, owner).status == 204
        assert not bucket.calls
        assert output.logs()

    def test_a_large_one_that_s3_does_not_take_is_not_kept(self, clock: FakeClock, output: Output) -> None:
        bucket = FailingStore(Service(clock).archive_bucket)
        service = Service(clock, archive_bucket=bucket)
        owner = service.create()
        chat(service, owner, 1)
        before = everything(service, owner.id)
        bucket.down = True
        answer = append(service, owner, said("small"), said("x" * 500_000))
        assert answer.problem == (503, "unavailable")
        assert answer.headers["Retry-After"]
        bucket.down = False
        assert everything(service, owner.id) == before
        assert output.logs()

    def test_reading_what_only_the_archive_has_says_try_again(self, clock: FakeClock, output: Output) -> None:
        bucket = FailingStore(Service(clock).archive_bucket)
        service = Service(clock, archive_bucket=bucket)
        owner = service.create()
        append(service, owner, *[said(n) for n in range(5)])
        stream(service, *inserted(service, owner.id))
        taken_by_ttl(service, owner.id)
        append(service, owner, said("hot"))
        bucket.down = True
        for name in ("conversations/read", "sessions/get"):
            query = {"include": "messages"} if name == "sessions/get" else {}
            assert service.call(name, "me", token=owner.token, query=query).problem == (503, "unavailable")
        hot = service.call("conversations/read", "me", token=owner.token, query={"limit": "1"})
        assert contents(hot.json["messages"]) == ["hot"]
        assert output.logs()

    def test_a_table_that_will_not_write_appends_nothing(self, clock: FakeClock, output: Output) -> None:
        class ReadOnly(MemoryTable):
            refusing = False

            def transact(self, writes: Any) -> None:
                if self.refusing and any(_is_segment(write) for write in writes):
                    raise Unavailable
                super().transact(writes)

        table = ReadOnly()
        service = Service(clock, table=table)
        owner = service.create()
        chat(service, owner, 1)
        before = everything(service, owner.id)
        table.refusing = True
        assert append(service, owner, said("x")).problem == (503, "unavailable")
        assert append(service, owner, said("x" * 500_000)).problem == (503, "unavailable")
        table.refusing = False
        orphans = [*service.archive_bucket.keys("overflow/")]  # the lifecycle of the bucket takes them
        assert [item for item in everything(service, owner.id) if item not in orphans] == before
        assert append(service, owner, said("y")).json["firstSeq"] == 2
        assert output.logs()


def test_no_line_holds_a_word_of_what_is_said(service: Service, output: Output) -> None:
    owner = service.login(service.create(), "customer-1")
    secret = {"messageId": "an-id-of-mine", "metadata": {"of": "a-note-of-mine"}}
    append(service, owner, said("a-word-of-mine", **secret))
    append(service, owner, said("a-word-of-mine", **secret))
    append(service, owner, said("a-word-of-mine", createdAt="a-time-of-mine"))
    append(service, owner, {"role": "a-role-of-mine", "content": "a-word-of-mine"})
    chat(service, owner, 5, prefix="a-word-of-mine")
    stream(service, *inserted(service, owner.id))
    read(service, owner)
    pop(service, owner)
    clear(service, owner)
    service.call("sessions/delete", "me", token=owner.token)
    lines = output.capsys.readouterr()
    text = lines.out + lines.err
    assert '"operation":"conversations.append"' in text
    assert "of-mine" not in text
    assert owner.id not in text
    assert "cnv_" not in text
    assert "customer-1" not in text


def test_appended_and_archived_messages_are_counted(service: Service, output: Output) -> None:
    owner = service.create()
    append(service, owner, *[said(n, messageId=f"m-{n}") for n in range(7)])
    append(service, owner, *[said(n, messageId=f"m-{n}") for n in range(7)])
    stream(service, *inserted(service, owner.id))
    metrics = output.metrics()
    assert metrics["MessagesAppended"] == [7, 0]
    assert metrics["MessagesArchived"] == [7]


def test_old_messages_leave_the_table_in_their_time(service: Service, clock: FakeClock) -> None:
    """A chat's after 30 days, whatever the session does; that of a shorter session with it."""
    chat_owner, owner = service.create(kind="chat"), service.create()
    for each in (chat_owner, owner):
        chat(service, each, 1)
    assert segments(service, chat_owner.id)[0]["ttl"] == clock() // 1_000 + 30 * DAY
    assert segments(service, owner.id)[0]["ttl"] == clock() // 1_000 + 12 * 3_600 + DAY


def _insisting(service: Service, owner: Owner, name: str) -> Answer:
    """Write under the second version."""
    headers = {"if-match": '"2"'}
    if name == "update":
        return service.call("sessions/update", "me", token=owner.token, body={"amount": 7}, headers=headers)
    if name == "append":
        return append(service, owner, said("insisting"), headers=headers)
    return (pop if name == "pop" else clear)(service, owner, headers=headers)


def _bytes_of(answer: Answer) -> int:
    """Return how large an answer is on its way out of Lambda."""
    sent = {"statusCode": answer.status, "headers": {**answer.headers}, "body": answer.text}
    return len(json.dumps(sent, ensure_ascii=False).encode())  # as Lambda's runtime writes it


def _is_segment(write: Write) -> bool:
    return write.key.sk.startswith("MSG#")
