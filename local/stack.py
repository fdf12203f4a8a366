"""The running system as one object: what the command line and the tests start and stop."""

import os
import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from local import keyring, ports, process
from local.build import Build
from local.clients import Clients
from local.deploy import STACK, deploy
from local.deployed import Deployed, require
from local.endpoints import Endpoints
from local.engine import REGION, Engine
from local.localise import HTTP_API_ID, WEBSOCKET_API_ID
from local.paths import STATE
from local.trouble import Trouble


class Stack:
    """The template deployed on an engine of its own.

    `state` is the folder for everything it writes, by default TESSERA_STATE or .tessera; `port` is the engine's,
    by default the one it runs on, TESSERA_PORT or 4566; `parameters` override template parameters
    (`{"RateLimits": "on"}`). Stacks with different folders and ports run side by side.
    """

    def __init__(
        self,
        state: Path | None = None,
        port: int | None = None,
        parameters: Mapping[str, str] | None = None,
        build: Build | None = None,
    ) -> None:
        state = state or Path(os.environ.get("TESSERA_STATE", STATE))
        folder = state / "aws"
        running = process.started(folder / "ministack.pid")
        known = running.port if running else int(os.environ.get("TESSERA_PORT", ports.DEFAULT))
        self.engine = Engine(folder, port or known, enforce=True)
        self.endpoints_file = state / "endpoints.json"
        self.build = build or Build()
        self.notes: list[str] = []
        self._parameters = dict(parameters or {})

    @cached_property
    def clients(self) -> Clients:
        """Clients of this stack's engine."""
        return Clients(self.engine.url)

    def up(self) -> Endpoints:
        """Build, start and deploy whatever is not built, started and deployed yet. Raises Trouble."""
        self.build.make()
        self.engine.start()
        self._deploy()
        endpoints = self._endpoints()
        endpoints.write(self.endpoints_file)
        return endpoints

    def update(self) -> bool:
        """Bring the running stack up to the sources; say whether anything changed. Raises Trouble."""
        changed = self.build.make()
        if changed:
            self._deploy()
        return changed

    def down(self) -> None:
        """Stop; the state stays on disk."""
        self.endpoints_file.unlink(missing_ok=True)
        self.engine.stop()

    def reset(self) -> None:
        """Stop and forget the state."""
        self.down()
        shutil.rmtree(self.engine.folder, ignore_errors=True)

    def require_running(self) -> None:
        """Raise Trouble unless the engine runs."""
        if not self.engine.running():
            raise Trouble("nothing runs here: start it with `make up`")

    def deployed(self) -> Deployed:
        """Return what is deployed. Raises Trouble when nothing is."""
        self.require_running()
        return require(self.clients, STACK)

    def variables(self, function: str) -> dict[str, str]:
        """Return the environment of a deployed function, given by its logical id, for use outside of it."""
        name = self.deployed().resources[function]
        configuration = self.clients.functions.get_function_configuration(FunctionName=name)
        variables = configuration.get("Environment", {}).get("Variables", {})
        return {**variables, "AWS_ENDPOINT_URL": self.engine.url}

    def _deploy(self) -> None:
        self.notes = deploy(self.build, self.clients, self.engine.folder, self._parameters)
        keyring.ensure(self.clients, self.deployed())

    def _endpoints(self) -> Endpoints:
        deployed = self.deployed()
        return Endpoints(
            http=f"{self.engine.url}/_aws/execute-api/{HTTP_API_ID}",
            websocket=f"{self.engine.url.replace('http', 'ws', 1)}/_aws/execute-api/{WEBSOCKET_API_ID}/v1",
            aws=self.engine.url,
            region=REGION,
            table=deployed.outputs["TableName"],
            bucket=deployed.outputs["BucketName"],
            admin_token=keyring.token(self.clients, deployed, ["admin"]),
        )
