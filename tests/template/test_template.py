"""template.yaml keeps the rules that no linter knows, and each rule would catch what breaks it."""

from copy import deepcopy

import pytest

from tests.template.breaking import Break, Breaks, Check
from tests.template.reading import TEMPLATE, Template, parse
from tests.template.rules import alarms, api, functions, privileges, storage

RULES: Breaks = api.BREAKS | functions.BREAKS | privileges.BREAKS | storage.BREAKS | alarms.BREAKS


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
