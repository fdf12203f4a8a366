"""Least privilege, both ways: each function does its work within its own policy, and the policy grants no more.

The real handlers run on a table and buckets in memory that refuse what IAM would refuse.
"""

from contextlib import suppress

import pytest

from tests.template.policed import TABLE, AccessDenied, Policy
from tests.template.reading import Function, Json
from tests.template.scenarios import SCENARIOS
from tests.template.world import FUNCTIONS, World

ONLY_AT_TIMES = {"RememberAnswers", "CountRequests"}
"""Statements of which a function uses more at other times: when a request comes again, at every twentieth one."""


@pytest.fixture(autouse=True)
def _powertools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Powertools reads these itself; the template sets them."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "tessera-test")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Tessera")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_works_within_its_policy(name: str) -> None:
    world = World()
    SCENARIOS[name](world)
    assert world.policies[name].refused == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_policy_grants_nothing_that_its_function_does_not_use(name: str) -> None:
    """No action, no partition of the table and no prefix of a bucket."""
    world = World()
    SCENARIOS[name](world)
    policy = world.policies[name]
    unused = policy.granted() - policy.used
    assert {grant for grant in unused if grant[0] not in ONLY_AT_TIMES} == set()
    assert {sid for sid, *_ in unused} <= {sid for sid, *_ in policy.used}


@pytest.mark.parametrize(
    "sid", ["CountRequests", "FindSession", "ReadParts", "ReadHeads", "ReadObjects", "MissObjects"]
)
def test_a_missing_statement_is_noticed(sid: str) -> None:
    world = World()
    (written,) = FUNCTIONS["sessions/get"].properties["Policies"]
    rest = [statement for statement in written["Statement"] if statement["Sid"] != sid]
    world.policies["sessions/get"] = policy = Policy(_with(FUNCTIONS["sessions/get"], rest))
    with suppress(AssertionError, AccessDenied):
        SCENARIOS["sessions/get"](world)
    assert policy.refused


@pytest.mark.parametrize("partitions", [["METRICS"], ["SESSION"], ["SESSION#*", "METRICS"]])
def test_a_partition_beside_those_named_is_refused(partitions: list[str]) -> None:
    condition = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": partitions}}
    statement = {"Sid": "Find", "Action": "dynamodb:GetItem", "Resource": TABLE, "Condition": condition}
    policy = Policy(_with(FUNCTIONS["sessions/get"], [statement]))
    with pytest.raises(AccessDenied):
        policy.require("dynamodb:GetItem", TABLE, ["SESSION#one", "ALIAS#two"])


@pytest.mark.parametrize("key", ["overflow/one", "archive", "${Archive.Arn}"])
def test_an_object_beside_those_named_is_refused(key: str) -> None:
    statement = {"Sid": "Read", "Action": "s3:GetObject", "Resource": {"Fn::Sub": "${Archive.Arn}/archive/*"}}
    policy = Policy(_with(FUNCTIONS["sessions/get"], [statement]))
    policy.require("s3:GetObject", {"Fn::Sub": "${Archive.Arn}/archive/one"})
    with pytest.raises(AccessDenied):
        policy.require("s3:GetObject", {"Fn::Sub": f"${{Archive.Arn}}/{key}"})


def _with(function: Function, statements: list[Json]) -> Function:
    policies = [{"Version": "2012-10-17", "Statement": statements}]
    return Function(function.logical_id, {**function.properties, "Policies": policies})
