"""The handlers that answer HTTP, loaded from their files."""

import importlib.util
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType

from local.paths import FUNCTIONS
from tessera.http.api import Api


@dataclass(frozen=True)
class Handler:
    """A handler's resolver and the docstring of its one operation."""

    app: Api
    description: str


def handlers() -> Iterator[Handler]:
    """Load every handler under functions/ that has an `Api`, in the order of the file names."""
    for file in sorted(FUNCTIONS.glob("*/*.py")):
        module = load(file)
        app = getattr(module, "app", None)
        if isinstance(app, Api):
            yield Handler(app, _description(module))


def load(file: Path) -> ModuleType:
    """Import a handler under a name of its own: two contexts may have operations of the same name."""
    name = f"functions.{file.parent.name}.{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _description(module: ModuleType) -> str:
    """Return the docstring of the operation: the one public function of the module."""
    (operation,) = (
        function
        for name, function in vars(module).items()
        if isinstance(function, FunctionType)
        and function.__module__ == module.__name__
        and not name.startswith("_")
    )
    return inspect.cleandoc(operation.__doc__ or "")
