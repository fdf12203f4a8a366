"""docs/realtime.md takes a reader from nothing to a live page in two tabs: word for word, in a real Chromium."""

from pathlib import Path

from local import ports
from local.stack import Stack
from tests.support.chromium import run_in_chromium


def test_the_live_page_of_the_guide(chromium: str, tmp_path: Path) -> None:
    """Its commands run in one shell; between them its tabs are used as the page says, and show what it says."""
    variables = {"TESSERA_STATE": str(tmp_path), "TESSERA_PORT": str(ports.free()), "PORT": str(ports.free())}
    try:
        run_in_chromium(["browser/guide.test.ts"], chromium, **variables)
    finally:
        Stack(tmp_path, int(variables["TESSERA_PORT"])).down()
