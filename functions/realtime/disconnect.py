"""$disconnect: a socket has closed. AWS does its best to tell; the sweep finds what it did not."""

from typing import Any

from tessera.entry import Entry, Remaining
from tessera.model import frames
from tessera.wiring import Graph


def disconnect(event: dict[str, Any], graph: Graph, _remaining: Remaining) -> dict[str, Any]:
    """Forget the connection and its subscriptions."""
    context = event["requestContext"]
    if context.get("eventType") == "MESSAGE":  # a frame of the type $disconnect
        return {"statusCode": 200, "body": frames.refuse(event.get("body") or "")}
    graph.sockets.close(context["connectionId"])
    return {"statusCode": 200}


handler = Entry("realtime.disconnect", disconnect)
