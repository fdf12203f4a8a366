"""Debian's Chromium, and the client's tests that run in it. A pytest plugin; conftest.py names it."""

import os
import shutil
import subprocess
from collections.abc import Sequence

import pytest

from local.paths import ROOT

CLIENT = ROOT / "client" / "typescript"


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium. As root on a Debian it it is installed where missing; elsewhere tests skip."""
    apt = shutil.which("apt-get")
    if shutil.which("chromium") is None and apt is not None and os.geteuid() == 0:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for options in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
            subprocess.run([apt, *options], env=environment, check=True, capture_output=True)
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium: apt-get install chromium")
    return path


def run_in_chromium(files: Sequence[str], chromium: str, **variables: str) -> None:
    """Build the client and run these of its tests. Fails with what they said."""
    subprocess.run(["make", "-s", "client"], cwd=ROOT, check=True)  # noqa: S607 - the project's own target
    ran = subprocess.run(
        [ROOT / "node_modules" / ".bin" / "vitest", "run", "--config", "vitest.browser.config.ts", *files],
        cwd=CLIENT,
        env=os.environ | {"NO_COLOR": "1", "CHROMIUM": chromium, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-4000:]
