"""Idempotency-Key: the same key and body replay the answer for a day, on a real table."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from secrets import token_urlsafe
from typing import Any

import pytest

from tessera.stores.dynamodb import DynamoTable
from tessera.stores.table import Put, Table
from tessera.stores.tiers import Tiers
from tests.functions.service import CSRF, Answer, Context, Owner, Service, cookie_value, sample
from tests.functions.talking import append, contents, pop, read, said
from tests.support.fakes import Crash, CrashingStore, FakeClock
from tests.support.faults import Fault, Faults, FaultyStore
from tests.support.tables import new_table

KEY = {"idempotency-key": "order-4711"}
EMAIL = "ada@example.com"


@pytest.fixture
def service(output: object, clock: FakeClock, client: Any) -> Iterator[Service]:  # noqa: ARG001 - loggers write there
    with new_table(client) as name:
        yield Service(
            clock, table=DynamoTable(client, name, Tiers()), client=client, environment={"TABLE_NAME": name}
        )


def test_a_repeated_creation_is_the_same_session(service: Service) -> None:
    first, second = (_create(service) for _ in range(2))
    assert first.status == second.status == 201
    assert second.json == first.json
    assert second.cookies == first.cookies
    assert second.headers["ETag"] == first.headers["ETag"]
    assert second.headers["Location"] == first.headers["Location"]
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert service.call("sessions/get", "me", token=second.json["tokens"]["accessToken"]).status == 200
    assert service.call("sessions/get", "me", cookie=cookie_value(second.cookies[0])).status == 200


def test_a_replay_is_told_where_it_is_now_not_where_it_was(service: Service) -> None:
    """Its own correlation id, origin and no-store, not those of the first request."""
    _create(service, headers={"x-correlation-id": "first", "origin": "http://localhost:1"})
    replay = _create(service, headers={"x-correlation-id": "second", "origin": "http://localhost:2"})
    assert replay.headers["X-Correlation-Id"] == "second"
    assert replay.headers["Access-Control-Allow-Origin"] == "http://localhost:2"
    assert replay.headers["Cache-Control"] == "no-store"


def test_another_body_is_refused(service: Service) -> None:
    _create(service)
    answer = _create(service, body={"kind": "chat"})
    assert answer.problem == (422, "idempotency-key-reused")


def test_another_key_or_none_is_another_session(service: Service) -> None:
    ids = {
        _create(service).json["session"]["id"],
        _create(service, headers={"idempotency-key": "order-4712"}).json["session"]["id"],
        service.create().id,
        service.create().id,
    }
    assert len(ids) == 4


def test_callers_do_not_share_keys(service: Service) -> None:
    """Neither two addresses nor two services nor a service and an address."""
    shop = service.graph.access_tokens.for_service("shop", ["admin"], 900)
    crm = service.graph.access_tokens.for_service("crm", ["admin"], 900)
    answers = [
        _create(service),
        _create(service, token=shop),
        _create(service, token=crm),
        _from_address(service, "198.51.100.9"),
    ]
    assert len({answer.json["session"]["id"] for answer in answers}) == 4
    assert not any("Idempotency-Replayed" in answer.headers for answer in answers)


def test_paths_do_not_share_keys(service: Service) -> None:
    owner = service.create()
    for name, asked in (("sessions/extend", "me"), ("sessions/extend", owner.id), ("tokens/revoke", None)):
        answer = service.call(
            name, asked, token=owner.token, headers=KEY, body={"scope": "others"} if asked is None else {}
        )
        assert answer.status == 200
        assert "Idempotency-Replayed" not in answer.headers


def test_a_prefix_is_no_other_path(service: Service) -> None:
    first = _create(service)
    prefixed = service.another(PATH_PREFIX="/api").call(
        "sessions/create", body={"email": EMAIL}, headers=KEY, rawPath="/api/sessions"
    )
    assert prefixed.json == first.json


def test_a_repeated_extension_extends_once(service: Service, clock: FakeClock) -> None:
    owner = service.create()
    first = service.call("sessions/extend", "me", token=owner.token, headers=KEY, body={"seconds": 60})
    clock.forward(10)
    second = service.call("sessions/extend", "me", token=owner.token, headers=KEY, body={"seconds": 60})
    assert second.json == first.json
    assert service.graph.sessions.find(owner.id).session.version == 2


def test_a_repeated_refresh_brings_the_same_tokens(service: Service, clock: FakeClock) -> None:
    """Also after the grace, when the token alone would be taken for a stolen one."""
    owner = service.create()
    body = {"refreshToken": owner.refresh_token}
    first = service.call("tokens/refresh", headers=KEY, body=body)
    clock.forward(60)
    second = service.call("tokens/refresh", headers=KEY, body=body)
    assert (second.status, second.json) == (200, first.json)


@pytest.mark.parametrize("by_cookie", [False, True])
def test_the_record_of_a_refresh_goes_with_its_session_too(service: Service, *, by_cookie: bool) -> None:
    owner = service.create()
    refreshed = _refresh(service, owner, by_cookie=by_cookie)
    assert refreshed.status == 200
    assert [item["pk"] for item in _records(service)] == [f"SESSION#{owner.id}"]
    service.call("sessions/delete", "me", token=owner.token, query={})
    assert not _records(service)
    assert _refresh(service, owner, by_cookie=by_cookie).problem == (401, "token-revoked")


@pytest.mark.parametrize("by_cookie", [False, True])
def test_two_browsers_behind_one_address_never_share_tokens(service: Service, *, by_cookie: bool) -> None:
    """Same address, same key, same empty body: what tells them apart is what they present."""
    ada, bob = service.create(), service.create()
    first, second = (_refresh(service, owner, by_cookie=by_cookie) for owner in (ada, bob))
    assert [answer.json["refreshToken"].partition(".")[0] for answer in (first, second)] == [ada.id, bob.id]
    assert "Idempotency-Replayed" not in second.headers


def test_a_refresh_by_cookie_is_not_replayed_to_another_site(service: Service) -> None:
    owner = service.create()
    assert _refresh(service, owner, by_cookie=True).status == 200
    foreign = CSRF | {"origin": "https://evil.example"}
    answer = service.call("tokens/refresh", cookie=owner.cookie, headers=KEY | foreign, body=None)
    assert answer.problem == (403, "cross-site-request")


@pytest.mark.parametrize("name", ["sessions/get", "sessions/update", "sessions/delete"])
def test_other_methods_know_no_key(service: Service, name: str) -> None:
    owner = service.create()
    answer = service.call(name, "me", token=owner.token, query={}, body={}, headers=KEY)
    assert answer.status in (200, 204)
    assert not _records(service)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "schlüssel", "\x7f"])
def test_a_malformed_key_is_invalid(service: Service, key: str) -> None:
    answer = _create(service, headers={"idempotency-key": key})
    assert answer.problem == (422, "invalid")
    assert answer.json["errors"][0]["pointer"] == "header/Idempotency-Key"


def test_errors_are_not_kept(service: Service) -> None:
    """They changed nothing: with what was wrong put right, the same key works."""
    owner = service.create()
    refused = service.call("sessions/extend", owner.id, token=owner.token, headers=KEY, body={"seconds": -1})
    assert refused.status == 422
    assert not _records(service)
    answer = service.call("sessions/extend", owner.id, token=owner.token, headers=KEY, body={"seconds": 60})
    assert answer.status == 200


def test_one_that_is_still_being_answered_is_a_conflict(service: Service) -> None:
    """The first container works on it, or has died a moment ago."""
    with pytest.raises(Death):
        _create(_dying(service, after=False), context=Context(60_000))
    answer = _create(service)
    assert answer.problem == (409, "idempotency-in-progress")
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize("after", [False, True], ids=["before the creation", "after the creation"])
def test_a_crash_before_the_record_makes_one_session_in_the_end(service: Service, *, after: bool) -> None:
    """The creation was done and never answered: the next try takes that session up, with new tokens."""
    with pytest.raises(Death):
        _create(_dying(service, after=after), context=Context(0))
    assert len(_sessions(service)) == after
    answer = _create(service)
    assert answer.status == 201
    assert len(_sessions(service)) == 1
    owner = Owner.of(answer)
    assert service.call("sessions/get", "me", token=owner.token, query={}).json["id"] == owner.id
    assert _create(service).json == answer.json


def test_a_session_that_was_used_since_is_not_taken_up(service: Service) -> None:
    """Whoever used it holds its tokens; a second holder must not appear."""
    with pytest.raises(Death):
        _create(_dying(service, after=True), context=Context(0))
    (session_id,) = _sessions(service)
    service.call("sessions/update", session_id, token=service.service_token(), body={"email": "b@example.com"})
    assert _create(service).problem == (409, "session-exists")


def test_another_creation_takes_no_session_up(service: Service) -> None:
    """The same key in a later request, another body: the session that has the derived id stays with its holder."""
    with pytest.raises(Death):
        _create(_dying(service, after=True), context=Context(0))
    (session_id,) = _sessions(service)
    (record,) = _records(service)
    service.client.delete_item(
        TableName=service.graph.settings.table_name, Key={name: {"S": record[name]} for name in ("pk", "sk")}
    )
    before = service.graph.sessions.find(session_id)
    assert _create(service, body={"kind": "chat", "email": "other@example.com"}).problem == (409, "session-exists")
    assert service.graph.sessions.find(session_id) == before


@pytest.mark.parametrize("text", ["Ä" * 40_000, "漢" * 40_000, '"' * 100_000])
def test_a_large_answer_in_any_script_is_kept(service: Service, text: str) -> None:
    first, second = (_create(service, body={"metadata": {"text": text}}) for _ in range(2))
    assert (first.status, second.status) == (201, 201)
    assert second.json == first.json
    assert second.headers["Idempotency-Replayed"] == "true"


def test_the_record_lies_with_its_session_and_goes_with_it(service: Service) -> None:
    owner = Owner.of(_create(service))
    service.call("sessions/extend", "me", token=owner.token, headers=KEY, body={})
    service.call("sessions/extend", owner.id, token=service.service_token(), headers=KEY, body={})
    records = _records(service)
    assert {item["pk"] for item in records} == {f"SESSION#{owner.id}"}
    assert len(records) == 3
    assert service.call("sessions/delete", "me", token=owner.token, query={}).status == 204
    assert not _records(service)


def test_the_record_ends_after_a_day(service: Service) -> None:
    _create(service)
    (record,) = _records(service)
    assert record["ttl"] == pytest.approx(time.time() + 86_400, abs=60)


def test_the_record_holds_nothing_that_could_be_read(service: Service) -> None:
    answer = _create(service)
    owner = Owner.of(answer)
    (record,) = _records(service)
    text = json.dumps(record)
    secrets = [owner.token, owner.refresh_token, owner.cookie, EMAIL, "order-4711", "203.0.113.7"]
    assert [secret for secret in secrets if secret in text] == []
    assert "tokens" not in text


def test_a_replay_opens_nothing_to_a_token_that_was_revoked_since(service: Service) -> None:
    owner = service.create()
    first = service.call("sessions/extend", "me", token=owner.token, headers=KEY, body={})
    assert first.status == 200
    service.call("tokens/revoke", token=owner.token, body={"scope": "this"})
    again = service.call("sessions/extend", "me", token=owner.token, headers=KEY, body={})
    assert again.problem == (401, "token-revoked")


def test_a_replay_does_not_serve_what_has_expired(service: Service, clock: FakeClock) -> None:
    owner = service.create(ttlSeconds=60)
    service.call("sessions/extend", "me", token=owner.token, headers=KEY, body={"seconds": 5})
    clock.forward(6)
    again = service.call("sessions/extend", "me", token=owner.token, headers=KEY, body={"seconds": 5})
    assert again.problem == (404, "session-expired")


def test_a_made_up_token_finds_no_record(service: Service) -> None:
    """A caller without a session and one with have different names, whatever the key."""
    owner = Owner.of(_create(service))
    other = service.create()
    answer = service.call("sessions/extend", "me", token=other.token, headers=KEY, body={})
    assert answer.json["id"] == other.id != owner.id


def test_a_replay_needs_the_right_to_call(service: Service) -> None:
    """A token that was revoked since, or one of nobody, sees no answer of before."""
    owner = service.create()
    assert service.call("sessions/extend", "me", token=owner.token, headers=KEY, body={}).status == 200
    assert service.call("sessions/extend", "me", headers=KEY, body={}).problem == (401, "token-missing")
    assert service.call("sessions/extend", "me", cookie=owner.cookie, headers=KEY, body={}).problem == (
        403,
        "cross-site-request",
    )
    allowed = service.call("sessions/extend", "me", cookie=owner.cookie, headers=KEY | CSRF, body={})
    assert allowed.headers["Idempotency-Replayed"] == "true"


def test_a_repeated_append_appends_once(service: Service) -> None:
    """Also without ids of the messages' own; what came in between stays where it is."""
    owner = service.create()
    first = append(service, owner, said("one"), said("two"), headers=KEY)
    append(service, owner, said("three"))
    second = append(service, owner, said("one"), said("two"), headers=KEY)
    assert (second.status, second.json) == (201, first.json)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert contents(read(service, owner)["messages"]) == ["one", "two", "three"]
    assert append(service, owner, said("other"), headers=KEY).problem == (422, "idempotency-key-reused")


