"""Engines to measure on, each on a free port, ended by its process id."""

import shutil
import socket
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import boto3

from local import ports, process
from local.engine import CREDENTIALS, REGION, Engine
from local.paths import ROOT

_DYNOXIDE = ROOT / "node_modules" / "@dynoxide" / "linux-x64" / "dynoxide"
_START_SECONDS = 10
_SIGNED: Any = {
    "region_name": REGION,
    "aws_access_key_id": CREDENTIALS["AWS_ACCESS_KEY_ID"],
    "aws_secret_access_key": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
}


@contextmanager
def dynoxide() -> Generator[str]:
    """Start an empty dynoxide in memory; give its URL."""
    binary = str(_DYNOXIDE) if _DYNOXIDE.exists() else shutil.which("dynoxide")
    if binary is None:
        raise SystemExit("no dynoxide: its npm package exists for Linux on x64; elsewhere put one on the PATH")
    port = ports.free()
    with tempfile.TemporaryDirectory() as folder:
        pid_file = Path(folder) / "dynoxide.pid"
        process.start([binary, "serve", "--port", str(port)], port=port, environment={}, pid_file=pid_file)
        try:
            if not process.wait_until(lambda: _listens(port), _START_SECONDS):
                raise SystemExit(f"dynoxide did not start:\n{pid_file.with_suffix('.log').read_text()}")
            yield f"http://{ports.HOST}:{port}"
        finally:
            process.stop(pid_file)


@contextmanager
def ministack() -> Generator[str]:
    """Start an empty MiniStack; give its URL."""
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(Path(folder), ports.free())
        engine.start()
        try:
            yield engine.url
        finally:
            engine.stop()


ENGINES: Mapping[str, Callable[[], AbstractContextManager[str]]] = {"dynoxide": dynoxide, "ministack": ministack}


def client(url: str) -> Any:
    """Return a DynamoDB client of an engine, as boto3 makes it."""
    return boto3.client("dynamodb", endpoint_url=url, **_SIGNED)


def resource(url: str) -> Any:
    """Return the same as boto3's resource."""
    return boto3.resource("dynamodb", endpoint_url=url, **_SIGNED)


def bucket_client(url: str) -> Any:
    """Return an S3 client of an engine."""
    return boto3.client("s3", endpoint_url=url, **_SIGNED)


def environment(endpoint: str, table: str, **more: str) -> dict[str, str]:
    """Return the environment of a function on that engine; as template.yaml sets it where nothing else is said."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        **CREDENTIALS,
        "TABLE_NAME": table,
        "KEYS_SECRET": "none",
        "ARCHIVE_BUCKET": "none",
        "ANALYTICS_BUCKET": "none",
        "ISSUER": "bench",
        "AUDIENCE": "tessera",
        "LOG_SALT": "bench",
        "POWERTOOLS_SERVICE_NAME": "tessera",
        "POWERTOOLS_METRICS_NAMESPACE": "Tessera",
        "POWERTOOLS_LOG_LEVEL": "INFO",
        **more,
    }


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((ports.HOST, port)) == 0
