"""A customer's memory: whose it is, what is in it, in which order, and what a query finds."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.functions.conftest import Output
from tests.functions.service import Answer, Context, Owner, Service
from tests.functions.talking import (
    append,
    chat,
    clear,
    contents,
    inserted,
    pop,
    recall,
    said,
    stream,
    sweep,
    taken_by_ttl,
)
from tests.support.fakes import FailingStore, FakeClock, InterruptedStore

CUSTOMER = "customer-1"


@pytest.fixture
def owner(service: Service, clock: FakeClock) -> Owner:
    return _customer(service, clock)


class TestWhose:
    def test_a_session_sees_the_memory_of_its_own_customer(self, service: Service, owner: Owner) -> None:
        conversation_id = chat(service, owner, 2)
        answer = recall(service, CUSTOMER, token=owner.token)
        assert answer.status == 200
        assert answer.json == {
            "messages": [
                {
                    "messageId": f"{conversation_id}.{seq}",
                    "seq": seq,
                    "role": "user",
                    "content": f"message {seq}",
                    "createdAt": "2026-11-20T10:03:21.000Z",
                    "sessionId": owner.id,
                    "conversationId": conversation_id,
                }
                for seq in (2, 1)
            ],
            "complete": True,
        }

    @pytest.mark.parametrize("asked", ["customer-2", "unknown", "me", "customer-1 ", "CUSTOMER-1", "memory:x"])
    def test_and_of_no_other_known_or_not(
        self, service: Service, clock: FakeClock, owner: Owner, asked: str
    ) -> None:
        other = _customer(service, clock, "customer-2")
        chat(service, other, 1)
        answers = [recall(service, who, token=owner.token) for who in (asked, "nobody-at-all")]
        assert {answer.problem for answer in answers} == {(403, "not-yours")}
        assert answers[0].text == answers[1].text

    def test_a_session_without_a_customer_has_no_memory(self, service: Service) -> None:
        owner = service.create()
        chat(service, owner, 1)
        for asked in (CUSTOMER, owner.id, "None", "null"):
            assert recall(service, asked, token=owner.token).problem == (403, "not-yours")

    def test_a_service_sees_that_of_any(self, service: Service, owner: Owner) -> None:
        chat(service, owner, 1)
        reader = service.service_token("sessions:read")
        assert contents(recall(service, CUSTOMER, token=reader).json["messages"]) == ["message 1"]
        assert recall(service, "unknown", token=reader).json == {"messages": [], "complete": True}
        writer = service.service_token("sessions:write", "customers:write")
        assert recall(service, CUSTOMER, token=writer).problem == (403, "scope-missing")

    def test_the_cookie_opens_it_too(self, service: Service, clock: FakeClock) -> None:
        owner = _customer(service, clock)
        chat(service, owner, 1)
        answer = service.call(
            "conversations/recall",
            cookie=owner.cookie,
            query={},
            rawPath=f"/customers/{CUSTOMER}/messages",
            pathParameters={"customerId": CUSTOMER},
        )
        assert contents(answer.json["messages"]) == ["message 1"]

    def test_an_expired_session_sees_nothing_and_a_deleted_one_is_revoked(
        self, service: Service, clock: FakeClock
    ) -> None:
        expired, deleted = (_customer(service, clock, ttlSeconds=60) for _ in range(2))
        service.call("sessions/delete", "me", token=deleted.token)
        clock.forward(60)
        assert recall(service, CUSTOMER, token=expired.token).problem == (404, "session-expired")
        assert recall(service, CUSTOMER, token=deleted.token).problem == (401, "token-revoked")

    @pytest.mark.parametrize(
        "customer_id",
        [
            "a@example.com",
            "auth0|5f7c",
            "a b",
            "Äö",
            "漢字",
            "a+b&c=d",
            "x" * 200,
            "a%b",
            "50%25",
            "x%41y",
            "'",
            "#1",
            'a"b',
            "what?",
            "a\\b",
            "..",
            "ü" * 200,
        ],
    )
    def test_a_customer_may_have_an_id_of_another_system(
        self, service: Service, clock: FakeClock, customer_id: str
    ) -> None:
        owner = _customer(service, clock, customer_id)
        chat(service, owner, 1)
        for token in (owner.token, service.service_token()):
            for raw in (customer_id, quote(customer_id, safe="")):  # gateways decode the path, or leave it
                answer = recall(service, customer_id, token=token, raw=raw)
                assert answer.status == 200, answer.text
                assert contents(answer.json["messages"]) == ["message 1"]


class TestWhat:
    def test_all_conversations_of_all_sessions_newest_first(
        self, service: Service, clock: FakeClock, owner: Owner
    ) -> None:
        other = _customer(service, clock, kind="chat")
        for name in ("a", "b"):
            for each in (owner, other):
                clock.forward(1)
                append(service, each, said(f"{name}1"))
                clock.forward(1)
                append(service, each, said(f"{name}2"))
            clear(service, owner)
        wanted = ["b2", "b1", "b2", "b1", "a2", "a1", "a2", "a1"]
        found = recall(service, CUSTOMER, token=owner.token).json["messages"]
        assert contents(found) == wanted
        assert [message["sessionId"] for message in found[:4]] == [other.id] * 2 + [owner.id] * 2
        assert contents(recall(service, CUSTOMER, token=owner.token, limit=3).json["messages"]) == wanted[:3]

    @pytest.mark.parametrize("where", ["table", "both", "archive"])
    def test_wherever_they_lie(self, service: Service, owner: Owner, where: str) -> None:
        append(service, owner, *[said(n) for n in range(5)])
        if where != "table":
            stream(service, *inserted(service, owner.id))
        if where == "archive":
            taken_by_ttl(service, owner.id)
        append(service, owner, said(5), said(6))
        found = recall(service, CUSTOMER, token=owner.token).json["messages"]
        assert contents(found) == [6, 5, 4, 3, 2, 1, 0]

    def test_a_login_brings_the_earlier_conversations(self, service: Service, clock: FakeClock) -> None:
        owner = service.create()
        chat(service, owner, 5, prefix="ended")
        stream(service, *inserted(service, owner.id))
        clear(service, owner)
        chat(service, owner, 1, prefix="open")
        assert recall(service, CUSTOMER, token=service.service_token()).json["messages"] == []
        clock.forward(1)
        owner = service.login(owner, CUSTOMER)
        found = recall(service, CUSTOMER, token=owner.token).json["messages"]
        assert sorted(contents(found)) == [*(f"ended {n}" for n in range(1, 6)), "open 1"]
        chat(service, owner, 1, prefix="later")
        assert len(recall(service, CUSTOMER, token=owner.token).json["messages"]) == 7

    def test_a_login_beside_the_first_message_misses_nothing(self, service: Service) -> None:
        """The message's session is read without a customer; when it is written, there is one."""
        owner, token = service.create(), service.service_token()
        service.clock.forward(1)
        table = InterruptedStore(service.table, "transact", lambda: service.login(owner, CUSTOMER))
        slow = Service(service.clock, service.secret, table)
        body = {"messages": [said("first")]}
        assert slow.call("conversations/append", owner.id, token=token, body=body).status == 201
        assert contents(recall(service, CUSTOMER, token=token).json["messages"]) == ["first"]

    def test_what_was_popped_is_forgotten(self, service: Service, owner: Owner) -> None:
        append(service, owner, *[said(f"word {n}") for n in range(6)])
        stream(service, *inserted(service, owner.id))
        pop(service, owner)
        pop(service, owner)
        for query in ({}, {"query": "word"}):
            found = recall(service, CUSTOMER, token=owner.token, **query).json["messages"]
            assert sorted(contents(found)) == ["word 0", "word 1", "word 2", "word 3"]

    def test_what_found_no_room_is_told(self, service: Service, owner: Owner) -> None:
        for n in range(5):
            append(service, owner, said("x" * 900_000, messageId=f"large-{n}"))
        answer = recall(service, CUSTOMER, token=owner.token).json
        assert 1 <= len(answer["messages"]) < 5
        assert answer["complete"] is False
        assert recall(service, CUSTOMER, token=owner.token, limit=1).json["complete"] is True

    def test_the_session_may_be_gone_when_its_conversations_are_purged(
        self, service: Service, owner: Owner
    ) -> None:
        """A second deletion, with purge, finds what the first one has left: that is no 404."""
        admin = service.service_token()
        chat(service, owner, 3)
        for query, status, left in (({}, 204, 3), ({"purge": "true"}, 204, 0), ({"purge": "true"}, 404, 0)):
            assert service.call("sessions/delete", owner.id, token=admin, query=query).status == status
            assert len(recall(service, CUSTOMER, token=admin).json["messages"]) == left

    @pytest.mark.parametrize("purge", [False, True])
    def test_a_deleted_session_is_remembered_unless_it_is_purged(
        self, service: Service, clock: FakeClock, owner: Owner, *, purge: bool
    ) -> None:
        other = _customer(service, clock)
        chat(service, owner, 7)
        chat(service, other, 1, prefix="other")
        query = {"purge": "true"} if purge else {}
        assert service.call("sessions/delete", "me", token=owner.token, query=query).status == 204
        for words in ({}, {"query": "message other"}):
            found = recall(service, CUSTOMER, token=other.token, **words).json["messages"]
            assert len(found) == (1 if purge else 8)

    def test_an_expired_one_too_until_its_retention_is_over(self, service: Service, clock: FakeClock) -> None:
        owner = _customer(service, clock, kind="chat", ttlSeconds=60)
        chat(service, owner, 3)
        clock.forward(60)
        service.handler("lifecycle/cleanup")({}, Context(300_000))
        token = service.service_token
        assert len(recall(service, CUSTOMER, token=token()).json["messages"]) == 3
        clock.forward(365 * 86_400 - 1)
        sweep(service)
        assert len(recall(service, CUSTOMER, token=token()).json["messages"]) == 3
        clock.forward(2)
        sweep(service)
        assert recall(service, CUSTOMER, token=token()).json["messages"] == []
        assert [*service.archive_bucket.keys("")] == []


