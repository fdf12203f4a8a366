"""Posts in memory: what each connection was sent, which are gone, and which are never reached."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tessera.realtime.delivery import Posted


class MemoryPosts:
    """Implements `Posts`. `open` are the sockets that stand; None for all."""

    def __init__(self) -> None:
        self.gone: set[str] = set()
        self.silent: set[str] = set()
        self.closed: set[str] = set()
        self.sent: defaultdict[str, list[Any]] = defaultdict(list)

    def post(self, frames: Mapping[str, Sequence[bytes]]) -> Posted:
        posted = Posted()
        for connection_id, own in frames.items():
            if connection_id in self.gone | self.closed:
                posted.gone.add(connection_id)
            elif connection_id in self.silent:
                posted.failed.add(connection_id)
            else:
                self.sent[connection_id] += map(json.loads, own)
                posted.sent += len(own)
        return posted

    def close(self, connection_ids: Iterable[str]) -> None:
        self.closed |= {*connection_ids}
