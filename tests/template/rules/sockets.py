"""Rules of the WebSocket API: a socket opens by a ticket only, and each frame finds its function."""

import re
from collections.abc import Iterable

from tessera.model.frames import REQUESTS
from tests.template.breaking import Breaks, drop, drop_attribute, drop_resource, put
from tests.template.reading import Function, Json, Template, strings, text

_DOOR = "realtime/connect"
"""The function that takes tickets; tests/functions/test_sockets.py shows that it lets nobody in without one."""

_FRAMES = dict.fromkeys(["$default", *REQUESTS], "realtime/message")
_SERVED = {"$connect": _DOOR, "$disconnect": "realtime/disconnect"} | _FRAMES
"""By route, the function behind it."""

_SELECTION = "$request.body.type"


def sockets_open_by_ticket(template: Template) -> list[str]:
    """$connect has no authorizer (a browser's socket brings none), so the function that takes tickets is there.

    The gateway opens every socket of an API that has no such route. It takes an authorizer at no other one.
    """
    problems: list[str] = []
    for api in _apis(template):
        routes = _routes(template, api)
        if (found := _behind(template, routes.get("$connect", {}))) != _DOOR:
            problems.append(f"{api} lets in whom {found} lets in")
        problems += [
            f"{api} has {route['AuthorizationType']} at {key}"
            for key, route in routes.items()
            if route.get("AuthorizationType", "NONE") != "NONE"
        ]
    return problems


def frames_come_through_sockets_alone(template: Template) -> list[str]:
    """What serves an open socket trusts that it was opened by ticket: there is no other way to call it."""
    problems: list[str] = []
    for api in _apis(template):
        served = {_behind(template, route) for route in _routes(template, api).values()}
        for function in template.functions():
            if _operation(function) not in served:
                continue
            name = function.logical_id
            if function.properties.get("Events") or function.properties.get("FunctionUrlConfig"):
                problems.append(f"{name} can be called without a socket")
            problems += [
                f"{other} calls {name} for {text(source)}"
                for other, source in _callers(template, name)
                if not re.search(rf"\$\{{{api}\}}/|^{api}$", text(source) or "")
            ]
    return problems


def frames_find_their_functions(template: Template) -> list[str]:
    """Opening, closing, each type of frame and whatever else is sent lead to a function that may be called."""
    problems: list[str] = [] if [*_apis(template)] else ["there is no API for sockets"]
    for api, properties in _apis(template).items():
        if (properties["ProtocolType"], properties.get("RouteSelectionExpression")) != ("WEBSOCKET", _SELECTION):
            problems.append(f"{api} does not go by the type of a frame")
        found = {key: _behind(template, route) for key, route in _routes(template, api).items()}
        problems += [
            f"{api} leads {key} to {found.get(key)}, not {_SERVED.get(key)}"
            for key in sorted(_SERVED.keys() | found.keys())
            if found.get(key) != _SERVED.get(key)
        ]
        problems += [
            f"{api} may not call {function.logical_id}"
            for function in template.functions()
            if _operation(function) in _SERVED.values() and function.logical_id not in _callable(template, api)
        ]
        if not any(stage.get("AutoDeploy") for stage in _of_api(template, "Stage", api).values()):
            problems.append(f"{api} has no stage that follows it")
    return problems


def frames_are_answered(template: Template) -> list[str]:
    """What the function returns goes back over the socket: without a route response the gateway drops it."""
    problems: list[str] = []
    for api in _apis(template):
        answers = {found["RouteId"]["Ref"]: found for found in _of_api(template, "RouteResponse", api).values()}
        problems += [
            f"{name} keeps the answer for itself"
            for name, route in _of_api(template, "Route", api).items()
            if route["RouteKey"] in _FRAMES
            and (
                route.get("RouteResponseSelectionExpression") != "$default"
                or answers.get(name, {}).get("RouteResponseKey") != "$default"
            )
        ]
    return problems


