"""What becomes of a conversation's calls on the wire: batches, pages, ids."""

from typing import Any

import httpx
import pytest

from tessera_client import NewMessage, Problem, Tessera
from tests.client.fakes import BASE, HALF, Faulty, LostAnswer, answers, problem


def client(way: Any) -> Tessera:
    return Tessera(BASE, "token", transport=httpx.MockTransport(way), retry=HALF, sleep=lambda _: None)


def said(count: int, text: str = "x") -> list[NewMessage]:
    return [{"role": "user", "content": text} for _ in range(count)]


def kept(*seqs: int) -> dict[str, Any]:
    messages = [{"messageId": str(seq), "seq": seq, "role": "user", "content": "x"} for seq in seqs]
    return {"conversationId": "cnv_a", "messages": messages}


def page(*seqs: int, before: int | None = None, conversation: str = "cnv_a") -> dict[str, Any]:
    return {**kept(*seqs), "conversationId": conversation, "before": before}


class TestAppend:
    def test_more_than_a_hundred_go_in_several_requests_in_order(self) -> None:
        way = Faulty(answers(kept(*range(1, 101)), kept(*range(101, 201)), kept(201)))
        assert [message["seq"] for message in client(way).conversation().append(said(201))] == [*range(1, 202)]
        assert [len(body["messages"]) for body in way.bodies] == [100, 100, 1]

    @pytest.mark.parametrize(("length", "sizes"), [(400_000, [2, 2, 1]), (524_000, [2, 2, 1]), (524_288, [1] * 5)])
    def test_what_is_too_large_for_one_request_goes_in_several(self, length: int, sizes: list[int]) -> None:
        way = Faulty(answers(*[kept(1)] * 5))
        client(way).conversation().append(said(5, "x" * length))
        assert [len(body["messages"]) for body in way.bodies] == sizes
        assert all(len(request.content) <= 1024 * 1024 for request in way.requests)

    def test_bytes_count_not_characters(self) -> None:
        way = Faulty(answers(kept(1), kept(2)))
        client(way).conversation().append(said(2, "\N{HOT BEVERAGE}" * 200_000))
        assert len(way.requests) == 2

    def test_a_message_that_no_request_holds_is_sent_and_refused(self) -> None:
        way = Faulty(answers(problem(413, "content-too-large", limit=1_048_576)))
        with pytest.raises(Problem, match="413 content-too-large"):
            client(way).conversation().append(said(1, "x" * 1_100_000))

    def test_every_message_has_an_id_before_it_is_sent_and_keeps_it(self) -> None:
        way = Faulty(answers(kept(1, 2), kept(1, 2)), [LostAnswer])
        client(way).conversation().append([*said(1), {"role": "user", "content": "x", "messageId": "mine"}])
        first, second = way.bodies
        assert first == second
        made, own = (message["messageId"] for message in first["messages"])
        assert (len(made), own) == (36, "mine")

    def test_nothing_is_no_request(self) -> None:
        assert client(answers()).conversation().append([]) == []

    def test_a_session_is_named_in_the_path(self) -> None:
        way = Faulty(answers(kept(1)))
        client(way).conversation("a/b").append(said(1))
        assert way.requests[0].url.raw_path == b"/prod/sessions/a%2Fb/messages"

    @pytest.mark.parametrize("content", [float("nan"), "\ud800", object()])
    def test_what_is_not_json_is_not_sent(self, content: Any) -> None:
        with pytest.raises((ValueError, TypeError)):
            client(answers()).conversation().append([{"role": "user", "content": content}])


def params(way: Faulty) -> list[dict[str, str]]:
    return [dict(request.url.params) for request in way.requests]


def seqs(messages: list[Any]) -> list[int]:
    return [message["seq"] for message in messages]


class TestRead:
    def test_all_of_it_is_read_backwards_and_comes_oldest_first(self) -> None:
        way = Faulty(answers(page(5, 6, before=5), page(3, 4, before=3), page(1, 2)))
        assert seqs(client(way).conversation().read()) == [1, 2, 3, 4, 5, 6]
        assert params(way) == [
            {"limit": "1000"},
            {"limit": "1000", "before": "5"},
            {"limit": "1000", "before": "3"},
        ]

    def test_no_more_than_the_limit_is_asked_for(self) -> None:
        way = Faulty(answers(page(*range(1001, 2001), before=1001), page(*range(501, 1001), before=501)))
        assert seqs(client(way).conversation().read(1_500)) == [*range(501, 2001)]
        assert [asked["limit"] for asked in params(way)] == ["1000", "500"]

    def test_a_page_may_hold_less_than_was_asked_for(self) -> None:
        way = Faulty(answers(page(9, before=9), page(8, before=8), page(7, before=7)))
        assert seqs(client(way).conversation().read(3)) == [7, 8, 9]

    def test_what_lies_before_a_number(self) -> None:
        way = Faulty(answers(page(3, 4, before=3)))
        assert seqs(client(way).conversation().read(2, before=5)) == [3, 4]
        assert params(way) == [{"limit": "2", "before": "5"}]

    def test_what_came_after_a_number(self) -> None:
        way = Faulty(answers(page(4, 5), page(6), page()))
        assert seqs(client(way).conversation().read(after=3)) == [4, 5, 6]
        assert [asked["after"] for asked in params(way)] == ["3", "5", "6"]

    def test_none_are_no_request(self) -> None:
        assert client(answers()).conversation().read(0) == []

    def test_an_end_between_two_pages_begins_the_reading_anew(self) -> None:
        """Never the end of one conversation and the beginning of another."""
        new = page(1, conversation="cnv_b")
        way = Faulty(answers(page(5, 6, before=5), new, new))
        assert seqs(client(way).conversation().read()) == [1]


class TestPop:
    def test_a_repetition_after_a_lost_answer_takes_nothing_more(self) -> None:
        way = Faulty(answers({"message": None}, {"message": None}), [LostAnswer])
        assert client(way).conversation().pop() is None
        first, second = (request.headers["idempotency-key"] for request in way.requests)
        assert first == second

    def test_each_call_is_one_of_its_own(self) -> None:
        way = Faulty(answers({"message": None}, {"message": None}))
        conversation = client(way).conversation()
        conversation.pop()
        conversation.pop()
        first, second = (request.headers["idempotency-key"] for request in way.requests)
        assert first != second


def test_recall_asks_by_query() -> None:
    way = Faulty(answers({"messages": [], "complete": True}))
    assert client(way).recall("customer 17", "tea & milk", limit=5)["complete"]
    assert way.requests[0].url.raw_path == b"/prod/customers/customer%2017/messages?limit=5&query=tea+%26+milk"


def test_a_session_is_created_once_though_the_answer_was_lost() -> None:
    made = {"session": {"id": "ses_a"}, "tokens": {"accessToken": "a", "refreshToken": "r"}}
    way = Faulty(answers(made, made, kept(1)), [LostAnswer])
    transport = httpx.MockTransport(way)
    tessera = Tessera.create_session(
        BASE, kind="chat", body={"email": "ada@example.org"}, transport=transport, sleep=lambda _: None
    )
    assert tessera.session_id == "ses_a"
    assert way.bodies == [{"kind": "chat", "email": "ada@example.org"}] * 2
    first, second = (request.headers["idempotency-key"] for request in way.requests)
    assert first == second
    tessera.conversation().append(said(1))
    assert way.requests[2].headers["authorization"] == "Bearer a"
    assert way.requests[2].url.path == "/prod/sessions/ses_a/messages"
