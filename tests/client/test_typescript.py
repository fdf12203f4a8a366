"""The TypeScript client: its own tests, run by vitest."""

import os
import subprocess

from local.paths import ROOT


def test_the_tests_of_the_typescript_client() -> None:
    """`npm test --workspace client/typescript` runs them alone."""
    ran = subprocess.run(
        [ROOT / "node_modules" / ".bin" / "vitest", "run"],
        cwd=ROOT / "client" / "typescript",
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-4000:]
