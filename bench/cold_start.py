"""The cold start of the built sessions/get: INIT and first call, as Lambda's runtime emulator reports them.

Each measurement is a fresh process, and the subjects take turns. They are the function as `make build` makes it;
the same code as a plain `sam build` makes it (no .pyc, nothing trimmed); and two bare handlers on boto3 as pip
installs it, with .pyc: one that only makes a DynamoDB client, one that also reads the same item in its first call.
The engine that answers is dynoxide.
"""

import compileall
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from bench.engines import client, dynoxide, environment
from bench.harness import Outcome, Target, p50
from bench.sessions import get_event, stored
from local.build import Build
from local.invoke import Function, Runtime
from local.paths import FUNCTIONS, OUR_LAYER, OUR_UV, ROOT, SAM_TOOLS, STATE
from tests.support.tables import new_table

ROUNDS = 20
REQUIREMENTS = ROOT / "layers" / "vendor" / "requirements.txt"
_BARE = Path(__file__).parent / "bare"
_FOLDER = STATE / "bench"
_TARGETS = (Target("ratio_to_bare_client", at_most=1.25), Target("ratio_to_plain_build", at_most=0.5))


def run() -> Outcome:
    """Build the subjects, start them in turns, compare the medians."""
    with dynoxide() as url, new_table(client(url)) as table:
        start = partial(_started, event=get_event(stored(url, table)), variables=environment(url, table))
        times = _in_turns(_subjects(), start)
    figures = {
        "ratio_to_bare_client": _total(times["ours"]) / _total(times["bare_client"]),
        "ratio_to_bare_read": _total(times["ours"]) / _total(times["bare_read"]),
        "ratio_to_plain_build": _total(times["ours"]) / _total(times["plain"]),
    }
    for subject, starts in times.items():
        figures |= {f"{subject}_ms": _total(starts), f"{subject}_init_ms": p50([init for init, _ in starts])}
    return Outcome("cold_start", {name: round(value, 3) for name, value in figures.items()}, _TARGETS)


type Start = tuple[float, float]
"""INIT and first call, in milliseconds."""


def _in_turns(
    subjects: Mapping[str, Function], start: Callable[[Function], Start], rounds: int = ROUNDS
) -> dict[str, list[Start]]:
    """Start each once, so that its files are in memory, and then in turns."""
    for function in subjects.values():
        start(function)
    times: dict[str, list[Start]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, function in subjects.items():
            times[name].append(start(function))
    return times


def _started(function: Function, *, event: object, variables: Mapping[str, str]) -> Start:
    """Start a process, call it once, end it. No .pyc is written: the folders of Lambda are read-only."""
    with Runtime(function, {**variables, "PYTHONDONTWRITEBYTECODE": "1"}) as runtime:
        result = runtime.invoke(event)
    if result.init_ms is None or result.failed or result.payload["statusCode"] != 200:  # noqa: PLR2004 - OK
        raise RuntimeError(f"{function.code} answered {result.payload}\n{result.logs}")
    return result.init_ms, result.duration_ms


def _total(starts: list[Start]) -> float:
    return p50([init + call for init, call in starts])


def _subjects() -> dict[str, Function]:
    build = Build()
    build.make()
    boto3_layer = _bare_layer()
    plain = _plain_build()
    return {
        "ours": Function.built("sessions/get", build),
        "bare_client": Function(_bare_code(), "client.handler", [boto3_layer]),
        "bare_read": Function(_bare_code(), "read.handler", [boto3_layer]),
        "plain": Function(plain / "Get", "get.handler", [plain / "Ours", plain / "Vendor"]),
    }


def _bare_code() -> Path:
    target = _FOLDER / "bare"
    shutil.copytree(_BARE, target, dirs_exist_ok=True)
    compileall.compile_dir(target, quiet=1)
    return target


def _bare_layer() -> Path:
    """Install boto3 at our version and nothing beside it, with .pyc, as pip does."""
    layer = _FOLDER / "boto3"
    uv = shutil.which("uv") or str(OUR_UV)
    command = [uv, "pip", "install", "--quiet", "--no-config", "--compile-bytecode", "--link-mode", "copy"]
    command += ["--python", str(ROOT / ".venv" / "bin" / "python"), "--target", str(layer / "python")]
    subprocess.run([*command, "--constraint", str(REQUIREMENTS), "boto3"], check=True)
    return layer


_PLAIN_TEMPLATE = """\
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Get:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: functions, Handler: get.handler, Runtime: python3.13, Architectures: [x86_64]}
  Ours:
    Type: AWS::Serverless::LayerVersion
    Metadata: {BuildMethod: python3.13}
    Properties: {ContentUri: ours, CompatibleRuntimes: [python3.13]}
  Vendor:
    Type: AWS::Serverless::LayerVersion
    Metadata: {BuildMethod: python3.13}
    Properties: {ContentUri: vendor, CompatibleRuntimes: [python3.13]}
"""


def _plain_build() -> Path:
    """Build function and layers with `sam build` and nothing of ours around it."""
    source = _FOLDER / "plain"
    without_caches = shutil.ignore_patterns("__pycache__")
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(FUNCTIONS / "sessions", source / "functions", ignore=without_caches)
    shutil.copytree(OUR_LAYER, source / "ours", ignore=without_caches)
    (source / "vendor").mkdir()
    shutil.copy(REQUIREMENTS, source / "vendor" / "requirements.txt")
    (source / "template.yaml").write_text(_PLAIN_TEMPLATE)
    sam = [str(SAM_TOOLS / "bin" / "sam"), "build", "--template", str(source / "template.yaml")]
    subprocess.run(
        [*sam, "--build-dir", str(source / "built"), "--cache-dir", str(_FOLDER / "cache")],
        env={**os.environ, "SAM_CLI_TELEMETRY": "0"},
        cwd=source,
        check=True,
        capture_output=True,
    )
    return source / "built"
