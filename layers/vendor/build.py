# noqa: INP001  a script of the layer, not a package
"""Build a layer of third-party packages: install hashed requirements for one architecture, trim, compile.

    python3.13 build.py REQUIREMENTS TARGET [x86_64|arm64]

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

SERVICES = {"athena", "dynamodb", "events", "firehose", "s3", "secretsmanager", "sqs", "sts", "xray"}
"""The AWS services whose models stay; botocore carries those of all, 20 MB of JSON. Functions call all but
two: credential providers call sts, and the X-Ray SDK makes an xray client when imported."""

UNUSED = (
    "bin",  # console scripts
    "boto3/examples",  # examples for the reference documentation
    "boto3/data",  # boto3.resource; we use clients only
    "cffi",  # cryptography loads _cffi_backend; the rest compiles bindings
    "pycparser",  # same
    "wrapt-stubs",
    "pyarrow/include",  # for those who compile against it
    "pyarrow/includes",
    "pyarrow/src",
)
UNUSED_FILES = (
    *("*.pyi", "py.typed", "*.c", "*.h", "examples-1.json"),
    *("*.pyx", "*.pxi", "*.pxd"),  # what pyarrow was compiled from
    *("libarrow_flight.so*", "libarrow_python_flight.so*", "_flight.*"),  # pyarrow's network protocol, 32 MB
    *("libarrow_s3.so*", "_s3fs.*", "_gcsfs.*", "_azurefs.*", "_hdfs.*"),  # its file systems; we have boto3
    *("libarrow_python*.so", "libarrow_python*.so.*.*"),  # copies under names that only a linker looks for
    *("_pyarrow_cpp_tests.*",),
)


def install(requirements: Path, target: Path, architecture: str) -> None:
    """Install the requirements, every file checked against its hash, wheels only."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        sys.exit("uv is missing: run `make build`, which brings its own, or install it")
    command = [uv, "pip", "install", "--quiet", "--no-config", "--require-hashes", "--only-binary", ":all:"]
    command += ["--link-mode", "copy", "--python", sys.executable]
    command += ["--python-version", "3.13", "--python-platform", PLATFORMS[architecture]]
    subprocess.run(  # noqa: S603  the command is built from constants
        [*command, "--target", str(target), "-r", str(requirements)], check=True
    )


def trim(target: Path) -> None:
    """Delete what no function reads."""
    for path in UNUSED:
        shutil.rmtree(target / path, ignore_errors=True)
    for model in (target / "botocore" / "data").glob("*/"):
        if model.name not in SERVICES:
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
        slim = _parsed(model.read_text())
        for parameter in slim.get("clientContextParams", {}).values():
            parameter["documentation"] = ""  # botocore reads this one, of S3 for instance
        _rewrite(model, slim)
    for file in data.glob("endpoints.json"):
        endpoints = json.loads(file.read_text())
        for partition in endpoints["partitions"]:
            partition["services"] = {
                name: service for name, service in partition["services"].items() if name in SERVICES
            }
        _rewrite(file, endpoints)


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
    requirements, target = HERE / sys.argv[1], Path(sys.argv[2])
    host = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    architecture = sys.argv[3] if len(sys.argv) > 3 else host  # noqa: PLR2004
    target.mkdir(parents=True, exist_ok=True)
    install(requirements, target, architecture)
    trim(target)
    slim_models(target)
    compile_all(target)


if __name__ == "__main__":
    main()
