"""What the DynamoDB table makes of the SDK's errors, and that it tells how long each call took."""

from typing import Any

import pytest

from tessera.errors import (
    Cancelled,
    Contended,
    ContentTooLarge,
    Misconfigured,
    Stale,
    TesseraError,
    Throttled,
    Unavailable,
)
from tessera.model.changes import Change
from tessera.stores.dynamodb import DynamoTable
from tessera.stores.table import BY_EXPIRY, Key, Put, Table
from tessera.stores.tiers import L2, Tiers
from tests.support.fakes import RefusingClient

KEY = Key("SESSION#x", "CORE")
VERBS: dict[str, Any] = {
    "get": lambda table: table.get(KEY),
    "get_many": lambda table: table.get_many([KEY]),
    "update": lambda table: table.update(KEY, Change({("a",): 1})),
    "transact": lambda table: table.transact([Put({**KEY._asdict()})]),
    "query": lambda table: list(table.query("SESSION#x")),
    "query_between": lambda table: list(table.query_between("SESSION#x", "A", "Z")),
    "query_index": lambda table: table.query_index(BY_EXPIRY, "x", limit=1),
    "delete": lambda table: table.delete(KEY),
    "delete_many": lambda table: table.delete_many([KEY]),
}


def refusing(code: str | None, **details: Any) -> Table:
    return DynamoTable(RefusingClient(code, **details), "table", Tiers(), sleep=lambda _: None)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("ProvisionedThroughputExceededException", Throttled),
        ("InternalServerError", Unavailable),
        ("SomethingNew", Unavailable),
        ("AccessDeniedException", Misconfigured),
        ("ResourceNotFoundException", Misconfigured),
        ("ItemCollectionSizeLimitExceededException", ContentTooLarge),
        (None, Unavailable),
    ],
)
def test_every_verb_translates_the_errors_of_aws(verb: str, code: str | None, meaning: type[TesseraError]) -> None:
    with pytest.raises(meaning) as refused:
        VERBS[verb](refusing(code))
    assert type(refused.value) is meaning
    assert refused.value.__cause__ is not None


def test_a_broken_condition_brings_the_item_that_was_there() -> None:
    with pytest.raises(Stale) as stale:
        VERBS["update"](refusing("ConditionalCheckFailedException", Item={"pk": {"S": "x"}, "n": {"N": "1"}}))
    assert stale.value.found == {"pk": "x", "n": 1}
    with pytest.raises(Stale) as nothing:
        VERBS["update"](refusing("ConditionalCheckFailedException"))
    assert nothing.value.found is None


@pytest.mark.parametrize(
    ("reasons", "meaning"),
    [
        (["None", "ConditionalCheckFailed"], Cancelled),
        (["TransactionConflict", "ConditionalCheckFailed"], Cancelled),
        (["TransactionConflict", "None"], Contended),
        (["ThrottlingError"], Throttled),
        (["ProvisionedThroughputExceeded"], Throttled),
        (["None", "ValidationError"], Misconfigured),
        (["ItemCollectionSizeLimitExceeded"], Unavailable),
        ([], Unavailable),
    ],
)
def test_a_cancelled_transaction_ends_for_its_first_reason(
    reasons: list[str], meaning: type[TesseraError]
) -> None:
    details = {"CancellationReasons": [{"Code": reason} for reason in reasons]}
    with pytest.raises(meaning) as refused:
        VERBS["transact"](refusing("TransactionCanceledException", **details))
    assert type(refused.value) is meaning
    if isinstance(refused.value, Cancelled):
        assert refused.value.failed == {1}


def test_the_time_of_a_call_counts_also_when_it_fails() -> None:
    tiers = Tiers()
    with pytest.raises(Unavailable):
        DynamoTable(RefusingClient(None), "table", tiers).get(KEY)
    assert set(tiers.spent) == {L2}
    assert tiers.server_timing().startswith("L2;dur=")
    tiers.reset()
    assert (tiers.spent, tiers.server_timing(), tiers.degraded) == ({}, "", False)
