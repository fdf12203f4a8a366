"""The handlers that answer HTTP, loaded from their files."""

import importlib.util
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from local.paths import FUNCTIONS
from tessera.http.api import Api


@dataclass(frozen=True)
class Handler:
    """A handler's resolver and the docstrings of its operations, by operation id."""

    app: Api
    descriptions: Mapping[str, str]


def handlers() -> Iterator[Handler]:
    """Load every handler under functions/ that has an `Api`, in the order of the file names."""
    for file in sorted(FUNCTIONS.glob("*/*.py")):
        module = load(file)
        app = getattr(module, "app", None)
        if isinstance(app, Api):
            yield Handler(app, _descriptions(app))


def load(file: Path) -> ModuleType:
    """Import a handler under a name of its own: two contexts may have operations of the same name."""
    name = f"functions.{file.parent.name}.{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _descriptions(app: Api) -> dict[str, str]:
    """Return the docstring of each operation by its id. Powertools keeps the routes, and shows none of them."""
    routes = [*app._static_routes, *app._dynamic_routes]  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return {str(route.operation_id): inspect.cleandoc(route.func.__doc__ or "") for route in routes}  # pyright: ignore[reportUnknownMemberType]
