"""Problems as HTTP answers."""

import json
from typing import Any

import pytest

from tessera import errors
from tessera.errors import (
    IllegalMove,
    IllegalTransition,
    Invalid,
    MalformedJson,
    PreconditionFailed,
    Problem,
    TooManyRequests,
    Unavailable,
)
from tessera.http.problems import answer, of_validation
from tests.unit.test_errors import ANSWERED


def body(problem: Problem) -> Any:
    return json.loads(answer(problem)["body"])


@pytest.mark.parametrize("problem", [p for p in ANSWERED if p is not TooManyRequests], ids=lambda p: p.slug)
def test_each_problem_is_an_answer(problem: type[Problem]) -> None:
    given = answer(problem())
    assert given["statusCode"] == problem.status
    assert given["headers"]["Content-Type"] == "application/problem+json"
    assert (given["cookies"], given["isBase64Encoded"]) == ([], False)
    assert body(problem()) == {
        "type": f"/problems/{problem.slug}",
        "title": problem.title,
        "status": problem.status,
    }
    assert ("Retry-After" in given["headers"]) == (problem.retry_after is not None)


def test_every_503_says_when_to_come_back() -> None:
    for problem in ANSWERED:
        if issubclass(problem, Unavailable):
            assert int(answer(problem())["headers"]["Retry-After"]) >= 1


def test_a_member_never_hides_what_every_problem_has() -> None:
    """As `status` once did: the HTTP status, not that of a session."""
    for problem in (
        IllegalTransition(allowed=["processing"]),
        IllegalMove(allowed=[2]),
        PreconditionFailed(version=3),
    ):
        assert body(problem)["status"] == problem.status
        assert body(problem)["type"] == f"/problems/{problem.slug}"
        assert body(problem).items() >= problem.members.items()


def test_over_the_limit_the_answer_says_of_which_and_until_when() -> None:
    given = answer(TooManyRequests("creations", limit=100, window=60, reset=7))
    assert given["headers"] == {
        "Content-Type": "application/problem+json",
        "RateLimit": '"creations";r=0;t=7',
        "RateLimit-Policy": '"creations";q=100;w=60',
        "Retry-After": "7",
    }
    assert json.loads(given["body"])["policy"] == "creations"


def error(loc: tuple[Any, ...], kind: str = "string_type", msg: str = "Input should be a valid string") -> Any:
    return {"loc": loc, "type": kind, "msg": msg, "input": "s3cret"}


@pytest.mark.parametrize(
    ("loc", "pointer"),
    [
        (("body",), ""),
        (("body", "email"), "/email"),
        (("body", "products", 0, "sku"), "/products/0/sku"),
        (("body", "metadata", "a/b", "c~d"), "/metadata/a~1b/c~0d"),
        (("query", "limit"), "query/limit"),
        (("path", "sessionId"), "path/sessionId"),
    ],
)
def test_an_error_of_validation_points_at_its_place(loc: tuple[Any, ...], pointer: str) -> None:
    problem = of_validation([error(loc)])
    assert isinstance(problem, Invalid)
    assert problem.members == {"errors": [{"pointer": pointer, "detail": "Input should be a valid string"}]}


@pytest.mark.parametrize(
    ("loc", "kind", "pointer"),
    [
        (("body", "events", 0, "cart", "data", "n"), "int_type", "/events/0/data/n"),
        (("body", "events", 0, "cart", "data", "cart"), "missing", "/events/0/data/cart"),
        (("body", "events", 0, "cart", "data"), "model_type", "/events/0/data"),
        (("body", "events", 0, "data", "n", "[key]"), "string_type", "/events/0/data/n"),
        (("body", "none"), "missing", "/none"),
        (("query", "include", 0), "literal_error", "query/include/0"),
    ],
)
def test_the_choice_of_a_union_is_no_place_in_the_body(loc: tuple[Any, ...], kind: str, pointer: str) -> None:
    problem = of_validation([error(loc, kind)], {"events": [{"name": "cart", "data": {"n": "1"}}]})
    assert problem.members["errors"][0]["pointer"] == pointer


def test_a_choice_that_there_is_not_is_answered_with_those_that_there_are() -> None:
    context = {"discriminator": "'name'", "expected_tags": "'a', 'b'", "tag": "s3cret"}
    unknown = error(("body", "events", 0), "union_tag_invalid", "Input tag 's3cret'") | {"ctx": context}
    absent = error(("body", "events", 1), "union_tag_not_found") | {"ctx": context}
    problem = of_validation([unknown, absent], {"events": [{}, {}]})
    assert problem.members["errors"] == [
        {"pointer": "/events/0", "detail": "'name' must be one of 'a', 'b'"},
        {"pointer": "/events/1", "detail": "'name' is missing"},
    ]


def test_it_says_what_is_wrong_and_not_what_was_sent() -> None:
    problem = of_validation(
        [
            error(("body", "id"), "extra_forbidden"),
            error(("body", "email"), "value_error", "Value error, no e-mail"),
        ]
    )
    assert [found["detail"] for found in problem.members["errors"]] == ["is read-only or unknown", "no e-mail"]
    assert "s3cret" not in json.dumps(problem.as_json())


def test_a_body_that_is_no_json_is_malformed() -> None:
    assert isinstance(of_validation([error(("body", 0), "json_invalid")]), MalformedJson)


def test_an_answer_is_written_with_what_json_can_say() -> None:
    assert body(errors.NotFound("Ünïcödé 🜁"))["detail"] == "Ünïcödé 🜁"