def test_a_repeated_pop_takes_one_message(service: Service) -> None:
    owner = service.create()
    append(service, owner, said("one"), said("two"))
    first, second = (pop(service, owner, headers=KEY) for _ in range(2))
    assert first.json == second.json
    assert first.json["message"]["content"] == "two"
    assert contents(read(service, owner)["messages"]) == ["one"]


def test_an_append_whose_answer_was_lost_is_not_lost(service: Service) -> None:
    """The container died when it had written: by their ids the messages are known at the next try."""
    owner = service.create()
    batch = [said("one", messageId="m-1"), said("two", messageId="m-2")]
    with pytest.raises(Death):
        append(_dying(service, after=True), owner, *batch, headers=KEY, context=Context(0))
    again = append(service, owner, *batch, headers=KEY)
    assert (again.status, again.json["firstSeq"], again.json["lastSeq"]) == (201, 1, 2)
    assert contents(read(service, owner)["messages"]) == ["one", "two"]
    assert append(service, owner, *batch, headers=KEY).json == again.json


@pytest.mark.parametrize("how", ["lost", "dead before", "dead after"])
@pytest.mark.parametrize("do", ["pop", "act", "append"])
def test_what_was_done_and_never_answered_is_not_done_again(service: Service, do: str, how: str) -> None:
    """Whichever call the answer of was lost, or the container died at: the repetition tells of what was done."""
    for at in count():
        owner = _talker(service)
        try:
            first = DO[do](_failing(service, how, at), owner, headers=KEY, context=Context(0))
        except Crash:
            first = None
        second = DO[do](service, owner, headers=KEY)
        third = DO[do](service, owner, headers=KEY)
        assert (second.status, second.json) == (third.status, third.json)
        assert second.status in (200, 201), second.text
        assert first is None or first.status == 503 or first.json == second.json
        said_now, recorded = _left(service, owner)
        assert (said_now, recorded) == {
            "pop": (["one"], []),
            "act": (["one", "two"], ["a", "b"]),
            "append": (["one", "two", "three", "four"], []),
        }[do]
        if do == "pop":
            assert second.json["message"]["content"] == "two"
        if do == "act":
            assert [action["details"]["name"] for action in second.json["actions"]] == ["a", "b"]
        if first is not None and first.status != 503:
            assert at > 2
            return


