"""Turn a built SAM template into CloudFormation; runs in MiniStack's environment, not in ours.

    python translate.py BUILT_TEMPLATE < '{"parameters": {…}, "artifacts": {logical id: {Bucket, Key}}}'

Prints {"template": the CloudFormation template, "types": [resource types that MiniStack creates]}.
"""
# pyright: basic, reportMissingImports=false
# The two imports below exist in MiniStack's environment only.

import json
import sys
from pathlib import Path

from ministack.services.cloudformation.provisioners import _RESOURCE_HANDLERS
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

CODE_PROPERTIES = ("CodeUri", "ContentUri")


class NoManagedPolicies:
    """The translator asks IAM for the ARNs of managed policies; our template names them in full."""

    def load(self) -> dict[str, str]:
        """Return policy names with their ARNs: none."""
        return {}


def main() -> None:
    """Read, translate, print."""
    request = json.load(sys.stdin)
    template = yaml_parse(Path(sys.argv[1]).read_text())
    for logical_id, artifact in request["artifacts"].items():
        properties = template["Resources"][logical_id]["Properties"]
        for name in CODE_PROPERTIES:
            if name in properties:
                properties[name] = artifact
    translated = transform(template, request["parameters"], NoManagedPolicies())
    json.dump({"template": translated, "types": sorted(_RESOURCE_HANDLERS)}, sys.stdout)


if __name__ == "__main__":
    main()
