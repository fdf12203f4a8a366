"""A page of the documents as a script: its code blocks in order, and what it shows that each of them prints."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.paths import ROOT

FENCED = re.compile(r"^```(sh|python|json|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = {"sh": "{}", "python": ".venv/bin/python - <<'PYTHON'\n{}PYTHON\n"}
"""How each language of a block is run by the shell of the page."""

ANY = "…"
"""Stands for any value in what a page shows."""


@dataclass
class Block:
    """A code block that a reader would run; `shown` are the outputs that follow it on the page, in part."""

    language: str
    code: str
    shown: list[tuple[str, str]]

    @property
    def command(self) -> str:
        return COMMANDS[self.language].format(self.code)

    def explains(self, printed: str) -> bool:
        """Whether everything that the page shows was printed."""
        return all(_SHOWS[language](text, printed) for language, text in self.shown)


def blocks(page: str, heading: str | None = None) -> list[Block]:
    """The blocks of a page, or of one section of it: from a heading to the next one of the same rank."""
    found: list[Block] = []
    for language, code in FENCED.findall(_section((ROOT / page).read_text(), heading)):
        if language in COMMANDS:
            found.append(Block(language, code, []))
        elif found:
            found[-1].shown.append((language, code))
    return found


def _section(text: str, heading: str | None) -> str:
    if heading is None:
        return text
    rank = heading.partition(" ")[0]
    after = text.split(f"\n{heading}\n", 1)[1]
    return re.split(rf"^{rank} ", after, maxsplit=1, flags=re.MULTILINE)[0]


def _shows_text(shown: str, printed: str) -> bool:
    """Each line of it stands in a line of the output, in this order; `…` stands for anything.

    Capitals do not matter: the names of headers come as the server likes.
    """
    lines = (re.escape(line).replace(ANY, ".*") for line in shown.splitlines())
    return re.search("(?s:.*)".join(lines), printed, re.IGNORECASE) is not None


def _shows_json(shown: str, printed: str) -> bool:
    """Some object in the output has all of it; `…` stands for any value."""
    part = json.loads(shown)
    return any(_within(part, whole) for whole in _documents(printed))


def _documents(printed: str) -> list[Any]:
    """The JSON objects in an output: curl ends none of them with a line break."""
    found: list[Any] = []
    at = printed.find("{")
    while at >= 0:
        try:
            document, at = json.JSONDecoder().raw_decode(printed, at)
            found.append(document)
        except ValueError:
            at += 1
        at = printed.find("{", at)
    return found


def _within(part: Any, whole: Any) -> bool:
    if isinstance(part, Mapping):
        return isinstance(whole, Mapping) and all(k in whole and _within(v, whole[k]) for k, v in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and len(part) == len(whole) and all(map(_within, part, whole))
    return part in (ANY, whole)


_SHOWS = {"text": _shows_text, "json": _shows_json}