@pytest.mark.parametrize("do", ["pop", "act"])
def test_another_body_after_an_answer_that_was_lost_is_refused_too(service: Service, do: str) -> None:
    owner = _talker(service)
    with pytest.raises(Death):
        DO[do](_dying(service, after=True), owner, headers=KEY, context=Context(0))
    body = {"actions": [{"action": "item_added"}]}
    answer = DO[do](service, owner, headers=KEY, body=body)
    assert answer.problem == (422, "idempotency-key-reused")
    assert DO[do](service, owner, headers=KEY).status in (200, 201)
    assert _left(service, owner) == ((["one"], []) if do == "pop" else (["one", "two"], ["a", "b"]))


@pytest.mark.parametrize("do", ["pop", "act"])
def test_one_that_may_still_be_at_work_is_a_conflict_not_a_second_time(service: Service, do: str) -> None:
    owner = _talker(service)
    with pytest.raises(Death):
        DO[do](_dying(service, after=True), owner, headers=KEY, context=Context(60_000))
    assert DO[do](service, owner, headers=KEY).problem == (409, "idempotency-in-progress")


@pytest.mark.parametrize("do", ["pop", "act"])
def test_what_was_found_done_is_told_as_a_repetition(service: Service, do: str) -> None:
    """Also with the If-Match of the first request, whose version it has itself left behind."""
    owner = _talker(service)
    version = service.graph.sessions.find(owner.id).session.version
    headers = KEY | {"if-match": f'"{version}"'}
    with pytest.raises(Death):
        DO[do](_dying(service, after=True), owner, headers=headers, context=Context(0))
    again = DO[do](service, owner, headers=headers)
    assert again.status in (200, 201), again.text
    assert again.headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("do", ["pop", "act", "append"])