def frames_go_out_by_the_gateways_own_address(template: Template) -> list[str]:
    """Policies allow posts by API and stage; a domain of the sockets must change nothing about that."""
    posting = {
        function.logical_id: text(function.properties["Environment"]["Variables"]["CALLBACK_URL"])
        for function in template.functions()
        if "execute-api:ManageConnections" in strings(function.properties.get("Policies"))
    }
    problems = [] if posting else ["nobody posts"]
    problems += [f"{name} posts to {url}" for name, url in posting.items() if url != _CALLBACK]
    return problems + [
        f"{api} has no address of its own"
        for api, properties in _apis(template).items()
        if properties.get("DisableExecuteApiEndpoint")
    ]


def domains_are_of_one_api(template: Template) -> list[str]:
    """API Gateway maps no domain to sockets and to HTTP, and the outputs name the domain that there is."""
    problems: list[str] = []
    mapped: dict[str, str] = {}
    for name, found in template.of_type("AWS::ApiGatewayV2::ApiMapping"):
        domain, api = (found["Properties"][part]["Ref"] for part in ("DomainName", "ApiId"))
        if mapped.setdefault(domain, api) != api:
            problems.append(f"{domain} is of two APIs")
        if found.get("Condition") != template.resources[domain].get("Condition"):
            problems.append(f"{name} is there without {domain}")
    for output, domain in (("HttpUrl", "Domain"), ("WebSocketUrl", "SocketDomain")):
        condition = template.resources.get(domain, {}).get("Condition")
        if template.body["Outputs"][output]["Value"].get("Fn::If", [None])[0] != condition:
            problems.append(f"{output} does not know {domain}")
    return problems


_CALLBACK = "https://${WebSocketApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/${WebSocketStage}"
_MESSAGE = {"Fn::Sub": "integrations/${MessageIntegration}"}
_OF_ANY_API = {"Fn::Sub": "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:*/*"}

BREAKS: Breaks = {
    sockets_open_by_ticket: (
        (drop_resource("ConnectRoute"), "WebSocketApi lets in whom None lets in"),
        (put("ConnectRoute.Target", _MESSAGE), "WebSocketApi lets in whom realtime/message lets in"),
        (put("ConnectIntegration.IntegrationType", "MOCK"), "WebSocketApi lets in whom None lets in"),
        (put("ConnectRoute.AuthorizationType", "AWS_IAM"), "WebSocketApi has AWS_IAM at $connect"),
        (put("PingRoute.AuthorizationType", "CUSTOM"), "WebSocketApi has CUSTOM at ping"),
    ),
    frames_come_through_sockets_alone: (
        (
            put("RealtimeMessageFunction.Events", {"Http": {"Type": "HttpApi", "Properties": {}}}),
            "RealtimeMessageFunction can be called without a socket",
        ),
        (
            put("RealtimeMessageFunction.FunctionUrlConfig", {"AuthType": "NONE"}),
            "RealtimeMessageFunction can be called without a socket",
        ),
        (put("MessagePermission.SourceArn", _OF_ANY_API), "MessagePermission calls RealtimeMessageFunction for"),
        (drop("MessagePermission.SourceArn"), "MessagePermission calls RealtimeMessageFunction for None"),
        (
            put("MessageIntegration.ApiId", {"Ref": "HttpApi"}),
            "MessageIntegration calls RealtimeMessageFunction for HttpApi",
        ),
    ),
    frames_find_their_functions: (
        (drop_resource("WebSocketApi"), "there is no API for sockets"),
        (put("WebSocketApi.ProtocolType", "HTTP"), "WebSocketApi does not go by the type of a frame"),
        (
            put("WebSocketApi.RouteSelectionExpression", "$request.body.action"),
            "WebSocketApi does not go by the type of a frame",
        ),
        (drop_resource("DisconnectRoute"), "leads $disconnect to None, not realtime/disconnect"),
        (drop_resource("OtherRoute"), "leads $default to None, not realtime/message"),
        (drop_resource("PublishRoute"), "leads publish to None, not realtime/message"),
        (put("PingRoute.RouteKey", "pong"), "leads pong to realtime/message, not None"),
        (drop_resource("RealtimeMessageFunction"), "leads subscribe to None, not realtime/message"),
        (drop_resource("DisconnectPermission"), "WebSocketApi may not call RealtimeDisconnectFunction"),
        (drop("WebSocketStage.AutoDeploy"), "WebSocketApi has no stage that follows it"),
    ),
    frames_go_out_by_the_gateways_own_address: (
        (
            put("RealtimeFanoutFunction.Environment.Variables.CALLBACK_URL", "https://live.example.com"),
            "RealtimeFanoutFunction posts to https://live.example.com",
        ),
        (put("WebSocketApi.DisableExecuteApiEndpoint", value=True), "WebSocketApi has no address of its own"),
    ),
    domains_are_of_one_api: (
        (put("SocketDomainMapping.DomainName", {"Ref": "Domain"}), "Domain is of two APIs"),
        (drop_attribute("SocketDomainMapping", "Condition"), "SocketDomainMapping is there without SocketDomain"),
        (
            lambda body: body["Outputs"]["WebSocketUrl"].update(Value={"Fn::Sub": "wss://${WebSocketApi}"}),
            "WebSocketUrl does not know SocketDomain",
        ),
    ),
    frames_are_answered: (
        (drop("PingRoute.RouteResponseSelectionExpression"), "PingRoute keeps the answer for itself"),
        (drop_resource("OtherRouteResponse"), "OtherRoute keeps the answer for itself"),
    ),
}


