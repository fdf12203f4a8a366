"""The size of the browser client's core after gzip, against what others publish or measure to.

Ours is bundled and minified as a page gets it, with the session API, the outbox and idb in it. The others are what
connects and nothing else, bundled by esbuild, minified, after gzip; those figures were taken before and are
constants here. None of them shares a socket among tabs or keeps an outbox.
"""

import json
import subprocess

from bench.harness import Outcome, Target
from local.paths import ROOT

OTHERS = {"socket_io": 13_102, "centrifuge": 19_580, "ably": 58_066}
_TARGETS = (Target("core_gzip_bytes", at_most=10_000), Target("against_socket_io", at_most=1))


def run() -> Outcome:
    """Bundle the core and weigh it."""
    weighed = subprocess.run(
        ["node", "scripts/size.mjs", "--json"],  # noqa: S607 - node is of the PATH, as npm is
        cwd=ROOT / "client" / "typescript",
        capture_output=True,
        text=True,
        check=True,
    )
    size = json.loads(weighed.stdout)
    figures = {"core_gzip_bytes": size["gzip"], "core_minified_bytes": size["minified"]}
    ratios = {f"against_{name}": round(size["gzip"] / gzip, 3) for name, gzip in OTHERS.items()}
    others = {f"{name}_gzip_bytes": gzip for name, gzip in OTHERS.items()}
    return Outcome("client_size", figures | ratios | others, _TARGETS)
