"""A frame of a client: subscribe, unsubscribe, publish, ping. The answer goes back over the same socket."""

from typing import Any

from tessera.entry import Entry, Remaining
from tessera.telemetry import FRAMES
from tessera.wiring import Graph


def message(event: dict[str, Any], graph: Graph, _remaining: Remaining) -> dict[str, Any]:
    """Answer a frame with one frame, which may be an error; the connection lives on."""
    connection_id = event["requestContext"]["connectionId"]
    graph.telemetry.count(FRAMES)
    return {"statusCode": 200, "body": graph.sockets.answer(connection_id, event.get("body") or "")}


handler = Entry("realtime.message", message)