class TestByQuery:
    def test_the_most_relevant_come_first_with_their_score(self, service: Service, owner: Owner) -> None:
        for text in ("The blue shirt", "Something else", "Blue, blue and blue!", "Shirts in red"):
            append(service, owner, said(text))
        found = recall(service, CUSTOMER, token=owner.token, query="blue shirt").json
        assert found["complete"] is True
        assert contents(found["messages"])[0] == "The blue shirt"
        assert set(contents(found["messages"])[1:]) == {"Blue, blue and blue!", "Shirts in red"}
        scores = [message["score"] for message in found["messages"]]
        assert scores == sorted(scores, reverse=True)
        assert all(isinstance(score, float) for score in scores)
        best = recall(service, CUSTOMER, token=owner.token, query="blue shirt", limit=1).json["messages"]
        assert contents(best) == ["The blue shirt"]

    @pytest.mark.parametrize(
        ("query", "wanted"),
        [
            ("RUNNING", ["I run every day"]),
            ("cafe", ["Café Müller"]),
            ("muller", ["Café Müller"]),
            ("привет", ["Привет, мир"]),
            ("мир, привет", ["Привет, мир"]),
            ("sku-17", ["sku 17"]),
            ("nested", [{"parts": ["nested", {"deep": "word"}]}]),
            ("deep", [{"parts": ["nested", {"deep": "word"}]}]),
            ("absent", []),
            ("!?*", []),
            ('"', []),
            ("NEAR(run day)", ["I run every day"]),
            ("run AND absent", ["I run every day"]),
            ("text: run*", ["I run every day"]),
            ("a,b&c=d%", []),
            ("word " * 150, [{"parts": ["nested", {"deep": "word"}]}]),
        ],
        ids=lambda value: repr(value)[:30],
    )
    def test_words_match_in_any_form_and_no_query_is_a_program(
        self, service: Service, owner: Owner, query: str, wanted: list[Any]
    ) -> None:
        for content in ("I run every day", "Café Müller", "Привет, мир", "sku 17", "Else"):
            append(service, owner, said(content))
        append(service, owner, said({"parts": ["nested", {"deep": "word"}]}))
        answer = recall(service, CUSTOMER, token=owner.token, query=query)
        assert answer.status == 200, answer.text
        assert contents(answer.json["messages"]) == wanted

    def test_it_looks_into_the_archive(self, service: Service, owner: Owner) -> None:
        append(service, owner, said("a needle"), *[said("hay") for _ in range(9)])
        stream(service, *inserted(service, owner.id))
        taken_by_ttl(service, owner.id)
        clear(service, owner)
        append(service, owner, said("hay"))
        found = recall(service, CUSTOMER, token=owner.token, query="needle").json["messages"]
        assert contents(found) == ["a needle"]

    def test_without_time_it_says_that_it_is_not_complete(self, service: Service, owner: Owner) -> None:
        append(service, owner, *[said(f"needle {n}") for n in range(20)])
        hurried = _Ticking(4_010)
        found = recall(service, CUSTOMER, token=owner.token, query="needle", context=hurried).json
        assert found["complete"] is False
        assert 0 < len(found["messages"]) < 20

    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ({"limit": "0"}, "query/limit"),
            ({"limit": "1001"}, "query/limit"),
            ({"limit": "x"}, "query/limit"),
            ({"query": ""}, "query/query"),
            ({"query": "x" * 1_001}, "query/query"),
        ],
        ids=lambda value: repr(value)[:30],
    )
    def test_a_wrong_query_is_named(
        self, service: Service, owner: Owner, query: dict[str, str], pointer: str
    ) -> None:
        answer = recall(service, CUSTOMER, token=owner.token, **query)
        assert answer.problem == (422, "invalid")
        assert answer.json["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("words", [{}, {"query": "needle"}], ids=repr)
@pytest.mark.parametrize("letter", ["ж", '"', "\x01"], ids=repr)
def test_no_answer_is_larger_than_lambda_takes(
    service: Service, owner: Owner, letter: str, words: dict[str, str]
) -> None:
    for _ in range(7):
        append(service, owner, *[said("needle " + letter * 17_000) for _ in range(9)])
    answer = recall(service, CUSTOMER, token=owner.token, limit=1_000, **words)
    assert answer.status == 200
    assert len(answer.json["messages"]) > 1
    assert _bytes_of(answer) < 6 * 1024 * 1024


@pytest.mark.parametrize("words", [{}, {"query": "word"}], ids=repr)
def test_a_failing_table_or_archive_says_try_again(
    clock: FakeClock, output: Output, words: dict[str, str]
) -> None:
    plain = Service(clock)
    table, bucket = FailingStore(plain.table), FailingStore(plain.archive_bucket)
    service = Service(clock, table=table, archive_bucket=bucket)
    owner = _customer(service, clock)
    append(service, owner, *[said(f"word {n}") for n in range(5)])
    stream(service, *inserted(service, owner.id))
    taken_by_ttl(service, owner.id)
    token = service.service_token()
    for store in (table, bucket):
        store.down = True
        answer = recall(service, CUSTOMER, token=token, **words)
        assert answer.problem == (503, "unavailable")
        assert answer.headers["Retry-After"]
        store.down = False
    assert len(recall(service, CUSTOMER, token=token, **words).json["messages"]) == 5
    assert output.logs()


def test_no_line_holds_the_customer_the_query_or_a_word(service: Service, owner: Owner, output: Output) -> None:
    chat(service, owner, 1, prefix="of-mine")
    for asked in (CUSTOMER, "customer-of-mine"):
        recall(service, asked, token=owner.token, query="word-of-mine")
    lines = output.capsys.readouterr()
    text = lines.out + lines.err
    assert '"operation":"conversations.recall"' in text
    assert "of-mine" not in text
    assert CUSTOMER not in text


class _Ticking(Context):
    """A context whose time goes by a millisecond at each look."""

    def get_remaining_time_in_millis(self) -> int:
        self.milliseconds -= 1
        return self.milliseconds


def _customer(service: Service, clock: FakeClock, customer_id: str = CUSTOMER, **body: Any) -> Owner:
    """Create a session of a customer."""
    owner = service.create(**body)
    clock.forward(1)
    return service.login(owner, customer_id)


def _bytes_of(answer: Answer) -> int:
    sent = {"statusCode": answer.status, "headers": {**answer.headers}, "body": answer.text}
    return len(json.dumps(sent, ensure_ascii=False).encode())  # as Lambda's runtime writes it
