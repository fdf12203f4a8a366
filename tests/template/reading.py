"""template.yaml as plain data: tags as their long form, Globals merged into each function."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "template.yaml"

type Json = Any


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short tags: !Ref x → {"Ref": x}, !Sub x → {"Fn::Sub": x}."""


def _long_form(loader: _Loader, suffix: str, node: yaml.Node) -> Json:
    match node:
        case yaml.ScalarNode():
            value: Json = loader.construct_scalar(node)
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case _:
            value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _long_form)


@dataclass(frozen=True)
class Function:
    """A function of the template, its Globals included."""

    logical_id: str
    properties: Mapping[str, Json]

    @property
    def context(self) -> str:
        return Path(self.properties["CodeUri"]).name

    @property
    def operation(self) -> str:
        return self.properties["Handler"].removesuffix(".handler")

    def events(self, *kinds: str) -> list[Json]:
        """Return the properties of the events of these types."""
        found = self.properties.get("Events", {}).values()
        return [event["Properties"] for event in found if event["Type"] in kinds]


@dataclass(frozen=True)
class Template:
    """The parsed template; `body` may be changed, since no two places share an object."""

    body: dict[str, Json]

    @property
    def resources(self) -> dict[str, Json]:
        return self.body["Resources"]

    def of_type(self, kind: str) -> Iterator[tuple[str, Json]]:
        """Yield the logical id and the whole resource."""
        return ((name, found) for name, found in self.resources.items() if found["Type"] == kind)

    def functions(self) -> list[Function]:
        shared = self.body["Globals"]["Function"]
        return [
            Function(name, _merged(shared, found["Properties"]))
            for name, found in self.of_type("AWS::Serverless::Function")
        ]


def parse(text: str) -> Template:
    """Parse; the way through JSON unties what YAML's anchors tie together."""
    return Template(json.loads(json.dumps(yaml.load(text, _Loader))))  # noqa: S506 - a SafeLoader, with tags


def strings(value: Json) -> list[str]:
    """Return every string in a value, however deep; names of properties are none."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [found for part in inner for found in strings(part)]


def text(value: Json) -> str | None:
    """Return a string as it is, or what !Sub is given."""
    return value.get("Fn::Sub") if isinstance(value, dict) else value


def _merged(shared: Json, own: Json) -> Json:
    """Merge as SAM does: maps by key, lists one after the other, the function's own value before Globals'."""
    if isinstance(shared, dict) and isinstance(own, dict):
        return shared | {key: _merged(shared.get(key), value) for key, value in own.items()}
    return shared + own if isinstance(shared, list) and isinstance(own, list) else own
