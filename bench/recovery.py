"""How soon the browser client is back after its server was killed, and how soon it finds a half-open socket.

The built client runs in Node.js against a real WebSocket server on this machine (bench/client/recovery.mjs): 100
clients whose server dies and is back after half a second, each until it shows the message that it missed; 20
clients whose server goes silent without closing, each until it has another socket.
"""

import json
import subprocess

from bench.harness import Outcome, Target, p50, p99
from local.paths import ROOT

_TARGETS = (
    Target("half_open_found_max_s", at_most=25),
    Target("lost", at_most=0),
    Target("repeated", at_most=0),
)


def run() -> Outcome:
    """Kill the server, silence the server."""
    subprocess.run(["make", "client"], cwd=ROOT, check=True)  # noqa: S607 - make started us
    ran = subprocess.run(
        ["node", "bench/client/recovery.mjs"],  # noqa: S607 - node is of the PATH, as npm is
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(ran.stdout)
    killed, silent = found["killed"], found["silent"]
    figures = {
        "back_after_kill_p50_ms": p50(killed["times"]),
        "back_after_kill_p99_ms": p99(killed["times"]),
        "lost": killed["lost"],
        "repeated": killed["repeated"],
        "half_open_found_p50_s": round(p50(silent["times"]) / 1000, 2),
        "half_open_found_max_s": round(max(silent["times"]) / 1000, 2),
    }
    return Outcome("recovery", figures, _TARGETS)
