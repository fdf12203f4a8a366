"""A background program known by its pid file, so that a later command can stop it."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Started:
    """A program that was started: its process id and the port it listens on."""

    pid: int
    port: int


def start(command: Sequence[str], *, port: int, environment: Mapping[str, str], pid_file: Path) -> Started:
    """Start `command` out of reach of the terminal's Ctrl-C; what it writes goes beside the pid file."""
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    with pid_file.with_suffix(".log").open("ab") as log:
        child = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    pid_file.write_text(json.dumps({"pid": child.pid, "port": port}))
    return Started(child.pid, port)


def started(pid_file: Path) -> Started | None:
    """Return the program of `pid_file` if a process with its id still runs."""
    try:
        known = Started(**json.loads(pid_file.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return known if alive(known.pid) else None


def alive(pid: int) -> bool:
    """Whether the process runs; a child of ours that has ended is reaped on the way."""
    with contextlib.suppress(ChildProcessError):
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not _ended_unnoticed(pid)


def _ended_unnoticed(pid: int) -> bool:
    """Whether the process is a zombie: ended, but its parent, another command of ours, has not asked yet."""
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return False


def stop(pid_file: Path, *, patience: float = 30) -> None:
    """Ask the program to end and wait for it; after `patience` seconds, make it."""
    if (known := started(pid_file)) is not None:
        os.kill(known.pid, signal.SIGTERM)
        if not wait_until(lambda: not alive(known.pid), patience):
            os.kill(known.pid, signal.SIGKILL)
    pid_file.unlink(missing_ok=True)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll `condition` until it holds or `seconds` have passed; say whether it held."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