def _apis(template: Template) -> dict[str, Json]:
    """Return the APIs that are not in SAM's form; there is one, of sockets."""
    return {name: found["Properties"] for name, found in template.of_type("AWS::ApiGatewayV2::Api")}


def _of_api(template: Template, kind: str, api: str) -> dict[str, Json]:
    found = template.of_type(f"AWS::ApiGatewayV2::{kind}")
    return {name: part["Properties"] for name, part in found if part["Properties"]["ApiId"] == {"Ref": api}}


def _routes(template: Template, api: str) -> dict[str, Json]:
    return {route["RouteKey"]: route for route in _of_api(template, "Route", api).values()}


def _behind(template: Template, route: Json) -> str | None:
    """Return context and operation of the function behind a route, if there is one."""
    name = re.fullmatch(r"integrations/\$\{(\w+)\}", text(route.get("Target")) or "")
    integration = template.resources.get(name[1], {}).get("Properties", {}) if name else {}
    if integration.get("IntegrationType") != "AWS_PROXY":
        return None
    called = [function for function in template.functions() if _is_called(function, integration["IntegrationUri"])]
    return _operation(called[0]) if called else None


def _operation(function: Function) -> str:
    return f"{function.context}/{function.operation}"


def _is_called(function: Function, by: Json) -> bool:
    """Whether an address or a name is that of the function or of its alias, in whatever way it is written."""
    return any(re.search(rf"(?<!\w){function.logical_id}(?!\w)", found) for found in strings(by))


def _callers(template: Template, name: str) -> Iterable[tuple[str, Json]]:
    """Yield what may or does call a function, and for which API or source that is."""
    function = next(found for found in template.functions() if found.logical_id == name)
    for other, found in template.of_type("AWS::Lambda::Permission"):
        if _is_called(function, found["Properties"]["FunctionName"]):
            yield other, found["Properties"].get("SourceArn")
    for other, found in template.of_type("AWS::ApiGatewayV2::Integration"):
        if _is_called(function, found["Properties"]["IntegrationUri"]):
            yield other, found["Properties"]["ApiId"]["Ref"]


def _callable(template: Template, api: str) -> set[str]:
    """Return the functions that may be called for the API."""
    return {
        function.logical_id
        for function in template.functions()
        for _, found in template.of_type("AWS::Lambda::Permission")
        if _is_called(function, found["Properties"]["FunctionName"])
        and f"${{{api}}}/" in (text(found["Properties"].get("SourceArn")) or "")
    }
