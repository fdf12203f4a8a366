"""How the client asks: when it asks again, how long it waits, how it renews its tokens."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from tessera_client import AsyncTessera, Problem, Retry, Tessera, Tokens, Unreachable
from tests.client.fakes import BASE, HALF, Fault, Faulty, LostAnswer, answers, problem

EMPTY = {"conversationId": None, "messages": [], "before": None}
RENEWED = {"accessToken": "second", "refreshToken": "next", "expiresIn": 900}


def expired() -> httpx.Response:
    return problem(401, "token-expired")


def client(way: Any, waits: list[float] | None = None, retry: Retry = HALF, **how: Any) -> Tessera:
    told = [] if waits is None else waits
    return Tessera(BASE, "first", transport=httpx.MockTransport(way), retry=retry, sleep=told.append, **how)


NOT_NOW: list[Fault] = [
    problem(503, "unavailable"),
    problem(429, "too-many-requests"),
    problem(409, "idempotency-in-progress"),
    httpx.Response(502, json={"message": "Bad Gateway"}),
    httpx.Response(504, text="nothing"),
    httpx.ConnectError,
    httpx.ReadTimeout,
    httpx.RemoteProtocolError,
]


@pytest.mark.parametrize("fault", NOT_NOW, ids=str)
def test_what_may_pass_is_asked_again(fault: Fault) -> None:
    way = Faulty(answers(EMPTY), [fault, fault])
    assert client(way).conversation().read() == []
    assert len(way.requests) == 3


@pytest.mark.parametrize(
    "refusal",
    [
        problem(404, "session-expired"),
        problem(403, "not-yours"),
        problem(409, "conflict"),
        problem(500, "internal-error"),
    ],
    ids=lambda refusal: str(refusal.status_code),
)
def test_what_will_not_pass_raises_at_once(refusal: httpx.Response) -> None:
    way = Faulty(answers(EMPTY), [refusal])
    with pytest.raises(Problem) as raised:
        client(way).conversation().read()
    assert (raised.value.status, len(way.requests)) == (refusal.status_code, 1)


def test_a_problem_tells_all_that_the_service_said() -> None:
    errors = [{"pointer": "/messages/0/role", "detail": "unknown"}]
    refusal = problem(422, "invalid", detail="Look there", errors=errors, limit=7)
    with pytest.raises(Problem, match="422 invalid: Look there: /messages/0/role unknown") as raised:
        client(answers(refusal)).conversation().read()
    told = raised.value
    assert (told.status, told.slug, told.title) == (422, "invalid", "Invalid")
    assert (told.detail, told.errors, told.members["limit"]) == ("Look there", errors, 7)


@pytest.mark.parametrize("body", ["nonsense", "[]", "{"])
def test_an_answer_that_is_no_proper_problem_keeps_its_status(body: str) -> None:
    refusal = httpx.Response(403, text=body, headers={"content-type": "application/problem+json"})
    with pytest.raises(Problem, match="403 Forbidden") as raised:
        client(answers(refusal)).conversation().read()
    assert (raised.value.slug, raised.value.detail) == ("", None)


def test_waits_double_under_full_jitter_up_to_the_longest() -> None:
    waits: list[float] = []
    retry = Retry(tries=6, first_wait=1, longest_wait=4, random=lambda: 0.5)
    with pytest.raises(Problem):
        client(answers(*[problem(503, "unavailable")] * 6), waits, retry).conversation().read()
    assert waits == [0.5, 1, 2, 2, 2]


def test_no_try_comes_before_retry_after() -> None:
    """And the jitter comes on top: all the others were told the same second."""
    waits: list[float] = []
    retry = Retry(first_wait=1, random=lambda: 0.25)
    way = answers(problem(429, "too-many-requests", retry_after="7"), EMPTY)
    client(way, waits, retry).conversation().read()
    assert waits == [7.25]


def test_retry_after_may_be_a_date() -> None:
    waits: list[float] = []
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    client(answers(problem(503, "unavailable", retry_after=at), EMPTY), waits).conversation().read()
    assert 20 < waits[0] < 31


@pytest.mark.parametrize("header", ["soon", "-1", ""])
def test_a_retry_after_that_says_nothing_is_not_heard(header: str) -> None:
    waits: list[float] = []
    client(answers(problem(503, "unavailable", retry_after=header), EMPTY), waits).conversation().read()
    assert waits == [0.1]


def test_who_is_told_to_wait_beyond_its_patience_raises_at_once() -> None:
    waits: list[float] = []
    way = Faulty(answers(EMPTY), [problem(429, "too-many-requests", retry_after="3600")])
    with pytest.raises(Problem) as raised:
        client(way, waits).conversation().read()
    assert (raised.value.retry_after, waits, len(way.requests)) == (3600, [], 1)


def test_no_answer_at_all_is_unreachable_and_tells_the_cause() -> None:
    with pytest.raises(Unreachable, match="ConnectError") as raised:
        client(Faulty(answers(), [httpx.ConnectError] * 6)).conversation().read()
    assert isinstance(raised.value.__cause__, httpx.ConnectError)


class TestTokens:
    def test_an_expired_access_token_is_renewed_and_the_request_repeated(self) -> None:
        told: list[Tokens] = []
        way = Faulty(answers(expired(), RENEWED, EMPTY))
        tessera = client(way, refresh_token="used", on_refresh=told.append)
        assert tessera.conversation().read() == []
        assert [request.headers.get("authorization") for request in way.requests] == [
            "Bearer first",
            None,
            "Bearer second",
        ]
        assert way.requests[1].url == f"{BASE}/tokens/refresh"
        assert way.bodies == [{"refreshToken": "used"}]
        assert told == [Tokens("second", "next")]
        assert tessera.account.tokens == Tokens("second", "next")

    def test_it_is_renewed_once_and_no_more(self) -> None:
        way = Faulty(answers(expired(), RENEWED, expired()))
        with pytest.raises(Problem) as raised:
            client(way, refresh_token="used").conversation().read()
        assert (raised.value.slug, len(way.requests)) == ("token-expired", 3)

    def test_without_a_refresh_token_there_is_nothing_to_do(self) -> None:
        with pytest.raises(Problem, match="token-expired"):
            client(answers(expired())).conversation().read()

    def test_a_revoked_token_is_not_renewed(self) -> None:
        with pytest.raises(Problem, match="token-revoked"):
            client(answers(problem(401, "token-revoked")), refresh_token="used").conversation().read()

    def test_a_refresh_whose_answer_was_lost_is_repeated(self) -> None:
        way = Faulty(answers(expired(), RENEWED, RENEWED, EMPTY), [None, LostAnswer])
        client(way, refresh_token="used").conversation().read()
        assert way.bodies == [{"refreshToken": "used"}] * 2

    def test_a_refresh_that_is_refused_says_so(self) -> None:
        with pytest.raises(Problem, match="token-revoked"):
            client(answers(expired(), problem(401, "token-revoked")), refresh_token="x").conversation().read()

    def test_what_another_thread_has_renewed_is_not_renewed_again(self) -> None:
        """A refresh token that is used twice, and late, looks like a thief's."""
        way = Faulty(answers(expired(), EMPTY))
        tessera = client(way, refresh_token="used")
        late = httpx.MockTransport(lambda request: _meanwhile(tessera, way(request)))
        other = client(late.handler)
        other.account = tessera.account
        assert other.conversation().read() == []
        assert [str(request.url.path) for request in way.requests] == ["/prod/sessions/me/messages"] * 2

    def test_twenty_tasks_that_find_the_token_expired_end_with_one_pair(self) -> None:
        told: list[Tokens] = []

        def service(request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/tokens/refresh"):
                return httpx.Response(200, json=RENEWED)
            return (
                expired()
                if request.headers["authorization"] == "Bearer first"
                else httpx.Response(200, json=EMPTY)
            )

        async def read_at_once() -> None:
            transport = httpx.MockTransport(service)
            async with AsyncTessera(
                BASE, "first", refresh_token="used", on_refresh=told.append, transport=transport
            ) as tessera:
                await asyncio.gather(*(tessera.conversation().read() for _ in range(20)))

        asyncio.run(read_at_once())
        assert told == [Tokens("second", "next")]


def _meanwhile(tessera: Tessera, answer: httpx.Response) -> httpx.Response:
    tessera.account.renew(tessera.account.tokens, Tokens("second", "next"))
    return answer


def test_tokens_do_not_show_in_a_log() -> None:
    assert "secret" not in repr(Tokens("secret", "secret"))


def test_no_cookie_is_taken() -> None:
    """A creation sets one. It shares the refresh token: who uses both looks like a thief."""
    cookie = {"set-cookie": "__Host-tessera=x; Path=/; Secure"}
    way = Faulty(answers(httpx.Response(200, json=EMPTY, headers=cookie), EMPTY))
    conversation = client(way).conversation()
    conversation.read()
    conversation.read()
    assert "cookie" not in way.requests[1].headers


def test_one_client_serves_several_event_loops() -> None:
    transport = httpx.MockTransport(answers(EMPTY, EMPTY))
    tessera = AsyncTessera(BASE, "first", transport=transport)
    assert asyncio.run(tessera.conversation().read()) == []
    assert asyncio.run(tessera.conversation().read()) == []


def test_waiting_leaves_the_loop_to_others() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    transport = httpx.MockTransport(answers(problem(503, "unavailable"), EMPTY))
    tessera = AsyncTessera(BASE, "first", transport=transport, retry=HALF, sleep=sleep)
    assert asyncio.run(tessera.conversation().read()) == []
    assert waits == [0.1]
