"""The TypeScript client in a real Chromium, against the deployed system; screenshots are left beside its tests."""

from local.stack import Stack
from tests.support.chromium import run_in_chromium


def test_the_client_in_chromium(stack: Stack, chromium: str) -> None:
    """Nothing typed or sent is lost; two tabs share a socket; the worker, pushes, the pool and older data work.

    The tests are those of client/typescript/browser; screenshots of what they saw are in its folder screenshots.
    """
    files = [f"browser/{name}.test.ts" for name in ("form", "service", "worker")]
    run_in_chromium(files, chromium, TESSERA_ENDPOINTS=str(stack.endpoints_file))
