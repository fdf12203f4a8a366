# noqa: INP001  a script of the layer, not a package
"""Build the vendor layer: install the hashed requirements for one architecture, trim, compile.

    python3.13 build.py TARGET [x86_64|arm64]

Runs inside the copy of this folder that `sam build` makes, so it needs nothing but itself, uv and
Python 3.13. What is trimmed, and why, is docs/decisions/0004-what-the-layer-build-trims.md.
"""

import compileall
import gzip
import json
import os
import platform
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PLATFORMS = {"x86_64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}
"""Lambda's python3.13 runs on Amazon Linux 2023, glibc 2.34: wheels up to manylinux_2_34 load there."""

SERVICES = {"dynamodb", "s3", "secretsmanager", "sts", "xray"}
"""The AWS services whose models stay; botocore carries those of all, 20 MB of JSON. Functions call the
first three, credential providers call sts, and the X-Ray SDK makes an xray client when imported."""

UNUSED = (
    "bin",  # console scripts
    "boto3/examples",  # examples for the reference documentation
    "boto3/data",  # boto3.resource; we use clients only
    "cffi",  # cryptography loads _cffi_backend; the rest compiles bindings
    "pycparser",  # same
    "wrapt-stubs",
)
UNUSED_FILES = ("*.pyi", "py.typed", "*.c", "*.h", "examples-1.json")


def install(target: Path, architecture: str) -> None:
    """Install the requirements, every file checked against its hash, wheels only."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        sys.exit("uv is missing: run `make build`, which brings its own, or install it")
    command = [uv, "pip", "install", "--quiet", "--no-config", "--require-hashes", "--only-binary", ":all:"]
    command += ["--link-mode", "copy", "--python", sys.executable]
    command += ["--python-version", "3.13", "--python-platform", PLATFORMS[architecture]]
    subprocess.run(  # noqa: S603  the command is built from constants
        [*command, "--target", str(target), "-r", str(HERE / "requirements.txt")], check=True
    )


def trim(target: Path) -> None:
    """Delete what no function reads."""
    for path in UNUSED:
        shutil.rmtree(target / path, ignore_errors=True)
    for model in (target / "botocore" / "data").iterdir():
        if model.is_dir() and model.name not in SERVICES:
            shutil.rmtree(model)
    for folder in [*target.glob("*.dist-info"), *target.rglob("__pycache__"), *target.rglob("tests")]:
        shutil.rmtree(folder, ignore_errors=True)
    for pattern in UNUSED_FILES:
        for file in target.rglob(pattern):
            file.unlink()


def slim_models(target: Path) -> None:
    """Shorten what botocore parses at each cold start: no prose, no other services, nothing to decompress."""
    data = target / "botocore" / "data"
    for packed in data.rglob("*.json.gz"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    for model in data.rglob("service-*.json"):
        _rewrite(model, _parsed(model.read_text()))
    endpoints = json.loads((data / "endpoints.json").read_text())
    for partition in endpoints["partitions"]:
        partition["services"] = {
            name: service for name, service in partition["services"].items() if name in SERVICES
        }
    _rewrite(data / "endpoints.json", endpoints)


def _parsed(text: str) -> Any:
    """Parse a model without its documentation, which is text; a member of that name would be an object."""

    def without_prose(members: dict[str, Any]) -> dict[str, Any]:
        if isinstance(members.get("documentation"), str):
            del members["documentation"]
        return members

    return json.loads(text, object_hook=without_prose)


def _rewrite(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, separators=(",", ":")))


def compile_all(target: Path) -> None:
    """Write .pyc that Python trusts unread: Lambda resets file times, which would void the default kind."""
    compileall.compile_dir(
        target,
        quiet=1,
        workers=0,
        stripdir=str(target.parent),
        prependdir="/opt",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def main() -> None:
    """Build the layer's `python` folder."""
    target = Path(sys.argv[1])
    host = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    architecture = sys.argv[2] if len(sys.argv) > 2 else host  # noqa: PLR2004
    target.mkdir(parents=True, exist_ok=True)
    install(target, architecture)
    trim(target)
    slim_models(target)
    compile_all(target)


if __name__ == "__main__":
    main()
