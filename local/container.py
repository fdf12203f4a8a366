"""What `sam local invoke` needs to run a function in a container against the embedded AWS."""

import json
from pathlib import Path

from local.stack import Stack

_VARIABLES = "      Variables:\n"
_ENDPOINT = "        AWS_ENDPOINT_URL: set by --env-vars\n"


def prepare(stack: Stack) -> tuple[Path, Path]:
    """Write a template and a file of variables; return both. Raises Trouble unless the stack runs.

    SAM resolves no resource names, and passes only variables that the template declares.
    """
    template = stack.build.template.with_name("container.yaml")
    template.write_text(stack.build.template.read_text().replace(_VARIABLES, _VARIABLES + _ENDPOINT, 1))
    variables = template.with_name("container.json")
    values = {logical_id: stack.variables(logical_id) for logical_id in stack.build.sources()}
    variables.write_text(json.dumps(values, indent=2))
    return template, variables