def test_who_sends_no_key_leaves_nothing(service: Service, do: str) -> None:
    owner = _talker(service)
    before = {item["sk"] for item in _items(service)}
    assert DO[do](service, owner).status in (200, 201)
    new = {item["sk"] for item in _items(service) if item["pk"] == f"SESSION#{owner.id}"} - before
    assert not [sk for sk in new if not sk.startswith(("ACT#", "MSG#"))]


def test_messages_without_ids_get_the_same_ones_at_each_repetition(service: Service) -> None:
    """And other ones under another key, or with another body: what differs is never taken for a repetition."""
    owner = service.create()
    batch = [said("one"), said("two", messageId="m-2"), said("three")]
    with pytest.raises(Death):
        append(_dying(service, after=True), owner, *batch, headers=KEY, context=Context(0))
    again = append(service, owner, *batch, headers=KEY).json
    assert [message["messageId"] for message in again["messages"]][1] == "m-2"
    other = append(service, owner, *batch, headers={"idempotency-key": "another"}).json
    ids = [message["messageId"] for answer in (again, other) for message in answer["messages"]]
    assert len({*ids}) == 5
    assert contents(read(service, owner)["messages"]) == ["one", "two", "three", "one", "three"]


def test_an_append_that_is_refused_may_be_sent_again(service: Service) -> None:
    """Only successes are kept: an error has changed nothing."""
    owner = service.create()
    refused = append(service, owner, said("one"), headers=KEY | {"if-match": '"7"'})
    assert refused.problem == (412, "precondition-failed")
    assert append(service, owner, said("one"), headers=KEY).status == 201


