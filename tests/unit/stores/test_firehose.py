"""Facts by Firehose: batches within its limits, and what it refuses of them again, for a while."""

from typing import Any

import pytest

from tessera.errors import Misconfigured, Throttled, Unavailable
from tessera.stores.facts import Fact
from tessera.stores.firehose import MAX_BYTES, MAX_RECORDS, FirehoseFacts
from tessera.stores.tiers import L3, Tiers
from tests.support.fakes import RefusingClient


class FakeFirehose:
    """A delivery stream that refuses each record so many times, one by one, as Firehose may."""

    def __init__(self, refusals: int = 0, code: str = "ServiceUnavailableException") -> None:
        self.taken: list[bytes] = []
        self.requests: list[int] = []
        self._refusals, self._code = refusals, code
        self._seen: dict[bytes, int] = {}

    def put_record_batch(self, *, DeliveryStreamName: str, Records: list[dict[str, bytes]]) -> Any:  # noqa: N803 - the SDK's names
        assert DeliveryStreamName == "facts"
        assert len(Records) <= 500
        assert sum(len(record["Data"]) for record in Records) <= 4 * 1024 * 1024
        self.requests.append(len(Records))
        answers = [self._one(record["Data"]) for record in Records]
        failed = sum("ErrorCode" in answer for answer in answers)
        return {"FailedPutCount": failed, "RequestResponses": answers}

    def _one(self, data: bytes) -> dict[str, str]:
        self._seen[data] = self._seen.get(data, 0) + 1
        if self._seen[data] <= self._refusals * (len(self._seen) % 2):
            return {"ErrorCode": self._code, "ErrorMessage": "Slow down."}
        self.taken.append(data)
        return {"RecordId": "1"}


def facts(number: int, details: str = "{}") -> list[Fact]:
    return [
        Fact(fact="event", id=str(n), session=None, customer=None, at_ms=n, name="page_viewed", details=details)
        for n in range(number)
    ]


def sent(client: Any, told: list[Fact]) -> tuple[Tiers, list[float]]:
    tiers, pauses = Tiers(), list[float]()
    FirehoseFacts(lambda: client, "facts", tiers, pauses.append).put(told)
    return tiers, pauses


def test_a_fact_is_a_line() -> None:
    client = FakeFirehose()
    tiers, pauses = sent(client, facts(1))
    line = b'{"fact":"event","id":"0","session":null,"customer":null,"at_ms":0,"name":"page_viewed","cart":null,'
    assert client.taken == [line + b'"variation":null,"details":"{}"}\n']
    assert L3 in tiers.spent
    assert pauses == []


@pytest.mark.parametrize("number", [0, 1, MAX_RECORDS, MAX_RECORDS + 1, 3 * MAX_RECORDS])
def test_a_request_has_so_many_records(number: int) -> None:
    client = FakeFirehose()
    sent(client, facts(number))
    assert len(client.taken) == number
    assert len(client.requests) == -(-number // MAX_RECORDS)


def test_a_request_has_so_many_bytes() -> None:
    client = FakeFirehose()
    sent(client, facts(30, details="x" * (MAX_BYTES // 10)))
    assert len(client.taken) == 30
    assert len(client.requests) == 4


def test_what_is_refused_of_a_batch_is_sent_again_alone() -> None:
    client = FakeFirehose(refusals=2)
    told = facts(10)
    _, pauses = sent(client, told)
    assert sorted(client.taken) == sorted(fact.line().encode() for fact in told)
    assert client.requests[0] == 10 > client.requests[1] >= client.requests[-1]
    assert all(0 <= pause <= 0.1 * 2**place for place, pause in enumerate(pauses))


@pytest.mark.parametrize(
    ("code", "error"), [("ServiceUnavailableException", Unavailable), ("ThrottlingException", Throttled)]
)
def test_in_the_end_it_gives_up(code: str, error: type[Exception]) -> None:
    client = FakeFirehose(refusals=99, code=code)
    with pytest.raises(error):
        sent(client, facts(3))
    assert len(client.requests) == 5


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ServiceUnavailableException", Unavailable),
        ("ThrottlingException", Throttled),
        (None, Unavailable),
        ("ResourceNotFoundException", Misconfigured),
        ("InvalidArgumentException", Misconfigured),
    ],
)
def test_the_errors_of_the_sdk_are_ours(code: str | None, error: type[Exception]) -> None:
    with pytest.raises(error):
        sent(RefusingClient(code), facts(1))


def test_no_client_is_made_before_there_is_something_to_tell() -> None:
    FirehoseFacts(lambda: pytest.fail("made"), "facts", Tiers()).put([])
