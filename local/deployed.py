"""What CloudFormation knows of a deployed stack."""

from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from local.clients import Clients
from local.trouble import Trouble

COMPLETE = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


@dataclass(frozen=True)
class Deployed:
    """A stack: its status (None when there is none), its outputs, and physical by logical resource ids."""

    status: str | None = None
    outputs: dict[str, str] = field(default_factory=dict[str, str])
    resources: dict[str, str] = field(default_factory=dict[str, str])


def status(clients: Clients, stack: str) -> str | None:
    """Return the status of the stack; None when there is none."""
    return described(clients, stack).status


def described(clients: Clients, stack: str) -> Deployed:
    """Return the stack's status and outputs."""
    try:
        found = clients.cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ValidationError":
            return Deployed()
        raise
    outputs = {output.get("OutputKey", ""): output.get("OutputValue", "") for output in found.get("Outputs", [])}
    return Deployed(found["StackStatus"], outputs)


def require(clients: Clients, stack: str) -> Deployed:
    """Return everything about a stack that stands. Raises Trouble when it does not."""
    found = described(clients, stack)
    if found.status not in COMPLETE:
        raise Trouble(f"the stack {stack} is not deployed")
    resources = clients.cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    named = {resource["LogicalResourceId"]: resource.get("PhysicalResourceId", "") for resource in resources}
    return Deployed(found.status, found.outputs, named)
