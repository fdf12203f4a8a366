"""Deploy the built template through the embedded CloudFormation."""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local import digest
from local.artifacts import Artifacts
from local.build import Build
from local.clients import Clients
from local.engine import REGION
from local.localise import Localised, localise
from local.paths import MINISTACK_PYTHON
from local.trouble import Trouble

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef, StackTypeDef

STACK = "tessera-local"
_HERE = Path(__file__).parent
_DIGEST = "LocalDigest"
_DONE = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}

LOOPBACK_PORTS = (80, 3000, 3001, 4000, 4173, 4200, 5000, 5173, 5174, 8000, 8080, 8081, 8888, 9000)
"""Ports of the usual development servers: MiniStack answers preflights itself and knows no patterns."""

PARAMETERS = {
    "Stage": "local",
    "AllowedOrigins": "http://localhost:*,http://127.0.0.1:*",
    "DeletionProtection": "false",
    "MetricsFlushSeconds": "0",
    "RateLimits": "off",
}


def deploy(build: Build, clients: Clients, folder: Path, parameters: Mapping[str, str]) -> list[str]:
    """Create or update the stack from `build`; return notes on what the engine left out. Raises Trouble."""
    artifacts = Artifacts(clients.s3, folder / "layers")
    stored = {path.name: artifacts.put(path) for path in sorted(build.folder.iterdir()) if path.is_dir()}
    wanted = {**PARAMETERS, "Architecture": build.architecture, **parameters}
    version = digest.of([build.template, _HERE], json.dumps([stored, wanted], sort_keys=True))
    if outputs(clients).get(_DIGEST) == version:
        return []
    localised = _localised(build.template, stored, wanted)
    localised.template.setdefault("Outputs", {})[_DIGEST] = {"Value": version}
    address = artifacts.put_text("template.json", json.dumps(localised.template))
    _apply(
        clients, address, {name: wanted[name] for name in wanted if name in localised.template["Parameters"]}
    )
    _expire_items(clients, localised.template)
    artifacts.prune([place["Key"] for place in stored.values()])
    return localised.notes


def outputs(clients: Clients) -> dict[str, str]:
    """Return the outputs of the deployed stack; none when it is not deployed."""
    stack = _described(clients)
    if stack is None or stack["StackStatus"] not in _DONE:
        return {}
    return {output.get("OutputKey", ""): output.get("OutputValue", "") for output in stack.get("Outputs", [])}


def _localised(template: Path, artifacts: Mapping[str, Any], parameters: Mapping[str, str]) -> Localised:
    result = subprocess.run(
        [str(MINISTACK_PYTHON), str(_HERE / "translate.py"), str(template)],
        input=json.dumps({"artifacts": artifacts, "parameters": parameters}),
        env={**os.environ, "AWS_DEFAULT_REGION": REGION},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise Trouble(f"the SAM translator refuses the template:\n{result.stderr}")
    answer = json.loads(result.stdout)
    origins = [f"http://{host}:{port}" for host in ("localhost", "127.0.0.1") for port in LOOPBACK_PORTS]
    return localise(answer["template"], types=answer["types"], origins=origins)


def _described(clients: Clients) -> "StackTypeDef | None":
    try:
        return clients.cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ValidationError":
            return None
        raise


def _apply(clients: Clients, template: str, parameters: Mapping[str, str]) -> None:
    existing = _described(clients)
    if existing is not None and existing["StackStatus"] in {"ROLLBACK_COMPLETE", "CREATE_FAILED"}:
        clients.cloudformation.delete_stack(StackName=STACK)
        existing = None
    values: list[ParameterTypeDef] = [
        {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
    ]
    act = clients.cloudformation.create_stack if existing is None else clients.cloudformation.update_stack
    act(
        StackName=STACK,
        TemplateURL=template,
        Parameters=values,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    status = _settled(clients)
    if status not in _DONE:
        raise Trouble(f"the deployment ended as {status}:\n{_failures(clients)}")


def _settled(clients: Clients) -> str:
    """Wait until the stack stands still; return its status."""
    while (stack := _described(clients)) is not None and stack["StackStatus"].endswith("_IN_PROGRESS"):
        time.sleep(0.05)
    return "DELETE_COMPLETE" if stack is None else stack["StackStatus"]


def _failures(clients: Clients) -> str:
    events = clients.cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
    return "\n".join(
        f"  {event.get('LogicalResourceId')}: {event.get('ResourceStatusReason')}"
        for event in events
        if event.get("ResourceStatus", "").endswith("FAILED")
    )


def _expire_items(clients: Clients, template: Mapping[str, Any]) -> None:
    """Turn the tables' TTL on; MiniStack's CloudFormation reads over it."""
    names = {
        resource["LogicalResourceId"]: resource.get("PhysicalResourceId", "")
        for resource in clients.cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
    }
    for logical_id, resource in template["Resources"].items():
        wanted = resource.get("Properties", {}).get("TimeToLiveSpecification")
        if wanted is None:
            continue
        table = names[logical_id]
        known = clients.dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        if known.get("TimeToLiveStatus") != "ENABLED":
            clients.dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=wanted)
