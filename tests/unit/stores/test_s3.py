"""What the bucket in S3 makes of the SDK's errors, and how it reads many side by side."""

from io import BytesIO
from threading import Barrier, Lock
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from tessera.errors import (
    Contended,
    ContentTooLarge,
    Misconfigured,
    TesseraError,
    Throttled,
    Unavailable,
)
from tessera.stores.bucket import Bucket
from tessera.stores.s3 import AHEAD, THREADS, S3Bucket
from tessera.stores.tiers import L3, Tiers
from tests.support.fakes import RefusingClient

VERBS: dict[str, Any] = {
    "get": lambda bucket: bucket.get("a"),
    "get_many": lambda bucket: list(bucket.get_many(["a", "b"])),
    "put": lambda bucket: bucket.put("a", b""),
    "put_new": lambda bucket: bucket.put_new("a", b""),
    "keys": lambda bucket: list(bucket.keys("a")),
    "delete_many": lambda bucket: bucket.delete_many(["a"]),
}

MEANINGS: dict[str | None, type[TesseraError]] = {
    "SlowDown": Throttled,
    "InternalError": Unavailable,
    "SomethingNew": Unavailable,
    "503": Unavailable,
    "ConditionalRequestConflict": Contended,
    "AccessDenied": Misconfigured,
    "NoSuchBucket": Misconfigured,
    "EntityTooLarge": ContentTooLarge,
    None: Unavailable,
}


def refusing(code: str | None) -> Bucket:
    return S3Bucket(RefusingClient(code), "bucket", Tiers())


@pytest.mark.parametrize("code", MEANINGS)
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_what_an_error_of_s3_means(verb: str, code: str | None) -> None:
    with pytest.raises(MEANINGS[code]) as refused:
        VERBS[verb](refusing(code))
    assert (type(refused.value), refused.value.__cause__ is None) == (MEANINGS[code], False)


@pytest.mark.parametrize(("verb", "answer"), [("get", None), ("get_many", [None, None])])
def test_a_missing_key_is_none_where_it_is_asked_for(verb: str, answer: Any) -> None:
    assert VERBS[verb](refusing("NoSuchKey")) == answer


def test_a_key_that_is_there_refuses_a_new_body_and_nothing_else() -> None:
    assert VERBS["put_new"](refusing("PreconditionFailed")) is False
    with pytest.raises(Unavailable):
        VERBS["put"](refusing("PreconditionFailed"))


class PartlyDeletingClient:
    """An S3 client that deletes all but some."""

    def __init__(self, code: str) -> None:
        self._code = code

    def delete_objects(self, **_: Any) -> Any:
        return {"Errors": [{"Key": "a", "Code": self._code, "Message": "no"}]}


@pytest.mark.parametrize(
    ("code", "meaning"),
    [("InternalError", Unavailable), ("SlowDown", Throttled), ("AccessDenied", Misconfigured)],
)
def test_what_could_not_be_deleted_is_told(code: str, meaning: type[TesseraError]) -> None:
    with pytest.raises(meaning):
        S3Bucket(PartlyDeletingClient(code), "bucket", Tiers()).delete_many(["a", "b"])


class Broken(BytesIO):
    """A body whose connection ends."""

    def read(self, size: int | None = -1, /) -> bytes:  # noqa: ARG002 - as BytesIO has it
        raise ReadTimeoutError(endpoint_url="http://127.0.0.1:1")


class Reading:
    """An S3 client that has every key; it answers when `at_once` ask together."""

    def __init__(self, at_once: int = 1, *, broken: str = "") -> None:
        self._together, self._broken = Barrier(at_once, timeout=10), broken
        self._lock = Lock()
        self.asked: list[str] = []

    def get_object(self, *, Key: str, **_: Any) -> Any:  # noqa: N803 - the SDK's name
        with self._lock:
            self.asked.append(Key)
        self._together.wait()
        return {"Body": Broken() if Key == self._broken else BytesIO(Key.encode())}


def test_many_are_read_side_by_side() -> None:
    tiers = Tiers()
    keys = [str(number) for number in range(4 * THREADS)]
    assert list(S3Bucket(Reading(THREADS), "bucket", tiers).get_many(keys)) == [key.encode() for key in keys]
    assert set(tiers.spent) == {L3}


def test_reading_ends_with_the_first_that_fails() -> None:
    keys = [str(number) for number in range(1_000)]
    client = Reading(broken="3")
    bodies = S3Bucket(client, "bucket", Tiers()).get_many(keys)
    assert [next(bodies) for _ in range(3)] == [b"0", b"1", b"2"]
    with pytest.raises(Unavailable):
        next(bodies)
    assert list(bodies) == []
    assert len(client.asked) <= AHEAD + 3
