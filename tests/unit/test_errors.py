"""The tree of errors is the drawn one, each problem has its page, and the SDK's errors are all translated."""

import re
from itertools import pairwise
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from tessera import errors
from tessera.errors import (
    AWS_ERRORS,
    Cancelled,
    Contended,
    Invalid,
    Misconfigured,
    PoisonedItem,
    Problem,
    SessionExpired,
    Stale,
    TesseraError,
    TooManyRequests,
    Unavailable,
    from_aws,
)
from tests.template.reading import ROOT

_LINE = re.compile(r"(?P<indent>[│ ├└─]*)(?P<name>\w+) *(?P<status>\d{3})? *(?P<rest>.*)")
CALLED = {
    "dynamodb": [
        *["GetItem", "BatchGetItem", "UpdateItem", "TransactWriteItems", "Query", "DeleteItem", "BatchWriteItem"],
        "PutItem",  # by Powertools' idempotency
    ],
    "secretsmanager": ["GetSecretValue"],
    "firehose": ["PutRecordBatch"],
    "events": ["PutEvents"],
    "sqs": ["SendMessage"],
    "athena": ["StartQueryExecution", "GetQueryExecution", "GetQueryResults"],
    "s3": ["GetObject", "PutObject", "ListObjectsV2", "DeleteObjects"],
}
CAUGHT_WHERE_THE_CONDITION_IS_SET = {
    *["ConditionalCheckFailedException", "TransactionCanceledException"],
    *["NoSuchKey", "PreconditionFailed"],
}
# Every AWS service may answer these, though no model lists them (the "Common Errors" of the API references).
COMMON = {
    *["AccessDeniedException", "ExpiredTokenException", "InternalFailure", "RequestTimeout", "ServiceUnavailable"],
    *["ThrottlingException", "UnrecognizedClientException", "ValidationException"],
}
# S3 models few of its errors; these are what its list of error codes has for reading, writing, listing, deleting.
OF_S3 = {
    *["AccessDenied", "AllAccessDisabled", "AuthorizationHeaderMalformed", "BadDigest", "EntityTooLarge"],
    *["ConditionalRequestConflict", "ExpiredToken", "InternalError", "InvalidAccessKeyId", "InvalidArgument"],
    *["InvalidObjectState", "InvalidRequest", "KeyTooLongError", "MalformedXML", "MethodNotAllowed"],
    *["NoSuchBucket", "NoSuchKey", "OperationAborted", "PermanentRedirect", "PreconditionFailed"],
    *["RequestTimeout", "ServiceUnavailable", "SignatureDoesNotMatch", "SlowDown"],
}


def below(root: type[TesseraError]) -> dict[str, type[TesseraError]]:
    """Return every error under `root` by its name."""
    return {
        name: found
        for error in root.__subclasses__()
        for name, found in ({error.__name__: error} | below(error)).items()
    }


PROBLEMS = [Problem, *(error for error in below(TesseraError).values() if issubclass(error, Problem))]
ANSWERED = [problem for problem in PROBLEMS if problem is not Problem]


def drawn() -> dict[str, tuple[str | None, str | None]]:
    """Read the drawing: each name with its parent and the status beside it."""
    document = (errors.__doc__ or "").partition("\n\n")[2].partition("\n\n")[0].splitlines()
    tree: dict[str, tuple[str | None, str | None]] = {}
    above: list[tuple[int, str]] = []
    for line in document:
        found = _LINE.fullmatch(line)
        assert found, line
        depth, name = len(found["indent"]), found["name"]
        above = [(indent, parent) for indent, parent in above if indent < depth]
        tree[name] = (above[-1][1] if above else None, found["status"])
        above.append((depth, name))
        children = found["rest"].split(" · ") if "·" in found["rest"] else [found["rest"]]
        for child in children:
            if found["status"] and re.fullmatch(r"[A-Z]\w+", child):
                tree[child] = (name, found["status"])
    return tree


def test_the_tree_is_drawn_as_it_is() -> None:
    real = {"TesseraError": None} | {
        name: e.__base__.__name__ for name, e in below(TesseraError).items() if e.__base__
    }
    assert {name: parent for name, (parent, _) in drawn().items()} == real


def test_the_drawing_says_the_status_of_each_problem() -> None:
    for name, (_, status) in drawn().items():
        error = getattr(errors, name)
        if error in ANSWERED:
            assert str(error.status) == status, name


def test_every_error_of_the_module_hangs_on_the_tree() -> None:
    own = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert own == {"TesseraError", *below(TesseraError)}


