"""The commands of `python -m local`, each from the parsed command line."""

import json
import signal
import sys
import tempfile
import threading
import time
from argparse import Namespace
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

import watchfiles

from local import keyring, ports
from local.build import Build
from local.clients import Clients
from local.container import prepare
from local.deployed import Deployed, require
from local.endpoints import Endpoints
from local.engine import CREDENTIALS, REGION
from local.invoke import Function, Runtime
from local.logs import Tail
from local.paths import EVENTS, FUNCTIONS, ROOT, STATE, TEMPLATE
from local.stack import Stack
from local.trouble import Trouble
from tessera.errors import Misconfigured
from tessera.integrations import bitrix24

_WATCHED = (FUNCTIONS, ROOT / "layers", TEMPLATE)
_LOOK_BACK_MILLIS = 600_000


def up(_: Namespace) -> None:
    """Start and deploy, detached."""
    _up(Stack())


def dev(_: Namespace) -> None:
    """Start, deploy, follow the logs and update on save until Ctrl-C."""
    stack = Stack()
    ran_before = stack.engine.running()
    since, ended = _now_millis(), _ended()
    _up(stack)
    print("following the logs; saved changes go live; Ctrl-C stops")
    follower = threading.Thread(target=_follow, args=(stack, since, ended))
    follower.start()
    for _changes in watchfiles.watch(*_WATCHED, debounce=200, step=50, stop_event=ended):
        _update(stack)
    follower.join()
    if not ran_before:
        stack.down()
        print("stopped; the state stays for the next time")


def down(_: Namespace) -> None:
    """Stop; the state stays."""
    Stack().down()


def reset(_: Namespace) -> None:
    """Stop and forget the state."""
    Stack().reset()


def logs(_: Namespace) -> None:
    """Follow the logs of the running stack, the last ten minutes first."""
    stack = Stack()
    stack.require_running()
    _follow(stack, _now_millis() - _LOOK_BACK_MILLIS, _ended())


def container(_: Namespace) -> None:
    """Write what `sam local invoke` needs, and say how to call it."""
    template, variables = prepare(Stack())
    environment = " ".join(f"{name}={value}" for name, value in {**CREDENTIALS, "AWS_REGION": REGION}.items())
    print(f"{environment} \\\n.tessera/tools/sam/bin/sam local invoke SessionsGetFunction \\")
    print(f"  -t {template.relative_to(ROOT)} --env-vars {variables.relative_to(ROOT)} \\")
    print("  --docker-network host -e events/sessions/get.json")


def env(_: Namespace) -> None:
    """Print the running stack's addresses and admin token as shell variables."""
    stack = Stack()
    stack.require_running()
    endpoints = Endpoints.read(stack.endpoints_file)
    print(f"export TESSERA={endpoints.http} TESSERA_LIVE={endpoints.websocket} ADMIN={endpoints.admin_token}")


def objects(arguments: Namespace) -> None:
    """List the keys in the running stack's archive."""
    stack = Stack()
    stack.require_running()
    endpoints = Endpoints.read(stack.endpoints_file)
    pages = stack.clients.s3.get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=endpoints.bucket, Prefix=arguments.prefix):
        for found in page.get("Contents", ()):
            print(found.get("Key"))


def build(arguments: Namespace) -> None:
    """Build functions and layers, only what changed."""
    changed = Build(arguments.folder.resolve(), arguments.architecture).make()
    print("built" if changed else "nothing changed")


def invoke(arguments: Namespace) -> None:
    """Invoke a built function on the running stack, or on one started for the occasion."""
    event = arguments.event or EVENTS / f"{arguments.function}.json"
    if not event.exists():
        raise Trouble(f"no event {event}")
    with ExitStack() as cleanup:
        stack = cleanup.enter_context(_any_stack())
        function = Function.built(arguments.function, stack.build)
        runtime = cleanup.enter_context(Runtime(function, stack.variables(function.code.name)))
        result = runtime.invoke(json.loads(event.read_text()))
    print(result.logs.strip(), file=sys.stderr)
    print(json.dumps(result.payload, indent=2))


def token(arguments: Namespace) -> None:
    """Print a service token with the given scopes."""
    scopes = keyring.scopes(arguments.scopes)
    print(keyring.token(*_target(arguments.stage), scopes))


def keys(arguments: Namespace) -> None:
    """Put a first key ring into the secret when it has none; with --rotate, add new keys."""
    target = _target(arguments.stage)
    if arguments.rotate:
        print(f"new signing key {keyring.rotate(*target)}; it signs an hour from now")
    else:
        print("first key ring made" if keyring.ensure(*target) else "the secret has its key ring")


def webhook(arguments: Namespace) -> None:
    """Put a webhook of Bitrix24 into its secret. It is read from the input: a command line stays in a history."""
    address = sys.stdin.readline().strip()
    try:
        bitrix24.opened(address, timeout=1)
    except Misconfigured as refused:
        raise Trouble(str(refused)) from None
    clients, deployed = _target(arguments.stage)
    if "WebhookSecret" not in deployed.outputs:
        raise Trouble("the stack is deployed with Bitrix24=off")
    clients.secretsmanager.put_secret_value(
        SecretId=deployed.outputs["WebhookSecret"], SecretString=json.dumps({"webhook": address})
    )
    print("the webhook is in its secret")


def _up(stack: Stack) -> None:
    began = time.perf_counter()
    endpoints = stack.up()
    for note in stack.notes:
        print(f"note: {note}")
    print(f"HTTP API  {endpoints.http}")
    print(f"sockets   {endpoints.websocket}")
    print(f"AWS       {endpoints.aws}  region {endpoints.region}, table {endpoints.table}")
    print(f"also in   {stack.endpoints_file}, with an admin token")
    print(f"ready after {time.perf_counter() - began:.1f} s; stop with `make down`")


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


def _ended() -> threading.Event:
    """Return an event that Ctrl-C, or the system, sets."""
    event = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        event.set()

    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, end)
    return event


@contextmanager
def _any_stack() -> Generator[Stack]:
    """Give the running stack, up to date, or one for the occasion."""
    stack = Stack()
    if stack.engine.running():
        stack.update()
        yield stack
        return
    with tempfile.TemporaryDirectory(dir=STATE) as folder:
        stack = Stack(Path(folder), ports.free())
        try:
            stack.up()
            yield stack
        finally:
            stack.down()


def _target(stage: str | None) -> tuple[Clients, Deployed]:
    """Return the clients and the stack of a stage on AWS, or of the embedded AWS."""
    if stage is None:
        stack = Stack()
        return stack.clients, stack.deployed()
    clients = Clients(None)
    return clients, require(clients, f"tessera-{stage}")


def _now_millis() -> int:
    return time.time_ns() // 1_000_000
