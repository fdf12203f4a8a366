"""The built browser client in Node.js, against the deployed system: its calls, its topics while networks fail."""

import asyncio
import json
import subprocess
from asyncio.subprocess import PIPE
from typing import Any
from urllib.parse import urlsplit

import pytest

from local.endpoints import Endpoints
from local.paths import ROOT
from local.stack import Stack
from tests.support.faulty_proxy import Door, FaultyProxy

PROGRAMS = ROOT / "tests" / "client" / "typescript"
PATIENCE = 300


@pytest.fixture(scope="module")
def addresses(stack: Stack) -> tuple[str, str]:
    """The addresses of the system, once the client is built."""
    subprocess.run(["make", "client"], cwd=ROOT, check=True, capture_output=True)  # noqa: S607 - as a developer does
    endpoints = Endpoints.read(stack.endpoints_file)
    assert endpoints.websocket
    return endpoints.http, endpoints.websocket


def told_by(program: str, *addresses: str) -> Any:
    ran = subprocess.run(
        ["node", PROGRAMS / program, *addresses],  # noqa: S607 - node is of the PATH
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    return json.loads(ran.stdout)


def test_every_call_of_the_session_client_is_understood(addresses: tuple[str, str]) -> None:
    told = told_by("session.mjs", addresses[0])
    assert told.pop("conflicts")[0]["pointer"] == "/city"
    assert told == {
        "step": 2,
        "stale": "precondition-failed",
        "none": None,
        "merged": {"name": "Augusta", "city": "Paris"},
        "messages": ["Hello"],
        "popped": "Hello",
        "valid": True,
        "afterRefresh": True,
        "deleted": 401,
    }


def test_a_change_over_http_comes_to_every_device_until_the_session_ends(addresses: tuple[str, str]) -> None:
    told = told_by("changes.mjs", *addresses)
    assert told["change"]["change"] == "flow"
    assert told["change"]["version"] > told["version"]
    assert told["change"]["patch"]["currentStep"] == 2
    assert told["ended"] == "session-ended"


def test_each_message_arrives_once_and_in_order_while_the_network_fails(addresses: tuple[str, str]) -> None:
    """Resets, a refused door, a black hole, and a reload of the publisher in the middle of it."""
    told = asyncio.run(_published_through_faults(*addresses))
    numbers = list(range(1, 21))
    assert told["seen"] == numbers
    assert told["recovered"][0] is False
    assert all(told["recovered"][1:])
    assert told["reconnects"] >= 3
    assert told["kept"] == 0
    assert all(number == offset for number, offset in told["acked"])


async def _published_through_faults(http: str, websocket: str) -> Any:
    there = urlsplit(websocket)
    async with FaultyProxy(there.port or 80) as proxy:
        through = there._replace(netloc=f"{there.hostname}:{proxy.port}").geturl()
        program = await asyncio.create_subprocess_exec(
            "node", PROGRAMS / "faults.mjs", http, through, stdout=PIPE, stderr=PIPE
        )
        assert program.stdout
        assert program.stderr
        try:
            async with asyncio.timeout(PATIENCE):
                async for line in program.stdout:
                    told = json.loads(line)
                    match told.get("sent"):
                        case 4:
                            proxy.reset()
                        case 7:
                            await proxy.door(Door.REFUSED)
                            proxy.reset()
                        case 13:
                            await proxy.door(Door.OPEN)
                        case 16:
                            proxy.blackhole()
                        case None:
                            return told
        finally:
            if program.returncode is None:
                program.kill()
            await program.wait()
        raise AssertionError((await program.stderr.read()).decode()[-4000:])