def test_each_problem_has_a_slug_and_a_title_of_its_own() -> None:
    slugs = [problem.slug for problem in ANSWERED]
    assert len(set(slugs)) == len(slugs)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", slug) for slug in slugs)
    assert all(problem.title and 400 <= problem.status < 600 for problem in ANSWERED)


def test_a_child_has_the_status_of_its_parent() -> None:
    for problem in ANSWERED:
        line = [error for error in problem.__mro__ if error in ANSWERED]
        assert all(child.status == parent.status for child, parent in pairwise(line))


@pytest.mark.parametrize("problem", ANSWERED, ids=lambda problem: problem.slug)
def test_docs_problems_explains_each_problem(problem: type[Problem]) -> None:
    """A row: status, slug, what it means, what to do; under the heading of its status."""
    page = (ROOT / "docs" / "problems.md").read_text()
    section = re.search(rf"^## {problem.status} .*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section, f"docs/problems.md has no heading for {problem.status}"
    row = re.search(rf"^\| `{problem.slug}` \| (.+) \| (.+) \|$", section[0], re.MULTILINE)
    assert row, f"docs/problems.md has no row for {problem.slug} under {problem.status}"
    assert all(len(cell.split()) > 2 for cell in row.groups())


def test_docs_problems_explains_nothing_else() -> None:
    page = (ROOT / "docs" / "problems.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)
    assert sorted(rows) == sorted(problem.slug for problem in ANSWERED)


# --- what they carry ---------------------------------------------------------------------------------


def test_a_problem_is_an_rfc_9457_document_with_a_relative_type() -> None:
    assert SessionExpired().as_json() == {
        "type": "/problems/session-expired",
        "title": "The session has expired",
        "status": 404,
    }
    assert Invalid("why", errors=[]).as_json()["detail"] == "why"


def test_an_invalid_request_points_at_its_places() -> None:
    assert Invalid.at("/email", "is none").members == {"errors": [{"pointer": "/email", "detail": "is none"}]}


def test_evidence_is_carried() -> None:
    assert Stale({"a": 1}).found == {"a": 1}
    cancelled = Cancelled(frozenset({1, 2}), {1: {"a": 1}, 2: None})
    assert (cancelled.failed, cancelled.found) == ({1, 2}, {1: {"a": 1}, 2: None})
    assert PoisonedItem("ses_x").key == "ses_x"
    over = TooManyRequests("requests", limit=600, window=60, reset=7)
    assert over.members == {"policy": "requests", "limit": 600, "window": 60}
    assert over.reset == 7


# --- the SDK's errors --------------------------------------------------------------------------------


def modelled(service: str) -> set[str]:
    """Return the codes of the errors that the operations which we call may answer, from botocore's own model."""
    model = ServiceModel(Loader().load_service_model(service, "service-2"))
    shapes: list[Any] = [shape for name in CALLED[service] for shape in model.operation_model(name).error_shapes]
    return {shape.error_code for shape in shapes}


@pytest.mark.parametrize("service", CALLED)
def test_every_error_that_an_operation_may_answer_is_translated(service: str) -> None:
    assert modelled(service) - CAUGHT_WHERE_THE_CONDITION_IS_SET - AWS_ERRORS.keys() == set()


def test_the_common_errors_are_translated() -> None:
    assert COMMON - AWS_ERRORS.keys() == set()
    assert OF_S3 - CAUGHT_WHERE_THE_CONDITION_IS_SET - AWS_ERRORS.keys() == set()


def test_what_a_condition_decided_is_not_in_the_table() -> None:
    assert not CAUGHT_WHERE_THE_CONDITION_IS_SET & AWS_ERRORS.keys()


@pytest.mark.parametrize("store", ["dynamodb", "s3"])
def test_the_list_of_operations_is_what_the_store_calls(store: str) -> None:
    source = (ROOT / f"layers/tessera/python/tessera/stores/{store}.py").read_text()
    called = set(re.findall(r'_(?:call|drained)\(\s*"([a-z0-9_]+)"', source))
    assert {name.title().replace("_", "") for name in called} == set(CALLED[store]) - {"PutItem"}


@pytest.mark.parametrize("code", [*AWS_ERRORS, "SomethingNew", ""])
def test_a_code_becomes_a_retryable_problem_or_stops_the_function(code: str) -> None:
    meaning = from_aws(code)
    if isinstance(meaning, Misconfigured):
        assert code in str(meaning)
    else:
        assert isinstance(meaning, Problem)
        assert code not in repr(meaning.as_json()) or not code
        assert meaning.retry_after or not isinstance(meaning, Unavailable)


def test_an_unknown_code_counts_as_an_outage() -> None:
    assert type(from_aws("SomethingNew")) is Unavailable
    assert type(from_aws("TransactionConflictException")) is Contended
