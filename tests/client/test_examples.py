"""The examples run as they stand, against the deployed system."""

import os
import subprocess
import sys

from local.endpoints import Endpoints
from local.paths import ROOT
from local.stack import Stack

EXAMPLES = ROOT / "client" / "python" / "examples"


def printed(stack: Stack, example: str) -> str:
    environment = {**os.environ, "TESSERA": Endpoints.read(stack.endpoints_file).http}
    done = subprocess.run(
        [sys.executable, EXAMPLES / example], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_langchain_remembers(stack: Stack) -> None:
    said = printed(stack, "langchain_memory.py")
    assert "> Where does it grow?\nFrom India, as I said.\n" in said
    assert said.endswith("6 messages are remembered. The last two:\nhuman: Thank you.\nai: You're welcome.\n")


def test_an_agent_remembers(stack: Stack) -> None:
    said = printed(stack, "openai_agents_memory.py")
    assert "> And of Darjeeling?\nWe have 10 kg of Darjeeling. You have asked 2 times.\n" in said
    assert "> And of Ceylon?\nWe have 6 kg of Ceylon. You have asked 2 times.\n" in said
    kinds = "user function_call function_call_output message"
    assert said.endswith(f"8 items are remembered: {kinds} {kinds}\n")


def test_there_is_no_other_example() -> None:
    assert {file.name for file in EXAMPLES.glob("*.py")} == {"langchain_memory.py", "openai_agents_memory.py"}
