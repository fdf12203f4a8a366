"""template.yaml keeps the rules that no linter knows, and each rule would catch what breaks it."""

import logging
import warnings
from copy import deepcopy

import pytest
from aws_lambda_powertools import Logger

from tests.template.breaking import Break, Breaks, Check
from tests.template.reading import TEMPLATE, Template, parse
from tests.template.rules import alarms, api, functions, privileges, sockets, storage

LEVELS = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARN": logging.WARNING, "ERROR": logging.ERROR}
RULES: Breaks = api.BREAKS | sockets.BREAKS | functions.BREAKS | privileges.BREAKS | storage.BREAKS | alarms.BREAKS


@pytest.fixture(scope="module")
def parsed() -> Template:
    return parse(TEMPLATE.read_text())


@pytest.fixture
def template(parsed: Template) -> Template:
    """Every test has its own copy and may break it."""
    return deepcopy(parsed)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_template_keeps_the_rule(rule: Check, template: Template) -> None:
    assert rule(template) == []


@pytest.mark.parametrize(
    ("rule", "broken", "violation"),
    [
        pytest.param(rule, broken, violation, id=f"{rule.__name__}-{violation}")
        for rule, breaks in RULES.items()
        for broken, violation in breaks
    ],
)
def test_the_rule_catches_what_breaks_it(rule: Check, broken: Break, violation: str, template: Template) -> None:
    broken(template.body)
    assert any(violation in said for said in rule(template))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_each_rule_is_shown_to_fail(rule: Check) -> None:
    assert RULES[rule]


def test_the_log_levels_are_those_of_lambda(template: Template) -> None:
    assert template.body["Parameters"]["LogLevel"]["AllowedValues"] == [*LEVELS]


@pytest.mark.parametrize("variables", [["POWERTOOLS_LOG_LEVEL"], ["POWERTOOLS_LOG_LEVEL", "AWS_LAMBDA_LOG_LEVEL"]])
@pytest.mark.parametrize("level", LEVELS)
def test_powertools_knows_each_log_level(
    variables: list[str], level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where Lambda sets its own variable, as it does for a function with a level."""
    for variable in variables:
        monkeypatch.setenv(variable, level)
    with warnings.catch_warnings(action="error"):
        assert Logger(service=f"{level}-{len(variables)}").log_level == LEVELS[level]