def test_what_is_too_large_to_be_replayed_is_not_done_again(service: Service) -> None:
    """No record takes an answer that does not shrink, like this one; that it was done, it takes."""
    owner = service.create()
    append(service, owner, said("one"), said("two"))
    large = said(token_urlsafe(300_000))
    first, second = (append(service, owner, large, headers=KEY) for _ in range(2))
    assert first.status == 201
    assert second.problem == (409, "answer-not-kept")
    assert len(read(service, owner)["messages"]) == 3
    first, second = (pop(service, owner, headers=KEY) for _ in range(2))
    assert first.json["message"]["content"] == large["content"]
    assert second.problem == (409, "answer-not-kept")
    assert contents(read(service, owner)["messages"]) == ["one", "two"]


def test_a_large_creation_finds_its_session_again(service: Service) -> None:
    body = {"metadata": {"text": token_urlsafe(180_000)}, "email": EMAIL}
    first, second = (_create(service, body=body) for _ in range(2))
    assert (first.status, second.status) == (201, 201), second.text
    assert second.json["session"]["id"] == first.json["session"]["id"]


def test_a_failing_table_answers_503_and_does_nothing(service: Service) -> None:
    nowhere = service.another(TABLE_NAME="of-nobody")
    answer = _create(nowhere)
    assert answer.problem == (503, "unavailable")
    assert not _sessions(service)


