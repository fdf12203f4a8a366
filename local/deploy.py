"""Deploy the built template through the embedded CloudFormation."""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local import digest
from local.artifacts import Artifacts
from local.build import Build
from local.clients import Clients
from local.deployed import COMPLETE, described, require, status
from local.engine import REGION
from local.localise import Localised, localise
from local.paths import MINISTACK_PYTHON
from local.trouble import Trouble

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef

STACK = "tessera-local"
_HERE = Path(__file__).parent
_OURS = [_HERE / name for name in ("deploy.py", "localise.py", "translate.py")]
_DIGEST = "LocalDigest"
"""The output that remembers what was deployed, so that the same is not deployed again."""

PARAMETERS = {
    "Stage": "local",
    "AllowedOrigins": ",".join(
        f"{scheme}://{name}:*" for name in ("localhost", "127.0.0.1", "[::1]") for scheme in ("http", "https")
    ),
    "DeletionProtection": "false",
    "MetricsFlushSeconds": "0",
    "RateLimits": "off",
    "PaymentProvider": "sandbox",
    "Bitrix24": "on",
    "PushHosts": "127.0.0.1,localhost",
    "Experiments": '{"button": {"variations": ["blue", "green"]}}',
}


def deploy(build: Build, clients: Clients, folder: Path, parameters: Mapping[str, str]) -> list[str]:
    """Create or update the stack from `build`; return notes on what the engine left out. Raises Trouble."""
    artifacts = Artifacts(clients.s3, folder / "layers")
    stored = {path.name: artifacts.put(path) for path in sorted(build.folder.iterdir()) if path.is_dir()}
    wanted = {**PARAMETERS, "Architecture": build.architecture, **parameters}
    version = digest.of([build.template, *_OURS], json.dumps([stored, wanted], sort_keys=True))
    known = described(clients, STACK)
    if known.status in COMPLETE and known.outputs.get(_DIGEST) == version:
        return []
    localised = _localised(build.template, stored, wanted, str(clients.endpoint))
    localised.template.setdefault("Outputs", {})[_DIGEST] = {"Value": version}
    address = artifacts.put_text("template.json", json.dumps(localised.template))
    _apply(clients, address, {name: wanted[name] for name in wanted if name in localised.template["Parameters"]})
    _expire_items(clients, localised.template)
    artifacts.prune([place["Key"] for place in stored.values()])
    return localised.notes


def _localised(
    template: Path, artifacts: Mapping[str, Any], parameters: Mapping[str, str], engine: str
) -> Localised:
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
    origins = parameters["AllowedOrigins"].split(",")
    return localise(answer["template"], types=answer["types"], origins=origins, engine=engine)


def _apply(clients: Clients, template: str, parameters: Mapping[str, str]) -> None:
    existing = status(clients, STACK)
    if existing in {"ROLLBACK_COMPLETE", "CREATE_FAILED"}:
        clients.cloudformation.delete_stack(StackName=STACK)
        existing = _settled(clients)
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
    ended = _settled(clients)
    if ended not in COMPLETE:
        raise Trouble(f"the deployment ended as {ended}:\n{_failures(clients)}")


def _settled(clients: Clients) -> str | None:
    """Wait until the stack stands still; return its status."""
    while (found := status(clients, STACK)) is not None and found.endswith("_IN_PROGRESS"):
        time.sleep(0.05)
    return None if found == "DELETE_COMPLETE" else found


def _failures(clients: Clients) -> str:
    events = clients.cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
    return "\n".join(
        f"  {event.get('LogicalResourceId')}: {event.get('ResourceStatusReason')}"
        for event in events
        if event.get("ResourceStatus", "").endswith("FAILED")
    )


def _expire_items(clients: Clients, template: Mapping[str, Any]) -> None:
    """Turn the tables' TTL on; MiniStack's CloudFormation reads over it."""
    names = require(clients, STACK).resources
    for logical_id, resource in template["Resources"].items():
        wanted = resource.get("Properties", {}).get("TimeToLiveSpecification")
        if wanted is None:
            continue
        table = names[logical_id]
        known = clients.dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        if known.get("TimeToLiveStatus") != "ENABLED":
            clients.dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=wanted)
