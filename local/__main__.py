"""`python -m local`: the command line behind the Makefile's targets."""

import argparse
import sys
from pathlib import Path

from local import commands
from local.bitrix24 import bitrix24
from local.build import HOST_ARCHITECTURE
from local.insights import insights
from local.paths import BUILD
from local.trouble import Trouble


def parser() -> argparse.ArgumentParser:
    """Return the parser; each command carries the function that runs it."""
    top = argparse.ArgumentParser(prog="python -m local")
    adding = top.add_subparsers(required=True)
    for run in (
        commands.up,
        commands.dev,
        commands.down,
        commands.reset,
        commands.logs,
        commands.container,
        commands.env,
    ):
        adding.add_parser(run.__name__, help=run.__doc__).set_defaults(run=run)

    build = adding.add_parser("build", help=commands.build.__doc__)
    build.add_argument("--architecture", default=HOST_ARCHITECTURE, choices=["x86_64", "arm64"])
    build.add_argument("--folder", default=BUILD, type=Path)
    build.set_defaults(run=commands.build)

    invoke = adding.add_parser("invoke", help=commands.invoke.__doc__)
    invoke.add_argument("function", help="such as sessions/get")
    invoke.add_argument("event", nargs="?", type=Path, help="a JSON file; the sample event when left out")
    invoke.set_defaults(run=commands.invoke)

    objects = adding.add_parser("objects", help=commands.objects.__doc__)
    objects.add_argument("prefix", nargs="?", default="", help="only keys that begin so")
    objects.set_defaults(run=commands.objects)

    token = adding.add_parser("token", help=commands.token.__doc__)
    token.add_argument("scopes", help="separated by spaces or commas")
    token.set_defaults(run=commands.token)

    keys = adding.add_parser("keys", help=commands.keys.__doc__)
    keys.add_argument("--rotate", action="store_true")
    keys.set_defaults(run=commands.keys)

    portal = adding.add_parser("bitrix24", help=bitrix24.__doc__)
    portal.add_argument("--port", type=int, default=0, help="any free one when left out")
    portal.set_defaults(run=bitrix24)

    webhook = adding.add_parser("webhook", help=commands.webhook.__doc__)
    webhook.set_defaults(run=commands.webhook)

    insight = adding.add_parser("insights", help=insights.__doc__)
    insight.add_argument("name", nargs="?", help="such as conversion; all of them when left out")
    insight.add_argument(
        "--from", dest="first", help="the first day, YYYY-MM-DD; 29 before the last when left out"
    )
    insight.add_argument("--to", dest="last", help="the last day; today when left out")
    insight.set_defaults(run=insights)

    for command in (token, keys, webhook):
        command.add_argument("--stage", help="a stage deployed to AWS; the embedded AWS when left out")
    return top


def main() -> None:
    """Run one command; end with its trouble, if any, in words."""
    arguments = parser().parse_args()
    try:
        arguments.run(arguments)
    except Trouble as trouble:
        sys.exit(str(trouble))


if __name__ == "__main__":
    main()