class Death(BaseException):
    """The end of a container, which no handler of exceptions sees."""


class _DyingTable:
    def __init__(self, table: Table, *, after: bool) -> None:
        self._table, self._after = table, after

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._table, verb)

    def transact(self, puts: Sequence[Put]) -> None:
        if self._after:
            self._table.transact(puts)
        raise Death


def _act(service: Service, owner: Owner, **how: Any) -> Answer:
    body = {"actions": [{"action": "item_added", "details": {"name": name}} for name in "ab"]}
    how = {"body": body, "token": owner.token, "route": "POST /sessions/{sessionId}/cart/actions"} | how
    return service.call("activity/cart", "me", **how)


def _append(service: Service, owner: Owner, **how: Any) -> Answer:
    return append(service, owner, said("three"), said("four"), **how)


DO = {"pop": pop, "act": _act, "append": _append}


def _talker(service: Service) -> Owner:
    """Return who has a cart and has said two things."""
    owner = service.create(cartId="cart-1")
    append(service, owner, said("one"), said("two"))
    return owner


def _left(service: Service, owner: Owner) -> tuple[list[str], list[str]]:
    """Return what is said, and what was recorded of the cart, in its order."""
    query = {"include": "activity"}
    actions = service.call("sessions/get", "me", token=owner.token, query=query).json["activity"]["cartActions"]
    names = [action["details"]["name"] for action in reversed(actions)]
    return contents(read(service, owner)["messages"]), names


def _failing(service: Service, how: str, at: int) -> Service:
    """Return a container that loses the answer of that call to the table, or dies at it."""
    if how == "lost":
        faults = Faults()
        faults.come(*[None] * at, Fault.LOST)
        return replace(service, table=FaultyStore(service.table, faults))
    return replace(service, table=CrashingStore(service.table, at, after=how == "dead after"))


def _create(service: Service, headers: dict[str, str] | None = None, **options: Any) -> Answer:
    options = {"body": {"email": EMAIL}} | options
    return service.call("sessions/create", headers=KEY | (headers or {}), **options)


def _refresh(service: Service, owner: Owner, *, by_cookie: bool) -> Answer:
    if by_cookie:
        return service.call("tokens/refresh", cookie=owner.cookie, headers=KEY | CSRF, body=None)
    return service.call("tokens/refresh", headers=KEY, body={"refreshToken": owner.refresh_token})


def _from_address(service: Service, address: str) -> Answer:
    request = sample("sessions/create")["requestContext"]
    request["http"]["sourceIp"] = address
    return _create(service, requestContext=request)


def _dying(service: Service, *, after: bool) -> Service:
    """Return a container that dies just before or just after it writes the session."""
    table: Any = _DyingTable(service.table, after=after)
    return Service(service.clock, service.secret, table, service.client, service.environment)


def _items(service: Service) -> list[dict[str, Any]]:
    table = service.environment["TABLE_NAME"]
    found = service.client.scan(TableName=table)["Items"]
    return [
        {
            name: (value.get("S") or value) if "N" not in value else int(float(value["N"]))
            for name, value in item.items()
        }
        for item in found
    ]


def _records(service: Service) -> list[dict[str, Any]]:
    return [item for item in _items(service) if item["sk"].startswith("IDEMPOTENCY#")]


def _sessions(service: Service) -> list[str]:
    return [item["id"] for item in _items(service) if item["sk"] == "CORE"]
