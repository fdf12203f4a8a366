"""Rules of what functions may do, and of what must not stand in the template."""

import re
from collections.abc import Iterable
from typing import Any

from tests.template.breaking import Break, Breaks, drop, put
from tests.template.reading import Function, Json, Template, strings

_SUSPICIOUS = re.compile(r"SECRET|PASSWORD|TOKEN|PRIVATE|CREDENTIAL|API_?KEY", re.IGNORECASE)
_KEY_MATERIAL = re.compile(r"-----BEGIN|AKIA[0-9A-Z]{16}|\beyJ[\w-]{8,}\.|[A-Fa-f0-9]{40,}|[\w+/]{48,}={0,2}")
_TABLES = [{"Fn::GetAtt": [name, "Arn"]} for name in ("Table", "RealtimeTable")]
_OBJECTS = re.compile(r"\$\{(Archive|Analytics)\.Arn\}(/\w+)+/\*")
"""The objects under a prefix of one bucket."""
_CONNECTIONS = re.compile(
    r"arn:\$\{AWS::Partition\}:execute-api:(\$\{\w+(::\w+)?\}[:/]){4}(POST|DELETE)/@connections/\*"
)
"""The connections of one API, under one method. These two are the wildcards that resources may have."""


def functions_have_least_privilege(template: Template) -> list[str]:
    """Each has statements of its own: exact actions on exact resources, named partitions of the table."""
    return [f"{f.logical_id} {problem}" for f in template.functions() for problem in _privileges(f)]


def no_secret_is_written_down(template: Template) -> list[str]:
    """Secrets begin empty, variables only point at them, and nothing looks like a key."""
    secrets = {name: found["Properties"] for name, found in template.of_type("AWS::SecretsManager::Secret")}
    return [
        *(f"{name} has a value" for name, secret in secrets.items() if secret.get("SecretString") != "{}"),
        *(f"{name} is generated" for name, secret in secrets.items() if "GenerateSecretString" in secret),
        *(
            f"{function.logical_id} has {variable} in clear text"
            for function in template.functions()
            for variable, value in function.properties["Environment"]["Variables"].items()
            if _SUSPICIOUS.search(variable) and not _points_at(value, secrets)
        ),
        *(f"{found[:12]}… looks like a key" for found in strings(template.body) if _KEY_MATERIAL.search(found)),
    ]


def _find_session(**changes: Json) -> Break:
    """Change the statement FindSession of sessions/get."""

    def change(body: Json) -> None:
        (policy,) = body["Resources"]["SessionsGetFunction"]["Properties"]["Policies"]
        next(s for s in policy["Statement"] if s["Sid"] == "FindSession").update(changes)

    return change


BREAKS: Breaks = {
    functions_have_least_privilege: (
        (drop("SessionsGetFunction.Policies"), "SessionsGetFunction has no policy of its own"),
        (
            put("SessionsGetFunction.Policies", ["AmazonDynamoDBFullAccess"]),
            "has a policy that is not written out",
        ),
        (
            put("SessionsGetFunction.Policies", [{"DynamoDBCrudPolicy": {}}]),
            "has a policy that is not written out",
        ),
        (put("SessionsGetFunction.Role", "arn:aws:iam::123456789012:role/all"), "has a role from elsewhere"),
        (_find_session(Action="dynamodb:*"), "has a wildcard among the actions of FindSession"),
        (_find_session(Action=["dynamodb:Get*"]), "has a wildcard among the actions of FindSession"),
        (_find_session(Resource="*"), "has a wildcard among the resources of FindSession"),
        (
            _find_session(Resource={"Fn::Sub": "${Table.Arn}/index/*"}),
            "has a wildcard among the resources of",
        ),
        (_find_session(Resource={"Fn::Sub": "${Archive.Arn}/*"}), "has a wildcard among the resources of"),
        (_find_session(Resource={"Fn::Sub": "${Archive.Arn}/*/a"}), "has a wildcard among the resources of"),
        (_find_session(NotAction="dynamodb:DeleteTable"), "grants by exception in FindSession"),
        (_find_session(Condition={}), "names no partitions of the table in FindSession"),
        (
            _find_session(Condition={"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["*"]}}),
            "names no partitions of the table in FindSession",
        ),
    ),
    no_secret_is_written_down: (
        (put("Keys.SecretString", '{"signing": []}'), "Keys has a value"),
        (put("Keys.GenerateSecretString", {}), "Keys is generated"),
        (
            put("Globals.Environment.Variables.SESSION_SECRET", "change-me"),
            "has SESSION_SECRET in clear text",
        ),
        (put("Globals.Environment.Variables.KEYS_SECRET", "change-me"), "has KEYS_SECRET in clear text"),
        (put("Globals.Environment.Variables.SALT", "0f" * 20), "looks like a key"),
    ),
}


def _privileges(function: Function) -> Iterable[str]:
    policies = function.properties.get("Policies", ())
    written = [policy for policy in policies if isinstance(policy, dict) and "Statement" in policy]
    if not policies:
        yield "has no policy of its own"
    if len(written) != len(policies):
        yield "has a policy that is not written out"
    if "Role" in function.properties:
        yield "has a role from elsewhere"
    for policy in written:
        for statement in policy["Statement"]:
            yield from _excess(statement)


def _excess(statement: Json) -> Iterable[str]:
    sid, resources = statement["Sid"], _listed(statement.get("Resource", "*"))
    if statement["Effect"] != "Allow" or {"NotAction", "NotResource"} & statement.keys():
        yield f"grants by exception in {sid}"
    if any("*" in action for action in _listed(statement.get("Action", "*"))):
        yield f"has a wildcard among the actions of {sid}"
    if any("*" in part and not _may_be_wild(part) for part in strings(resources)):
        yield f"has a wildcard among the resources of {sid}"
    if any(table in resources for table in _TABLES) and not _partitions(statement):
        yield f"names no partitions of the table in {sid}"


def _may_be_wild(resource: str) -> bool:
    return bool(_OBJECTS.fullmatch(resource) or _CONNECTIONS.fullmatch(resource))


def _partitions(statement: Json) -> list[str]:
    """Return the leading keys that a statement is held to; a bare wildcard holds to nothing."""
    conditions = statement.get("Condition", {}).values()
    return [key for keys in conditions for key in keys.get("dynamodb:LeadingKeys", ()) if key != "*"]


def _points_at(value: Json, secrets: dict[str, Json]) -> bool:
    return isinstance(value, dict) and value.get("Ref") in secrets


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
