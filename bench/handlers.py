"""Handlers in this process: loaded from their files, called with what Lambda would pass."""

from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any


def loaded(path: Path) -> Any:
    """Import the module of a function afresh, with an object graph of its own; return its handler."""
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.handler


@dataclass
class Context:
    """What Lambda passes beside the event, as far as anybody reads it."""

    function_name: str = "tessera-bench"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:000000000000:function:tessera-bench"
    aws_request_id: str = "8f5c1f0e-6a5d-4b6e-9c59-5b8f6b1f3a11"

    def get_remaining_time_in_millis(self) -> int:
        """Return the time that is left: always enough."""
        return 300_000
