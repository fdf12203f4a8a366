"""How messages of a framework are kept so that others can read them too.

What a framework calls a message is JSON with a text somewhere inside. The text becomes the `content`, plain, for
every reader: a page, a search, another framework. Everything else goes into `metadata`, under the framework's
name, as one JSON text, and comes back as it was: key order, floats, empty keys and all.
"""

import json
from collections.abc import Iterable
from copy import deepcopy
from typing import Any, TypeAlias

from tessera_client.messages import Message

Path: TypeAlias = tuple[str | int, ...]
"""Where something is in JSON: keys and indexes."""


def taken_out(item: Any, paths: Iterable[Path]) -> tuple[str, str]:
    """Return the text at the first of the paths that leads to one, and the item without it as JSON text."""
    for path in paths:
        text = _at(item, path)
        if isinstance(text, str) and _encodable(text):
            rest = deepcopy(item)
            _put(rest, path, "")
            return text, json.dumps({"text": path, "item": rest})
    return "", json.dumps({"text": None, "item": item})


def put_back(text: Any, rest: str) -> Any:
    """Return the item as it was."""
    kept = json.loads(rest)
    if kept["text"] is None:
        return kept["item"]
    _put(kept["item"], kept["text"], text)
    return kept["item"]


def as_text(content: Any) -> str:
    """Return any content as text: JSON of what others have kept otherwise."""
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def kept_by(framework: str, message: Message) -> str | None:
    """Return what a framework keeps beside the content; None when somebody else wrote the message."""
    kept = message.get("metadata", {}).get(framework)
    return kept if isinstance(kept, str) else None


def _at(item: Any, path: Path) -> Any:
    for step in path:
        try:
            item = item[step]
        except (KeyError, IndexError, TypeError):
            return None
    return item


def _put(item: Any, path: Path, value: Any) -> None:
    for step in path[:-1]:
        item = item[step]
    item[path[-1]] = value


def _encodable(text: str) -> bool:
    """Whether it is Unicode text: the service keeps no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
