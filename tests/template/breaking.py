"""Ways to break a template, for the tests that show each rule catching it."""

from collections.abc import Callable
from typing import Any

from tests.template.reading import Json, Template

type Check = Callable[[Template], list[str]]
"""Returns the violations of a rule in words; none means that it holds."""

type Break = Callable[[Json], None]
"""Changes a template's body in place."""

type Breaks = dict[Check, tuple[tuple[Break, str], ...]]
"""For each rule: ways to break it, and a part of what the rule then says."""


def put(path: str, value: Json) -> Break:
    """Set a property; the path is `Resource.Property.Property…`, or `Globals.Property.Property…`."""

    def change(body: Json) -> None:
        place, last = _walk(body, path)
        place[last] = value

    return change


def drop(path: str) -> Break:
    """Remove a property."""

    def change(body: Json) -> None:
        place, last = _walk(body, path)
        del place[last]

    return change


def drop_resource(name: str) -> Break:
    """Remove a whole resource."""
    return lambda body: body["Resources"].pop(name)


def drop_attribute(name: str, attribute: str) -> Break:
    """Remove what stands beside a resource's properties, such as its DeletionPolicy."""
    return lambda body: body["Resources"][name].pop(attribute)


def default(parameter: str, value: Json) -> Break:
    """Give a parameter another default."""
    return lambda body: body["Parameters"][parameter].update(Default=value)


def pattern(parameter: str, value: str) -> Break:
    """Allow a parameter other values."""
    return lambda body: body["Parameters"][parameter].update(AllowedPattern=value)


def _walk(body: Json, path: str) -> tuple[Any, str]:
    resource, *keys, last = path.split(".")
    place = body["Globals"]["Function"] if resource == "Globals" else body["Resources"][resource]["Properties"]
    for key in keys:
        place = place[key]
    return place, last
