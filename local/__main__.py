"""`python -m local`: the command line behind the Makefile's targets."""

import argparse
import sys
import threading
import time
from pathlib import Path

import watchfiles

from local.build import HOST_ARCHITECTURE, Build
from local.endpoints import Endpoints
from local.logs import Tail
from local.paths import BUILD, FUNCTIONS, ROOT, TEMPLATE
from local.stack import Stack
from local.trouble import Trouble


def up(stack: Stack) -> None:
    """Start and deploy, detached; say where."""
    began = time.perf_counter()
    endpoints = stack.up()
    for note in stack.notes:
        print(f"note: {note}")
    _say(endpoints, stack)
    print(f"ready after {time.perf_counter() - began:.1f} s; stop with `make down`")


def dev(stack: Stack) -> None:
    """Start, deploy, tail the logs and update on save until Ctrl-C."""
    ran_before = stack.engine.running()
    since = int(time.time() * 1000)
    up(stack)
    print("following the logs; saved changes go live; Ctrl-C stops")
    threading.Thread(target=_follow, args=(stack, since), daemon=True).start()
    try:
        for _ in watchfiles.watch(
            FUNCTIONS, ROOT / "layers", TEMPLATE, debounce=200, step=50, raise_interrupt=False
        ):
            _update(stack)
    finally:
        if not ran_before:
            stack.down()
            print("stopped; the state stays for the next time")


def _update(stack: Stack) -> None:
    began = time.perf_counter()
    try:
        if stack.update():
            print(f"updated after {time.perf_counter() - began:.1f} s")
    except Trouble as trouble:
        print(trouble)


def _follow(stack: Stack, since: int) -> None:
    for line in Tail(stack.clients.logs, since).follow():
        print(line)


def _say(endpoints: Endpoints, stack: Stack) -> None:
    print(f"HTTP API  {endpoints.http}")
    print(
        f"AWS       {endpoints.aws}  ({endpoints.region}; table {endpoints.table}, bucket {endpoints.bucket})"
    )
    print(f"all of it {stack.endpoints_file}")


def main() -> None:
    """Parse the command line and run one command."""
    parser = argparse.ArgumentParser(prog="python -m local")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("up", "dev", "down", "reset", "logs"):
        commands.add_parser(name)
    building = commands.add_parser("build")
    building.add_argument("--architecture", default=HOST_ARCHITECTURE, choices=["x86_64", "arm64"])
    building.add_argument("--folder", default=BUILD, type=Path)
    arguments = parser.parse_args()
    try:
        _run(arguments)
    except Trouble as trouble:
        sys.exit(str(trouble))


def _run(arguments: argparse.Namespace) -> None:
    match arguments.command:
        case "up":
            up(Stack())
        case "dev":
            dev(Stack())
        case "down":
            Stack().down()
        case "reset":
            Stack().reset()
        case "logs":
            stack = Stack()
            stack.require_running()
            _follow(stack, int(time.time() * 1000) - 600_000)
        case _:
            changed = Build(arguments.folder.resolve(), arguments.architecture).make()
            print("built" if changed else "nothing changed")


if __name__ == "__main__":
    main()
