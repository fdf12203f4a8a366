"""MiniStack, the embedded AWS: one process with its own environment, state folder and port."""

import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local import ports, process
from local.paths import MINISTACK_PYTHON
from local.trouble import Trouble

REGION = "eu-central-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "000000000000", "AWS_SECRET_ACCESS_KEY": "local"}
"""MiniStack takes a twelve-digit access key for the account id; it checks no signatures."""

_START_SECONDS = 30


@dataclass(frozen=True)
class Engine:
    """A MiniStack whose whole state lies in `folder`; `port` is where it listens when started."""

    folder: Path
    port: int
    enforce: bool = False
    """Whether each function may do what its policy grants and no more; callers then need `CREDENTIALS`."""

    @property
    def url(self) -> str:
        """The endpoint of every AWS service."""
        return f"http://{ports.HOST}:{self.port}"

    @property
    def pid_file(self) -> Path:
        """Where the running process is noted."""
        return self.folder / "ministack.pid"

    @property
    def log(self) -> Path:
        """What MiniStack itself writes."""
        return self.pid_file.with_suffix(".log")

    def start(self) -> bool:
        """Start it unless it runs already; say whether it was started. Raises Trouble."""
        if self.running():
            return False
        ports.require_free(self.port)
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        (self.folder / "tmp").mkdir(parents=True)
        self.log.unlink(missing_ok=True)
        command = [str(MINISTACK_PYTHON), str(Path(__file__).with_name("embedded.py"))]
        known = process.start(command, port=self.port, environment=self._environment(), pid_file=self.pid_file)
        process.wait_until(lambda: self._answers() or not process.alive(known.pid), _START_SECONDS)
        if not self.running():
            raise Trouble(f"the embedded AWS did not start; its log, {self.log}, ends:\n{self._log_end()}")
        return True

    def running(self) -> bool:
        """Whether our process, and not just any on that port, answers."""
        known = process.started(self.pid_file)
        return known is not None and known.port == self.port and self._answers()

    def stop(self) -> None:
        """End it; it writes its state to disk on the way out."""
        process.stop(self.pid_file)
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)

    def _environment(self) -> Mapping[str, str]:
        """Return the whole environment: functions inherit it, so nothing of the user's goes in unasked."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}
        return {
            **inherited,
            **CREDENTIALS,
            "BIND_HOST": ports.HOST,
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_REGION": REGION,
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self.folder / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self.folder / "s3"),
            "TMPDIR": str(self.folder / "tmp"),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "AUTH": "true" if self.enforce else "false",
            "LOG_LEVEL": "WARNING",
            "DOCKER_HOST": "unix:///nonexistent",  # functions run as processes; no search for containers
        }

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=2) as answer:  # noqa: S310  http
                return answer.status == 200  # noqa: PLR2004
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def _log_end(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
