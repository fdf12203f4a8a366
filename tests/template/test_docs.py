"""What docs/deploy.md says of the template is so."""

import re

from tests.template.reading import ROOT, TEMPLATE, parse

GUIDE = (ROOT / "docs" / "deploy.md").read_text()


def test_the_guide_lists_every_parameter_with_its_default() -> None:
    parameters = parse(TEMPLATE.read_text()).body["Parameters"]
    listed = dict(re.findall(r"^\| `([A-Z]\w+)` \| `?([^|`]*?)`? \|", GUIDE, re.MULTILINE))
    assert listed == {name: str(parameter["Default"]) for name, parameter in parameters.items()}


def test_the_guide_explains_every_alarm() -> None:
    alarms = parse(TEMPLATE.read_text()).of_type("AWS::CloudWatch::Alarm")
    named = {alarm["Properties"]["AlarmName"]["Fn::Sub"].removeprefix("tessera-${Stage}-") for _, alarm in alarms}
    assert named == set(re.findall(r"^\| `([a-z-]+)` \| ", GUIDE, re.MULTILINE))
