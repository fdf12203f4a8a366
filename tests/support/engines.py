"""The engines that tests run on: MiniStack, dynoxide, and the whole template deployed.

A pytest plugin; conftest.py names it in `pytest_plugins`. Each engine takes a free port and a folder of its
own, is stopped by its process id, and runs beside a `make dev`.
"""

import fcntl
import shutil
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local import ports, process
from local.engine import Engine
from local.paths import ROOT
from local.stack import Stack

DYNOXIDE = ROOT / "node_modules" / "@dynoxide" / "linux-x64" / "dynoxide"


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The URL of an empty MiniStack."""
    engine = Engine(tmp_path_factory.mktemp("ministack"), ports.free())
    engine.start()
    yield engine.url
    engine.stop()


@pytest.fixture(scope="session")
def dynoxide(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The URL of an empty dynoxide; skips where there is none."""
    binary = str(DYNOXIDE) if DYNOXIDE.exists() else shutil.which("dynoxide")
    if binary is None:
        pytest.skip("no dynoxide: its npm package exists for Linux on x64; elsewhere put one on the PATH")
    pid_file = tmp_path_factory.mktemp("dynoxide") / "dynoxide.pid"
    port = ports.free()
    process.start([binary, "serve", "--port", str(port)], port=port, environment={}, pid_file=pid_file)
    assert process.wait_until(lambda: _listens(port), 10), pid_file.with_suffix(".log").read_text()
    yield f"http://{ports.HOST}:{port}"
    process.stop(pid_file)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Generator[Stack]:
    """The template deployed, shared by the workers of a parallel run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "stack"
    folder.mkdir(exist_ok=True)
    with _locked(folder):
        shared = Stack(folder, _port(folder))
        shared.up()
        _count(folder, +1)
    yield shared
    with _locked(folder):
        if _count(folder, -1) == 0:
            shared.down()


def _port(folder: Path) -> int:
    """Return the port that the first worker chose."""
    file = folder / "port"
    if not file.exists():
        file.write_text(str(ports.free()))
    return int(file.read_text())


def _count(folder: Path, change: int) -> int:
    """Count the workers that use the stack; return how many do."""
    file = folder / "users"
    users = (int(file.read_text()) if file.exists() else 0) + change
    file.write_text(str(users))
    return users


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((ports.HOST, port)) == 0
