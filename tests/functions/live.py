"""Sockets in this process: tickets, frames and the streams, through the real handlers."""

import json
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tessera.stores.attributes import encode_item
from tessera.stores.table import Item
from tests.functions.service import Context, Owner, Service, sample

_numbers = count()


@dataclass
class Socket:
    """A socket that is open: what it is answered, and what it was sent beside that."""

    service: Service
    id: str

    def ask(self, frame: Any) -> Any:
        """Send a frame, or any text; return the answer."""
        return json.loads(self.answer(frame))

    def answer(self, frame: Any) -> str:
        """Send a frame, or any text; return the answer as it is sent."""
        text = frame if isinstance(frame, str) else json.dumps(frame)
        return self.service.handler("realtime/message")(self._event("MESSAGE", body=text), Context())["body"]

    def subscribe(self, topic: str, **more: Any) -> Any:
        return self.ask({"type": "subscribe", "id": 1, "topic": topic, **more})

    def publish(self, topic: str, message_id: str, data: Any = None, **more: Any) -> Any:
        return self.ask(
            {"type": "publish", "id": 2, "topic": topic, "messageId": message_id, "data": data, **more}
        )

    def disconnect(self) -> None:
        event = self._event("DISCONNECT")
        assert self.service.handler("realtime/disconnect")(event, Context()) == {"statusCode": 200}

    @property
    def sent(self) -> list[Any]:
        """What the fan-out has sent."""
        return self.service.posts.sent[self.id]

    def _event(self, kind: str, **more: Any) -> dict[str, Any]:
        event = sample("realtime/message") | more
        event["requestContext"] |= {"eventType": kind, "connectionId": self.id}
        return event


def ticket_of(service: Service, owner: Owner) -> str:
    answer = service.call("tokens/ticket", owner.id, token=owner.token)
    assert answer.status == 200, answer.text
    return answer.json["ticket"]


def service_ticket(service: Service, *scopes: str) -> str:
    route, token = "POST /socket-ticket", service.service_token(*scopes)
    answer = service.call("tokens/ticket", token=token, route=route, pathParameters={})
    assert answer.status == 200, answer.text
    return answer.json["ticket"]


def connecting(service: Service, protocols: str, connection_id: str, **headers: str) -> dict[str, Any]:
    """Try to connect; return the gateway's answer."""
    event = sample("realtime/connect")
    event["headers"] = {"Sec-WebSocket-Protocol": protocols, **headers}
    event["requestContext"]["connectionId"] = connection_id
    return service.handler("realtime/connect")(event, Context())


def plug(service: Service, ticket: str) -> Socket:
    """Open a socket."""
    socket = Socket(service, f"c{next(_numbers)}")
    answer = connecting(service, f"tessera.v1, ticket.{ticket}", socket.id)
    assert answer == {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "tessera.v1"}}
    return socket


@dataclass
class Stream:
    """What both tables' streams say since one looked last; and the fan-out that reads them."""

    service: Service
    seen: dict[str, dict[Any, Item]] = field(default_factory=dict)

    def records(self, table: str) -> list[dict[str, Any]]:
        """Return the records of what has changed in a table: `table` or `realtime_table`."""
        items = {key: dict(item) for key, item in getattr(self.service, table)._items.items()}
        before = self.seen.get(table, {})
        self.seen[table] = items
        found = [
            _record(before.get(key), items.get(key))
            for key in {**before, **items}
            if before.get(key) != items.get(key)
        ]
        return sorted(found, key=lambda each: each["dynamodb"]["Keys"]["sk"]["S"])

    def flow(self) -> None:
        """Have the fan-out read what there is, the sessions' first, until nothing is left."""
        for table in ("table", "realtime_table", "realtime_table"):
            if records := self.records(table):
                assert self.deliver(records) == {"batchItemFailures": []}

    def deliver(self, records: list[dict[str, Any]]) -> Any:
        return self.service.handler("realtime/fanout")({"Records": records}, Context())


def _record(old: Item | None, new: Item | None) -> dict[str, Any]:
    item, number = new or old or {}, f"{next(_numbers):021}"
    image: dict[str, Any] = {"Keys": encode_item({"pk": item["pk"], "sk": item["sk"]}), "SequenceNumber": number}
    if old is not None:
        image["OldImage"] = encode_item(old)
    if new is not None:
        image["NewImage"] = encode_item(new)
    name = "MODIFY" if old and new else "INSERT" if new else "REMOVE"
    return {"eventID": f"event-{number}", "eventName": name, "dynamodb": image}
