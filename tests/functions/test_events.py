"""The sample events are what AWS sends, and on an empty system each has a sensible answer."""

import re

import pytest

from local.paths import EVENTS
from tessera.model.caller import NOBODY
from tests.functions.operations import HTTP, NAMES
from tests.functions.service import Context, Service, sample
from tests.template.reading import TEMPLATE, parse

ANSWERS = {
    "sessions/create": 201,
    "sessions/list": 200,
    "conversations/recall": 200,
    "activity/collect": 202,
    "insights/query": 200,
    "tokens/refresh": 401,
    "tokens/revoke": 401,
    "tokens/keys": 200,
    "tokens/ticket": 401,
    "realtime/push": 401,
    "operations/health": 200,
    "operations/metrics": 200,
    "operations/openapi": 200,
}


@pytest.mark.parametrize("name", HTTP)
def test_an_empty_system_answers_the_sample(service: Service, name: str) -> None:
    event = sample(name)
    answer = service.handler(name)(event, Context())
    assert answer["statusCode"] == ANSWERS.get(name, 404), answer["body"]


def test_the_authorizer_finds_nobody_in_its_sample(service: Service) -> None:
    answer = service.handler("tokens/authorize")(sample("tokens/authorize"), Context())
    assert answer == {"isAuthorized": True, "context": NOBODY.context()}


def test_an_empty_system_has_nothing_to_clean_up(service: Service) -> None:
    assert service.handler("lifecycle/cleanup")(sample("lifecycle/cleanup"), Context(300_000)) == {
        "done": True,
        "expired": 0,
        "moved": 0,
        "deleted": 0,
        "poisoned": 0,
        "lag": 0,
    }


def test_an_empty_system_has_no_order_to_deliver(service: Service) -> None:
    assert service.handler("integrations/bitrix24")(sample("integrations/bitrix24"), Context()) == {}


@pytest.mark.parametrize("name", HTTP)
def test_a_sample_is_of_the_route_that_the_template_has(name: str) -> None:
    functions = {f"{f.context}/{f.operation}": f for f in parse(TEMPLATE.read_text()).functions()}
    event = sample(name)
    routes = {f"{route['Method']} {route['Path']}": route for route in functions[name].events("HttpApi")}
    route = routes[event["routeKey"]]
    assert event["requestContext"]["routeKey"] == event["routeKey"]
    assert event["requestContext"]["http"]["method"] == route["Method"]
    assert event["requestContext"]["http"]["path"] == event["rawPath"]
    assert event["rawPath"] == route["Path"].format_map(event.get("pathParameters", {}))
    assert ("authorizer" in event["requestContext"]) == (route.get("Auth") is None)


@pytest.mark.parametrize("name", HTTP)
def test_a_sample_carries_the_context_as_the_authorizer_writes_it(name: str) -> None:
    context = sample(name)["requestContext"].get("authorizer", {"lambda": NOBODY.context()})["lambda"]
    assert context.keys() == NOBODY.context().keys()
    assert all(isinstance(value, str) for value in context.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_holds_no_credentials(name: str) -> None:
    text = (EVENTS / f"{name}.json").read_text()
    assert not re.search(r"authorization|eyJ|__Host-|AKIA", text)
