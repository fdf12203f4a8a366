"""`python -m local`: the command line behind the Makefile's targets."""

import argparse
import json
import signal
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import watchfiles

from local import keys, ports
from local.build import HOST_ARCHITECTURE, Build
from local.clients import Clients
from local.deployed import Deployed, require
from local.endpoints import Endpoints
from local.invoke import Function, Runtime
from local.logs import Tail
from local.paths import BUILD, EVENTS, FUNCTIONS, ROOT, STATE, TEMPLATE
from local.stack import Stack
from local.trouble import Trouble

_WATCHED = (FUNCTIONS, ROOT / "layers", TEMPLATE)


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
    ended = _ended()
    up(stack)
    print("following the logs; saved changes go live; Ctrl-C stops")
    follower = threading.Thread(target=_follow, args=(stack, since, ended))
    follower.start()
    for _ in watchfiles.watch(*_WATCHED, debounce=200, step=50, stop_event=ended):
        _update(stack)
    follower.join()
    if not ran_before:
        stack.down()
        print("stopped; the state stays for the next time")


def invoke(name: str, event: Path) -> None:
    """Invoke a built function on the running stack, or on one started for the occasion."""
    with ExitStack() as cleanup:
        stack = Stack()
        if stack.engine.running():
            stack.update()
        else:
            folder = cleanup.enter_context(tempfile.TemporaryDirectory(dir=STATE))
            stack = Stack(Path(folder), ports.free())
            cleanup.callback(stack.down)
            stack.up()
        function = Function.built(name, stack.build)
        runtime = cleanup.enter_context(Runtime(function, stack.variables(function.code.name)))
        result = runtime.invoke(json.loads(event.read_text()))
    print(result.logs.strip(), file=sys.stderr)
    print(json.dumps(result.payload, indent=2))


def _ended() -> threading.Event:
    """Return an event that Ctrl-C, or the system, sets."""
    event = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        event.set()

    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, end)
    return event


def _update(stack: Stack) -> None:
    began = time.perf_counter()
    try:
        if stack.update():
            print(f"updated after {time.perf_counter() - began:.1f} s")
    except Trouble as trouble:
        print(trouble)


def _follow(stack: Stack, since: int, ended: threading.Event) -> None:
    for line in Tail(stack.clients.logs, since).follow(ended):
        print(line)


def _say(endpoints: Endpoints, stack: Stack) -> None:
    print(f"HTTP API  {endpoints.http}")
    print(f"AWS       {endpoints.aws}  ({endpoints.region}; table {endpoints.table}, bucket {endpoints.bucket})")
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
    invoking = commands.add_parser("invoke")
    invoking.add_argument("function", help="such as sessions/get")
    invoking.add_argument("event", nargs="?", type=Path, help="a JSON file; the sample event when left out")
    minting = commands.add_parser("token")
    minting.add_argument("scopes", help="separated by spaces or commas")
    ringing = commands.add_parser("keys")
    ringing.add_argument("--rotate", action="store_true")
    for command in (minting, ringing):
        command.add_argument("--stage", help="a stage deployed to AWS; the embedded AWS when left out")
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
            _follow(stack, int(time.time() * 1000) - 600_000, _ended())
        case "token":
            print(keys.token(*_target(arguments.stage), arguments.scopes.replace(",", " ").split()))
        case "keys" if arguments.rotate:
            print(f"new signing key {keys.rotate(*_target(arguments.stage))}")
        case "keys":
            print(
                "first key ring made" if keys.ensure(*_target(arguments.stage)) else "the secret has its key ring"
            )
        case "invoke":
            invoke(arguments.function, arguments.event or EVENTS / f"{arguments.function}.json")
        case _:
            changed = Build(arguments.folder.resolve(), arguments.architecture).make()
            print("built" if changed else "nothing changed")


def _target(stage: str | None) -> tuple[Clients, Deployed]:
    """Return the clients and the stack of a stage on AWS, or of the embedded AWS."""
    if stage is None:
        stack = Stack()
        return stack.clients, stack.deployed()
    clients = Clients(None)
    return clients, require(clients, f"tessera-{stage}")


if __name__ == "__main__":
    main()
