"""Build functions and layers with `sam build`, then compile the functions.

A build is skipped when its inputs did not change. When only our own Python changed, the sources are
copied into the built folders again, which takes a tenth of what starting SAM takes.
"""

import compileall
import fcntl
import os
import platform
import py_compile
import shutil
import subprocess
import tomllib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local import digest
from local.paths import BUILD, FUNCTIONS, OUR_LAYER, OUR_UV, ROOT, SAM_TOOLS, TEMPLATE
from local.trouble import Trouble

HOST_ARCHITECTURE = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
OUR_LAYER_ID = "TesseraLayer"
_VENDOR = ROOT / "layers" / "vendor"


@dataclass(frozen=True)
class Build:
    """One built tree: `folder` holds template.yaml and a folder per function and layer."""

    folder: Path = BUILD
    architecture: str = HOST_ARCHITECTURE

    @property
    def template(self) -> Path:
        """The built template, its code paths relative to `folder`."""
        return self.folder / "template.yaml"

    def make(self) -> bool:
        """Bring the build up to date; say whether anything changed. Raises Trouble."""
        with self._locked():
            frame = digest.of([TEMPLATE, _VENDOR, OUR_LAYER.parent / "Makefile"], self.architecture)
            code = digest.of([FUNCTIONS, OUR_LAYER])
            if self._stamp("frame") != frame:
                self._discard_stamps()
                self._sam_build()
                self._compile_functions()
            elif self._stamp("code") != code:
                self._discard_stamps()
                self._copy_sources()
                self._compile_functions()
            else:
                return False
            self._stamp_path("frame").write_text(frame)
            self._stamp_path("code").write_text(code)
            return True

    def sources(self) -> Mapping[str, Path]:
        """Return each function's logical id with the folder that its code comes from."""
        record = tomllib.loads((self.folder.parent / "build.toml").read_text())
        return {
            logical_id: ROOT / definition["codeuri"]
            for definition in record["function_build_definitions"].values()
            for logical_id in definition["functions"]
        }

    def _sam_build(self) -> None:
        command = [
            str(SAM_TOOLS / "bin" / "sam"),
            "build",
            "--template",
            str(TEMPLATE),
            "--parallel",
            "--cached",
        ]
        command += ["--build-dir", str(self.folder), "--cache-dir", str(self.folder.parent / "cache")]
        command += ["--parameter-overrides", f"Architecture={self.architecture}"]
        result = subprocess.run(
            command, cwd=ROOT, env=self._environment(), capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            raise Trouble(f"sam build failed:\n{result.stdout}{result.stderr}")

    def _environment(self) -> Mapping[str, str]:
        uv = shutil.which("uv") or str(OUR_UV)
        python = str(ROOT / ".venv" / "bin" / "python")
        build = {
            "TESSERA_ARCHITECTURE": self.architecture,
            "UV": uv,
            "PYTHON": python,
            "SAM_CLI_TELEMETRY": "0",
        }
        return {**os.environ, **build}

    def _copy_sources(self) -> None:
        for logical_id, source in self.sources().items():
            shutil.rmtree(self.folder / logical_id)
            shutil.copytree(source, self.folder / logical_id, ignore=shutil.ignore_patterns("__pycache__"))
        target = self.folder / OUR_LAYER_ID
        shutil.rmtree(target)
        command = [
            "make",
            "-s",
            "-C",
            str(OUR_LAYER.parent),
            f"build-{OUR_LAYER_ID}",
            f"ARTIFACTS_DIR={target}",
        ]
        subprocess.run(command, env=self._environment(), check=True)

    def _compile_functions(self) -> None:
        """Write .pyc that Python trusts unread, since Lambda resets file times; SAM ships none."""
        for logical_id in self.sources():
            compileall.compile_dir(
                self.folder / logical_id,
                quiet=1,
                stripdir=str(self.folder / logical_id),
                prependdir="/var/task",
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )

    @contextmanager
    def _locked(self) -> Generator[None]:
        """Keep a second build of the same folder waiting."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with (self.folder.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _stamp_path(self, name: str) -> Path:
        return self.folder / f".{name}"

    def _stamp(self, name: str) -> str | None:
        return self._stamp_path(name).read_text() if self._stamp_path(name).exists() else None

    def _discard_stamps(self) -> None:
        for name in ("frame", "code"):
            self._stamp_path(name).unlink(missing_ok=True)
