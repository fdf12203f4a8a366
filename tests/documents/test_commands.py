"""The documents, word for word: every shell block of a page runs, in order, and says what the page says it does.

A page runs in one shell against a system of its own: its own port, its own state.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import ports
from local.paths import ROOT
from local.stack import Stack

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = "=====block====="


def blocks(page: str, heading: str) -> list[str]:
    """The shell blocks of a page from a heading on, to the next heading of the same rank."""
    text = (ROOT / page).read_text()
    rank = heading.partition(" ")[0]
    after = text.split(f"\n{heading}\n", 1)[1]
    return BLOCK.findall(re.split(rf"^{rank} ", after, maxsplit=1, flags=re.MULTILINE)[0])


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    variables = {"TESSERA_STATE": str(tmp_path), "TESSERA_PORT": str(ports.free())}
    yield os.environ | variables
    Stack(tmp_path, int(variables["TESSERA_PORT"])).down()


def said(page: str, heading: str, environment: dict[str, str], work: Path) -> list[str]:
    """Run the blocks and return what each printed."""
    script = f"\necho {MARK}\n".join(["set -euo pipefail", *blocks(page, heading)])
    script = script.replace(".tessera/session.json", str(work / "session.json"))
    done = subprocess.run(
        ["/bin/bash", "-c", script], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout.split(f"{MARK}\n")[1:]


def test_the_first_five_minutes(environment: dict[str, str], tmp_path: Path) -> None:
    """README: create, read, patch, extend, expire, clean, count."""
    up, created, read, patched, extended, expired, cleaned, metrics, _ = said(
        "README.md", "## The first five minutes", environment, tmp_path
    )
    assert "HTTP API" in up
    assert '"email":"ada@example.org"' in created
    assert '"accessToken"' in created
    assert '"currentStep":1' in read
    assert '"currentStep":2' in patched
    assert '"projectName":"Analytical Engine"' in patched
    assert '"version":3' in extended
    assert "/problems/session-expired" in expired
    assert '"reason":"idle-timeout"' in expired
    assert '"expired": 1' in cleaned
    assert re.search(r"^tessera_sessions_created_total 1(\.0)?$", metrics, re.MULTILINE)
    assert re.search(r"^tessera_sessions_expired_total 1(\.0)?$", metrics, re.MULTILINE)
    assert 'tessera_tier_milliseconds_count{tier="L2"}' in metrics


def test_every_link_of_the_documents_leads_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []
