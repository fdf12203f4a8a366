"""10,000 clients lose their socket in one moment: how many try each second, and when everybody is back.

A simulation with the client's own back-off (bench/client/storm.mjs); API Gateway takes 500 new connections a
second and refuses the others. Beside it what it is compared with: every five seconds without chance, and a
doubling without chance. Our histogram, second by second, is in the result.
"""

import json
import subprocess

from bench.harness import Outcome, Target
from local.paths import ROOT

_TARGETS = (Target("ours_to_fixed_all_back", at_most=0.5), Target("ours_to_doubling_all_back", at_most=0.5))


def run() -> Outcome:
    """Simulate the storm with each way of waiting."""
    simulated = subprocess.run(
        ["node", "bench/client/storm.mjs"],  # noqa: S607 - node is of the PATH, as npm is
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    ways = json.loads(simulated.stdout)
    ours = ways["ours"]
    figures = {
        "ours_to_fixed_all_back": round(ours["all"] / ways["fixed"]["all"], 3),
        "ours_to_doubling_all_back": round(ours["all"] / ways["doubling"]["all"], 3),
    }
    for name, way in ways.items():
        figures |= {
            f"{name}_half_back_s": way["half"],
            f"{name}_99_percent_back_s": way["most"],
            f"{name}_all_back_s": way["all"],
            f"{name}_peak_tries_per_s": way["peak"],
            f"{name}_peak_tries_after_5_s_per_s": way["peak_later"],
            f"{name}_tries_each": round(way["each"], 2),
        }
    for second, (tries, connected) in enumerate(zip(ours["attempts"], ours["connected"], strict=True), 1):
        figures |= {f"ours_second_{second:02}_tries": tries, f"ours_second_{second:02}_connected": connected}
    return Outcome("reconnect_storm", figures, _TARGETS)
