"""The rewriting of a translated template for the embedded AWS."""

import json
from typing import Any

from local.localise import PATIENCE, localise

TYPES = {"AWS::ApiGatewayV2::Api", "AWS::SecretsManager::Secret", "AWS::IAM::Role", "AWS::CloudWatch::Alarm"}
TYPES |= {f"AWS::ApiGatewayV2::{kind}" for kind in ("Authorizer", "Integration", "Route")}
INTEGRATION = {"uri": {"Fn::Sub": "arn:${F}/invocations"}, "payloadFormatVersion": "2.0"}
AUTHORIZER = {
    "authorizerUri": "arn:auth/invocations",
    "authorizerPayloadFormatVersion": "2.0",
    "enableSimpleResponses": True,
}


def api(**extra: Any) -> dict[str, Any]:
    operations = {
        "get": {"x-amazon-apigateway-integration": INTEGRATION, "security": [{"Caller": []}]},
        "post": {"x-amazon-apigateway-integration": INTEGRATION, "security": [{"NONE": []}]},
    }
    schemes = {"Caller": {"x-amazon-apigateway-authorizer": AUTHORIZER}}
    body = {"paths": {"/sessions/{id}": operations}, "components": {"securitySchemes": schemes}, **extra}
    return {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Body": body}}


def test_an_api_body_becomes_routes_with_their_authorizer() -> None:
    resources = localise({"Resources": {"Api": api()}}, types=TYPES, origins=[]).template["Resources"]
    routes = {
        resource["Properties"]["RouteKey"]: resource["Properties"]
        for resource in resources.values()
        if resource["Type"] == "AWS::ApiGatewayV2::Route"
    }
    assert routes["GET /sessions/{id}"]["AuthorizerId"] == {"Ref": "ApiAuthorizerCaller"}
    assert routes["POST /sessions/{id}"]["AuthorizationType"] == "NONE"
    assert resources["ApiAuthorizerCaller"]["Properties"]["AuthorizerResultTtlInSeconds"] == 0
    assert resources["ApiGetSessionsIdIntegration"]["Properties"]["IntegrationUri"] == INTEGRATION["uri"]


def test_origins_are_replaced_under_a_condition_too() -> None:
    cors = {"Fn::If": ["HasOrigins", {"allowOrigins": {"Fn::Split": [",", "a,b"]}, "maxAge": 1}, {"Ref": "None"}]}
    body = api(**{"x-amazon-apigateway-cors": cors})
    template = localise({"Resources": {"Api": body}}, types=TYPES, origins=["http://localhost:3000"]).template
    wanted = {"allowOrigins": ["http://localhost:3000"], "maxAge": 1}
    found = template["Resources"]["Api"]["Properties"]["CorsConfiguration"]
    assert found == {"Fn::If": ["HasOrigins", wanted, {"Ref": "None"}]}


def test_what_the_engine_lacks_is_left_out_and_named() -> None:
    resources = {
        "Trail": {"Type": "AWS::Athena::NamedQuery", "Properties": {}},
        "Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Metrics": []}},
        "Role": {"Type": "AWS::IAM::Role", "Properties": {}, "DependsOn": ["Trail", "Other"]},
        "Other": {"Type": "AWS::IAM::Role", "Properties": {}, "DependsOn": "Trail"},
    }
    result = localise({"Resources": resources}, types=TYPES, origins=[])
    assert {name: found["DependsOn"] for name, found in result.template["Resources"].items()} == {
        "Role": ["Other"],
        "Other": [],
    }
    assert [note.split(":")[0] for note in result.notes] == ["left out Trail", "left out Alarm"]


def test_a_secret_is_referred_to_by_its_arn() -> None:
    resources = {
        "Keys": {"Type": "AWS::SecretsManager::Secret", "Properties": {}},
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"Resource": [{"Ref": "Keys"}, {"Ref": "Table"}]}},
    }
    template = localise({"Resources": resources}, types=TYPES, origins=[]).template
    found = template["Resources"]["Role"]["Properties"]["Resource"]
    assert found == [{"Fn::GetAtt": ["Keys", "Arn"]}, {"Ref": "Table"}]


def test_a_reader_of_a_stream_gives_up_soon_and_asks_for_nothing_absent() -> None:
    pattern = {"eventName": ["MODIFY"], "dynamodb": {"OldImage": {"endedAt": {"N": [{"exists": False}]}}}}
    reader = {"FilterCriteria": {"Filters": [{"Pattern": json.dumps(pattern)}]}, "MaximumRecordAgeInSeconds": 3600}
    kind = "AWS::Lambda::EventSourceMapping"
    template = {"Resources": {"Reader": {"Type": kind, "Properties": reader}}}
    found = localise(template, types={kind}, origins=[]).template["Resources"]["Reader"]["Properties"]
    assert found["MaximumRecordAgeInSeconds"] == PATIENCE
    (criterion,) = found["FilterCriteria"]["Filters"]
    assert json.loads(criterion["Pattern"]) == {"eventName": ["MODIFY"], "dynamodb": {}}


def test_nothing_demands_tls() -> None:
    tls = {"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": False}}}
    send = {"Effect": "Allow", "Condition": {"ArnEquals": {"aws:SourceArn": "arn:rule"}}}
    kinds = {"Bucket": "AWS::S3::BucketPolicy", "Queue": "AWS::SQS::QueuePolicy"}
    statements = {"Bucket": [tls], "Queue": [send, tls]}
    resources = {
        name: {"Type": kind, "Properties": {"PolicyDocument": {"Statement": statements[name]}}}
        for name, kind in kinds.items()
    }
    found = localise({"Resources": resources}, types={*kinds.values()}, origins=[]).template["Resources"]
    assert found.keys() == {"Queue"}
    assert found["Queue"]["Properties"]["PolicyDocument"]["Statement"] == [send]
