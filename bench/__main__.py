"""Run benchmarks: `python -m bench` all of them, `python -m bench warm_get` one."""

import sys
from importlib import import_module

from bench import BENCHMARKS


def main() -> int:
    """Run those that are named; say with the exit status whether the names were known."""
    names = sys.argv[1:] or BENCHMARKS
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in names:
        outcome = import_module(f"bench.{name}").run()
        outcome.write()
        outcome.show()
    return 0


if __name__ == "__main__":
    sys.exit(main())
