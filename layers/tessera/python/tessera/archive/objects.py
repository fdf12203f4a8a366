"""Archive objects: messages as gzipped JSON lines. The same messages make the same bytes, at any time."""

import gzip
import json
from collections.abc import Iterable, Mapping
from typing import Any

from tessera.model.clock import parse_rfc3339, rfc3339


def key(session_id: str, conversation_id: str, first: int, last: int) -> str:
    """Return where the messages from `first` to `last` lie."""
    return f"{prefix(session_id)}{conversation_id}/{first}-{last}.jsonl.gz"


def prefix(session_id: str) -> str:
    """Return where everything of a session lies."""
    return f"archive/{session_id}/"


def encode(messages: Iterable[Mapping[str, Any]]) -> bytes:
    """Write stored messages, each with its `seq`, as they are shown."""
    lines = (
        json.dumps(
            {**message, "createdAt": rfc3339(message["createdAt"])},
            ensure_ascii=False,
            sort_keys=True,
            separators=(",", ":"),
        )
        for message in messages
    )
    return gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)


def decode(body: bytes) -> list[dict[str, Any]]:
    """Read messages back as they are shown, with times in RFC 3339."""
    lines = gzip.decompress(body).decode().split("\n")  # a text may hold what `splitlines` takes for an end
    return [json.loads(line) for line in lines if line]


def stored(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message of an object as the table holds it, with its time in milliseconds."""
    return {**message, "createdAt": parse_rfc3339(message["createdAt"])}
