"""Run a built function as Lambda runs it, without a container.

Lambda's own Runtime Interface Emulator (RIE, from SAM's wheel) starts Lambda's own Python client
(awslambdaric) on the built code, with the layers on the path and nothing else: a package that is missing
from the layers is missing here.
"""

import json
import platform
import re
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local import ports, process
from local.build import Build
from local.engine import CREDENTIALS, REGION
from local.paths import RUNTIME_PYTHON, SAM_TOOLS
from local.trouble import Trouble

_MACHINE = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
_RIE = "lib/python3.13/site-packages/samcli/local/rapid/aws-lambda-rie-" + _MACHINE
_INVOCATIONS = "2015-03-31/functions/function/invocations"
_INIT = re.compile(r"INIT REPORT\(durationMs: ([\d.]+)\)")
_DURATION = re.compile(r"INVOKE RTDONE\(.*duration: ([\d.]+)ms\)")
_REPORT = "\nREPORT RequestId"
LAYERS = ("TesseraLayer", "VendorLayer")
MORE_LAYERS = {
    "lifecycle/compact": ("CompactionLayer",),
    "realtime/fanout": ("RealtimeLayer",),
    "realtime/sweep": ("RealtimeLayer",),
}
"""What a function has beside `LAYERS`, as template.yaml says; a test compares."""


@dataclass(frozen=True)
class Function:
    """Built code: its folder, the handler in it (`get.handler`), and the folders of its layers."""

    code: Path
    handler: str
    layers: Sequence[Path] = ()

    @classmethod
    def built(cls, name: str, build: Build) -> Self:
        """Return the function that `functions/<name>.py` was built to. Raises Trouble when there is none."""
        context, _, operation = name.partition("/")
        code = build.folder / f"{context.title()}{operation.title()}Function"
        if not (code / f"{operation}.py").exists():
            raise Trouble(f"no function {name}: name it as its file under functions/, such as sessions/get")
        layers = (*LAYERS, *MORE_LAYERS.get(name, ()))
        return cls(code, f"{operation}.handler", [build.folder / layer for layer in layers])


@dataclass(frozen=True)
class Result:
    """One invocation: the answer, what was logged, and how long it took, in milliseconds.

    `init_ms` is the cold start before it, None when the runtime was warm.
    """

    payload: Any
    duration_ms: float
    init_ms: float | None
    logs: str

    @property
    def failed(self) -> bool:
        """Whether the handler raised; then the payload holds errorType and errorMessage."""
        return self.payload is not None and "errorType" in self.payload


class Runtime:
    """A runtime that has started one function; a context manager. Calls are serial, as in Lambda."""

    def __init__(self, function: Function, variables: Mapping[str, str]) -> None:
        """`variables` are the function's environment, AWS_ENDPOINT_URL among them."""
        self._function = function
        self._variables = variables
        self._port = ports.free()
        self._cleanup = ExitStack()
        self._read = 0

    def __enter__(self) -> Self:
        """Start the emulator; the function itself starts with its first invocation."""
        self._log = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory())) / "log"
        output = self._cleanup.enter_context(self._log.open("wb"))
        child = subprocess.Popen(
            self._command(), env=self._environment(), cwd=self._function.code, stdout=output, stderr=output
        )
        self._cleanup.callback(child.wait)
        self._cleanup.callback(child.terminate)
        if not process.wait_until(self._listens, 5):
            raise Trouble(f"the runtime emulator did not start:\n{self._log.read_text()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self._cleanup.close()

    def invoke(self, event: Any) -> Result:
        """Invoke the function with `event` and wait for its answer."""
        request = urllib.request.Request(
            f"http://{ports.HOST}:{self._port}/{_INVOCATIONS}", data=json.dumps(event).encode()
        )
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310  same
                payload = json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as failed:  # it did not even start
            payload = json.loads(failed.read())
        logs = self._logged()
        init, duration = _INIT.search(logs), _DURATION.search(logs)
        return Result(
            payload,
            duration_ms=float(duration[1]) if duration else 0.0,
            init_ms=float(init[1]) if init else None,
            logs=logs,
        )

    def _command(self) -> list[str]:
        return [
            str(SAM_TOOLS / _RIE),
            *("--log-level", "info"),
            *("--runtime-interface-emulator-address", f"{ports.HOST}:{self._port}"),
            *("--runtime-api-address", f"{ports.HOST}:{ports.free()}"),
            *(str(RUNTIME_PYTHON), "-m", "awslambdaric", self._function.handler),
        ]

    def _environment(self) -> dict[str, str]:
        code = self._function.code
        path = [code, *(layer / "python" for layer in self._function.layers)]
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PYTHONPATH": ":".join(str(folder) for folder in path),
            "LAMBDA_TASK_ROOT": str(code),
            "AWS_LAMBDA_FUNCTION_NAME": code.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "900",  # the longest of any: a run by hand is not cut short
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            **CREDENTIALS,
            **self._variables,
        }

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((ports.HOST, self._port)) == 0

    def _logged(self) -> str:
        """Return what was logged since the last call, the report of the invocation included."""
        process.wait_until(lambda: _REPORT in self._log.read_text(errors="replace")[self._read :], 2)
        text = self._log.read_text(errors="replace")
        news, self._read = text[self._read :], len(text)
        return news
