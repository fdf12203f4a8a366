"""Rewrite a CloudFormation template for MiniStack; what it does, docs/local.md tells the reader.

Pure: a template goes in, a template and the notes on what was dropped come out.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

type Json = Any
type Resource = dict[str, Json]
type Template = dict[str, Json]

HTTP_API_ID, WEBSOCKET_API_ID = "tessera", "tessera-live"
PATIENCE = 60
"""Seconds that a function has at least: a burst starts a process for each call at once, on a few cores."""
_METHODS = {"get", "put", "post", "patch", "delete", "head", "options", "x-amazon-apigateway-any-method"}
_INTEGRATION = "x-amazon-apigateway-integration"
_AUTHORIZER = "x-amazon-apigateway-authorizer"
_CORS = "x-amazon-apigateway-cors"


@dataclass
class Localised:
    """The rewritten template and a line for each kind of thing the engine will not do."""

    template: Template
    notes: list[str] = field(default_factory=list[str])


def localise(template: Template, *, types: Collection[str], origins: Sequence[str], engine: str = "") -> Localised:
    """Rewrite `template` for an engine that creates `types`; `origins` are allowed across origins.

    `engine` is its address: sockets are called back there, and not under a host name of their own.
    """
    result = Localised(deepcopy(template))
    resources: dict[str, Resource] = result.template["Resources"]
    for logical_id, api in [*_of_type(resources, "AWS::ApiGatewayV2::Api")]:
        if "Body" in api["Properties"]:
            resources |= _write_out(logical_id, api, origins)
        elif api["Properties"].get("ProtocolType") == "WEBSOCKET":
            api["Properties"]["Tags"] = {"ms-custom-id": WEBSOCKET_API_ID}
    for _, function in _of_type(resources, "AWS::Lambda::Function"):
        properties = function["Properties"]
        properties["Timeout"] = max(properties.get("Timeout", 3), PATIENCE)
        variables = properties.get("Environment", {}).get("Variables", {})
        variables["STORE_TIMEOUT_SECONDS"] = str(PATIENCE // 4)
        if "CALLBACK_URL" in variables:
            variables["CALLBACK_URL"] = f"{engine}{socket_path(resources)}"
    for _, stream in _of_type(resources, "AWS::Lambda::EventSourceMapping"):
        _give_up_sooner(stream["Properties"])
    _allow_plain_text(resources)
    for secret, _ in [*_of_type(resources, "AWS::SecretsManager::Secret")]:
        # Ref of a secret is its ARN; MiniStack gives its name, which no policy grants.
        arn = {"Fn::GetAtt": [secret, "Arn"]}
        result.template["Resources"] = resources = _replacing({"Ref": secret}, arn, resources)
    left_out: defaultdict[str, list[str]] = defaultdict(list)
    for logical_id in [*resources]:
        if (reason := _unsupported(resources[logical_id], types)) is not None:
            del resources[logical_id]
            left_out[reason].append(logical_id)
    result.notes += [f"left out {', '.join(left_out[reason])}: {reason}" for reason in left_out]
    _forget_missing_dependencies(resources)
    return result


def socket_path(resources: Mapping[str, Resource]) -> str:
    """Return the path under which the engine has the WebSocket API of these resources."""
    stages = dict(_of_type(resources, "AWS::ApiGatewayV2::Stage")).values()
    (stage,) = (
        found["Properties"]["StageName"] for found in stages if "$" not in found["Properties"]["StageName"]
    )
    return f"/_aws/execute-api/{WEBSOCKET_API_ID}/{stage}"


def _of_type(resources: Mapping[str, Resource], kind: str) -> Iterator[tuple[str, Resource]]:
    return ((logical_id, resource) for logical_id, resource in resources.items() if resource["Type"] == kind)


def _unsupported(resource: Resource, types: Collection[str]) -> str | None:
    if resource["Type"] not in types:
        return f"the embedded AWS has no {resource['Type']}"
    if resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]:
        return "the embedded AWS has no alarms on metric maths"
    return None


def _forget_missing_dependencies(resources: Mapping[str, Resource]) -> None:
    for resource in resources.values():
        wanted = resource.get("DependsOn", [])
        wanted = [wanted] if isinstance(wanted, str) else wanted
        resource["DependsOn"] = [other for other in wanted if other in resources]


def _allow_plain_text(resources: dict[str, Resource]) -> None:
    """Take out of the policies of buckets and queues what demands TLS, which MiniStack does not speak here."""
    for kind in ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy"):
        for logical_id, policy in [*_of_type(resources, kind)]:
            document = policy["Properties"]["PolicyDocument"]
            document["Statement"] = [s for s in document["Statement"] if not _demands_tls(s)]
            if not document["Statement"]:
                del resources[logical_id]


def _demands_tls(statement: Json) -> bool:
    return "aws:SecureTransport" in statement.get("Condition", {}).get("Bool", {})


def _give_up_sooner(stream: Resource) -> None:
    """Fit a stream's reader to MiniStack, which counts no retries and knows no attribute that is absent.

    A batch that fails is retried until it is old enough, and holds up the others. A filter that asks for an
    attribute to have been absent before never passes: the reader then hears of every later change too.
    """
    stream["MaximumRecordAgeInSeconds"] = PATIENCE
    for criterion in stream.get("FilterCriteria", {}).get("Filters", []):
        pattern = json.loads(criterion["Pattern"])
        pattern.get("dynamodb", {}).pop("OldImage", None)
        criterion["Pattern"] = json.dumps(pattern)


def _write_out(logical_id: str, api: Resource, origins: Sequence[str]) -> dict[str, Resource]:
    """Write the OpenAPI body of an HTTP API out as resources; MiniStack does not read bodies."""
    body = api["Properties"].pop("Body")
    api["Properties"] = {
        "Name": {"Ref": "AWS::StackName"},
        "ProtocolType": "HTTP",
        "Tags": {"ms-custom-id": HTTP_API_ID},
    }
    if _CORS in body:
        # MiniStack compares keys in the API's case and origins letter by letter.
        api["Properties"]["CorsConfiguration"] = _allowing(origins, body[_CORS])
    written = dict(_authorizers(logical_id, body))
    for path, operations in body["paths"].items():
        for method, operation in operations.items():
            if method in _METHODS:
                written |= _route(logical_id, path, method, operation)
    return written


def _replacing(old: Json, new: Json, node: Json) -> Json:
    """Put `new` in place of `old` everywhere in `node`."""
    if node == old:
        return new
    match node:
        case [*children]:
            return [_replacing(old, new, child) for child in children]
        case {**children}:
            return {name: _replacing(old, new, child) for name, child in children.items()}
        case _:
            return node


def _allowing(origins: Sequence[str], node: Json) -> Json:
    """Put `origins` in place of `allowOrigins`, wherever conditions around it may have moved that."""
    match node:
        case [*children]:
            return [_allowing(origins, child) for child in children]
        case {"allowOrigins": _, **rest}:
            return {**rest, "allowOrigins": [*origins]}
        case {**children}:
            return {name: _allowing(origins, child) for name, child in children.items()}
        case _:
            return node


def _authorizers(api: str, body: Json) -> Iterator[tuple[str, Resource]]:
    for name, scheme in body.get("components", {}).get("securitySchemes", {}).items():
        if (authorizer := scheme.get(_AUTHORIZER)) is not None:
            yield (
                f"{api}Authorizer{name}",
                {
                    "Type": "AWS::ApiGatewayV2::Authorizer",
                    "Properties": {
                        "ApiId": {"Ref": api},
                        "Name": name,
                        "AuthorizerType": "REQUEST",
                        "AuthorizerUri": authorizer["authorizerUri"],
                        "AuthorizerPayloadFormatVersion": authorizer["authorizerPayloadFormatVersion"],
                        "AuthorizerResultTtlInSeconds": authorizer.get("authorizerResultTtlInSeconds", 0),
                        "EnableSimpleResponses": authorizer.get("enableSimpleResponses", False),
                        "IdentitySource": authorizer.get("identitySource") or [],
                    },
                },
            )


def _route(api: str, path: str, method: str, operation: Json) -> dict[str, Resource]:
    verb = "ANY" if method.startswith("x-") else method.upper()
    name = api + verb.title() + "".join(character for character in path.title() if character.isalnum())
    integration = operation[_INTEGRATION]
    route = {
        "ApiId": {"Ref": api},
        "RouteKey": "$default" if path == "/$default" else f"{verb} {path}",
        "Target": {"Fn::Sub": f"integrations/${{{name}Integration}}"},
        **_authorization(api, operation),
    }
    return {
        f"{name}Integration": {
            "Type": "AWS::ApiGatewayV2::Integration",
            "Properties": {
                "ApiId": {"Ref": api},
                "IntegrationType": "AWS_PROXY",
                "IntegrationUri": integration["uri"],
                "PayloadFormatVersion": integration["payloadFormatVersion"],
            },
        },
        f"{name}Route": {"Type": "AWS::ApiGatewayV2::Route", "Properties": route},
    }


def _authorization(api: str, operation: Json) -> dict[str, Json]:
    for requirement in operation.get("security", []):
        for name in requirement:
            if name != "NONE":
                return {"AuthorizationType": "CUSTOM", "AuthorizerId": {"Ref": f"{api}Authorizer{name}"}}
    return {"AuthorizationType": "NONE"}
