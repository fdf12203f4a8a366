"""The documents, word for word: every command block of a page runs, in order, and prints what the page shows.

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
from tests.documents.pages import Block, blocks

MARK = "=====block====="

NEEDS_AWS = "a stage on AWS"
NOT_HERE = {
    "README.md": {"make dev": "Ctrl-C to end, and to be outside of the tests"},
    "docs/local.md": {
        "export AWS_ENDPOINT_URL": "the AWS CLI, and a `make dev` on the port 4566",
        "make up sam-local": "Docker",
    },
    "docs/deploy.md": {
        "make deploy": NEEDS_AWS,
        "make rotate-keys STAGE=prod": NEEDS_AWS,
    },
    "docs/operations.md": {"STAGE=prod": NEEDS_AWS},
    "docs/checkout.md": {
        "STAGE=prod": NEEDS_AWS,
        "sleep 61": "a minute; tests/deployed/test_flows.py does the same with a charge that has waited",
    },
    "CONTRIBUTING.md": {
        ".venv/bin/pre-commit install": "a working copy whose hooks may be changed",
        "make check": "to be outside of the tests, or it would never end",
        "make lock": "the package index, and it would change the working copy",
    },
}
"""The blocks that do not run here: how they begin, and what they need."""

WHOLE = [
    "docs/sessions.md",
    "docs/tokens.md",
    "docs/forms.md",
    "docs/configurator.md",
    "docs/conversations.md",
    "docs/activity.md",
    "docs/insights.md",
    "docs/bitrix24.md",
    "docs/websocket.md",
    "docs/experiments.md",
    "docs/python-client.md",
]
"""The pages all of whose blocks run."""

ELSEWHERE = ["docs/realtime.md"]
"""Pages whose commands run between what a browser does: test_realtime.py."""


def runs_here(page: str, block: Block) -> bool:
    return not block.code.startswith(tuple(NOT_HERE.get(page, ())))


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    variables = {"TESSERA_STATE": str(tmp_path), "TESSERA_PORT": str(ports.free())}
    yield os.environ | variables
    Stack(tmp_path, int(variables["TESSERA_PORT"])).down()


def said(commands: list[str], environment: dict[str, str], work: Path) -> list[str]:
    """Run the commands in one shell and return what each printed."""
    script = f"\necho {MARK}\n".join(["set -euo pipefail", *commands])
    script = script.replace(".tessera/session.json", str(work / "session.json"))
    done = subprocess.run(
        ["/bin/bash", "-c", script], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout.split(f"{MARK}\n")[1:]


def test_the_first_five_minutes(environment: dict[str, str], tmp_path: Path) -> None:
    """README: create, read, patch, extend, expire, clean, count."""
    commands = [block.command for block in blocks("README.md", "## The first five minutes")]
    up, created, read, patched, extended, expired, cleaned, metrics, _ = said(commands, environment, tmp_path)
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


def test_a_chat_outlives_its_session(environment: dict[str, str], tmp_path: Path) -> None:
    """README: 200 messages, their archive, the session's end, the history read back, frequent questions."""
    commands = [block.command for block in blocks("README.md", "## A chat that outlives its session")]
    _, sent, archived, ended, remembered, asked = said(commands, environment, tmp_path)
    assert sent.split() == ["100", "201"]
    assert re.search(r"^archive/ses_\w+/cnv_\w+/\d+-\d+\.jsonl\.gz$", archived, re.MULTILINE)
    assert '"expired": 1' in ended
    assert "/problems/session-expired" in ended
    assert remembered.startswith("200 messages, first: {")
    assert "How do I return a kettle?" in remembered
    assert '"rows": 200' in asked
    assert re.search(r"where is my order.*50", asked, re.IGNORECASE)


@pytest.mark.parametrize("page", [*WHOLE, "docs/checkout.md", "docs/operations.md", "CONTRIBUTING.md"])
def test_the_commands_of_a_page_print_what_it_shows(
    page: str, environment: dict[str, str], tmp_path: Path
) -> None:
    here = [block for block in blocks(page) if runs_here(page, block)]
    printed = said([block.command for block in here], environment, tmp_path)
    for block, text in zip(here, printed, strict=True):
        assert block.explains(text), f"{block.code}\nprinted:\n{text}"


def test_what_runs_of_the_deployment_guide(environment: dict[str, str], tmp_path: Path) -> None:
    """Everything that needs no account: it asks the health of whatever stands in HTTP_URL."""
    here = [block.command for block in blocks("docs/deploy.md") if runs_here("docs/deploy.md", block)]
    start = ["make up", 'eval "$(make -s env)"', "HTTP_URL=$TESSERA"]
    health = said([*start, *here], environment, tmp_path)[-1]
    assert '"status":"ok"' in health


@pytest.mark.parametrize("page", NOT_HERE)
def test_no_block_is_left_out_in_vain(page: str) -> None:
    codes = [block.code for block in blocks(page)]
    assert [start for start in NOT_HERE[page] if not any(code.startswith(start) for code in codes)] == []


def test_every_page_with_commands_is_run() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    names = {str(page.relative_to(ROOT)) for page in pages if blocks(str(page.relative_to(ROOT)))}
    assert names <= {*WHOLE, *NOT_HERE, *ELSEWHERE}


def anchors(page: Path) -> set[str]:
    """The fragments that lead to a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, fragment = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not fragment or fragment in anchors(target))


def test_every_link_of_the_documents_leads_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text())
        if not leads_somewhere(page, link)
    ]
    assert broken == []


def test_a_number_is_one_decision_and_its_page_says_which() -> None:
    found = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert len({path.name[:4] for path in found}) == len(found)
    assert [path.name for path in found if not path.read_text().startswith(f"# {int(path.name[:4])}. ")] == []
