"""Rules of the APIs: who gets in over HTTP, what is answered to browsers, what of any call is written down."""

import json
import re
from collections.abc import Iterable

from local.openapi.document import DOCUMENT
from tests.template.breaking import Breaks, default, drop, pattern, put
from tests.template.reading import Json, Template, strings

PUBLIC = {
    ("GET", "/health"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/openapi.json"),
    ("POST", "/tokens/refresh"),
}
"""The routes without an authorizer; POST /sessions has one, which lets callers without a token through."""

_ORIGINS = {
    "": True,
    "https://a.example,http://localhost:*": True,
    "https://a.example, https://b.example": False,
}
_PERSONAL = re.compile(
    r"\$(context\.(identity|path|requestOverride|domainName|authorizer\.(?!error\b))|request\b|input\b)"
)
_TRACES = {"DataTraceEnabled": (None, False), "LoggingLevel": (None, "OFF", "ERROR")}
"""What a stage may have of each; more would write whole calls down, tickets and all."""


def routes_have_an_authorizer(template: Template) -> list[str]:
    """Every route goes through the authorizer; the public four do not."""
    found = [*_routes(template)]
    opened = {route for route, authorizer in found if authorizer in (None, "NONE")}
    return [
        *(f"{' '.join(route)} has no authorizer" for route in sorted(opened - PUBLIC)),
        *(f"{' '.join(route)} should be public" for route in sorted(PUBLIC - opened)),
        *(
            f"{' '.join(route)} has the unknown authorizer {authorizer}"
            for route, authorizer in found
            if authorizer not in (None, "NONE", *_authorizers(template))
        ),
    ]


def authorizers_decide_each_call(template: Template) -> list[str]:
    """No answer is cached, and a call without a token reaches the authorizer."""
    wanted = {
        "Identity": {"ReauthorizeEvery": 0},
        "AuthorizerPayloadFormatVersion": "2.0",
        "EnableSimpleResponses": True,
    }
    return [
        f"the authorizer {name} has {setting} {authorizer.get(setting)!r}"
        for name, authorizer in _authorizers(template).items()
        for setting, value in wanted.items()
        if authorizer.get(setting) != value
    ]


def access_logs_are_json_without_persons(template: Template) -> list[str]:
    """One JSON object a line: no address, query, header or path with ids, nothing that the authorizer found."""
    problems: list[str] = []
    for name, stage in _stages(template):
        text = stage.get("AccessLogSettings", {}).get("Format", "")
        problems += [f"{name} logs {match[0]}" for match in _PERSONAL.finditer(text)]
        try:
            json.loads(text)
        except ValueError:
            problems.append(f"{name} has no access log in JSON")
    return problems


def calls_are_not_traced_into_logs(template: Template) -> list[str]:
    """The gateway's own log has no headers and no bodies: a ticket is a header, a frame is a body."""
    return [
        f"{name} has {setting} {route[setting]!r}"
        for name, stage in _stages(template)
        for route in (stage.get("DefaultRouteSettings", {}), *stage.get("RouteSettings", {}).values())
        for setting, allowed in _TRACES.items()
        if route.get(setting) not in allowed
    ]


def apis_are_throttled(template: Template) -> list[str]:
    """There is a rate and a burst for each route."""
    return [
        f"{name} sets no {limit}"
        for name, stage in _stages(template)
        for limit in ("ThrottlingRateLimit", "ThrottlingBurstLimit")
        if not stage.get("DefaultRouteSettings", {}).get(limit)
    ]


def origins_are_chosen(template: Template) -> list[str]:
    """With credentials no origin may be a wildcard: the parameter decides, and its default allows nobody.

    Blanks are refused: the handlers would strip them, a preflight compares letter by letter.
    """
    problems = [f"{name} allows *" for name, api in _apis(template) if "*" in strings(api["CorsConfiguration"])]
    chosen = template.body["Parameters"]["AllowedOrigins"]
    if chosen["Default"]:
        problems.append("AllowedOrigins has a default")
    for value, good in _ORIGINS.items():
        if bool(re.fullmatch(chosen.get("AllowedPattern", ".*"), value)) is not good:
            problems.append(f"AllowedOrigins {'refuses' if good else 'allows'} {value!r}")
    return problems


def pages_may_send_what_is_described(template: Template) -> list[str]:
    """A preflight passes with every header that the API takes: a page cannot send what is not on the list."""
    described = json.loads(DOCUMENT.read_text())["components"]
    taken = [each["name"] for each in described["parameters"].values() if each.get("in") == "header"]
    taken += [each["name"] for each in described["securitySchemes"].values() if each.get("in") == "header"]
    return [
        f"{name} lets no page send {header}"
        for name, api in _apis(template)
        for header in ("Authorization", "Content-Type", *taken)
        if header.lower() not in strings(api["CorsConfiguration"])
    ]


BREAKS: Breaks = {
    routes_have_an_authorizer: (
        (
            put("SessionsGetFunction.Events.Http.Properties.Auth", {"Authorizer": "NONE"}),
            "GET /sessions/{sessionId} has no authorizer",
        ),
        (drop("HttpApi.Auth.DefaultAuthorizer"), "POST /sessions has no authorizer"),
        (drop("OperationsHealthFunction.Events.Http.Properties.Auth"), "GET /health should be public"),
        (drop("TokensRefreshFunction.Events.Http.Properties.Auth"), "POST /tokens/refresh should be public"),
        (put("HttpApi.Auth.DefaultAuthorizer", "Nobody"), "has the unknown authorizer Nobody"),
    ),
    authorizers_decide_each_call: (
        (drop("HttpApi.Auth.Authorizers.Caller.Identity"), "Caller has Identity None"),
        (put("HttpApi.Auth.Authorizers.Caller.Identity.Headers", ["Authorization"]), "Caller has Identity"),
        (put("HttpApi.Auth.Authorizers.Caller.EnableSimpleResponses", value=False), "SimpleResponses False"),
    ),
    access_logs_are_json_without_persons: (
        (drop("HttpApi.AccessLogSettings"), "HttpApi has no access log in JSON"),
        (put("HttpApi.AccessLogSettings.Format", "$context.requestId"), "HttpApi has no access log in JSON"),
        (
            put("HttpApi.AccessLogSettings.Format", '{"ip":"$context.identity.sourceIp"}'),
            "logs $context.identity",
        ),
        (put("HttpApi.AccessLogSettings.Format", '{"path":"$context.path"}'), "logs $context.path"),
        (
            put("HttpApi.AccessLogSettings.Format", '{"who":"$context.authorizer.caller"}'),
            "logs $context.authorizer",
        ),
        (drop("WebSocketStage.AccessLogSettings"), "WebSocketStage has no access log in JSON"),
        *(
            (put("WebSocketStage.AccessLogSettings.Format", f'{{"said":"{variable}"}}'), f"logs {variable[:16]}")
            for variable in (
                "$context.identity.userAgent",
                "$context.requestOverride.header.sec-websocket-protocol",
                "$context.requestOverride.querystring.ticket",
            )
        ),
    ),
    calls_are_not_traced_into_logs: (
        (
            put("WebSocketStage.DefaultRouteSettings.DataTraceEnabled", value=True),
            "WebSocketStage has DataTraceEnabled True",
        ),
        (
            put("WebSocketStage.RouteSettings", {"$connect": {"LoggingLevel": "INFO"}}),
            "WebSocketStage has LoggingLevel 'INFO'",
        ),
    ),
    apis_are_throttled: (
        (drop("HttpApi.DefaultRouteSettings"), "HttpApi sets no ThrottlingRateLimit"),
        (drop("HttpApi.DefaultRouteSettings.ThrottlingBurstLimit"), "HttpApi sets no ThrottlingBurstLimit"),
        (drop("WebSocketStage.DefaultRouteSettings"), "WebSocketStage sets no ThrottlingRateLimit"),
        (
            drop("WebSocketStage.DefaultRouteSettings.ThrottlingBurstLimit"),
            "WebSocketStage sets no ThrottlingBurstLimit",
        ),
    ),
    origins_are_chosen: (
        (default("AllowedOrigins", "https://example.com"), "AllowedOrigins has a default"),
        (put("HttpApi.CorsConfiguration", {"AllowOrigins": ["*"]}), "HttpApi allows *"),
        (pattern("AllowedOrigins", ".*"), "AllowedOrigins allows 'https://a.example, https://b.example'"),
        (pattern("AllowedOrigins", "https://[a-z.]+"), "AllowedOrigins refuses ''"),
    ),
    pages_may_send_what_is_described: (
        (
            put("HttpApi.CorsConfiguration", {"AllowHeaders": ["authorization", "if-match", "x-tessera-csrf"]}),
            "HttpApi lets no page send If-None-Match",
        ),
        (
            put("HttpApi.CorsConfiguration", {"AllowHeaders": ["if-match", "if-none-match"]}),
            "HttpApi lets no page send X-Tessera-Csrf",
        ),
    ),
}


def _apis(template: Template) -> Iterable[tuple[str, Json]]:
    return ((name, api["Properties"]) for name, api in template.of_type("AWS::Serverless::HttpApi"))


def _stages(template: Template) -> Iterable[tuple[str, Json]]:
    """Yield what has the settings of a stage: an HTTP API in SAM's form has those of its one stage itself."""
    yield from _apis(template)
    yield from ((name, stage["Properties"]) for name, stage in template.of_type("AWS::ApiGatewayV2::Stage"))


def _authorizers(template: Template) -> dict[str, Json]:
    return {name: found for _, api in _apis(template) for name, found in api["Auth"]["Authorizers"].items()}


def _routes(template: Template) -> Iterable[tuple[tuple[str, str], str | None]]:
    """Yield method and path of each route, and the authorizer that it ends up with."""
    defaults = {name: api["Auth"].get("DefaultAuthorizer") for name, api in _apis(template)}
    for function in template.functions():
        for event in function.events("HttpApi"):
            authorizer = event.get("Auth", {}).get("Authorizer", defaults[event["ApiId"]["Ref"]])
            yield (event["Method"], event["Path"]), authorizer
