"""How the tests of conversations speak: messages, appends, pages, and what the archive has of them."""

from typing import Any

from tessera.archive import objects
from tessera.stores.attributes import encode_item
from tessera.stores.keys import HEAD, SEGMENT, conversations, partition
from tessera.stores.table import Item, Key
from tests.functions.service import Answer, Context, Owner, Service

MINUTE = 60
DAY = 86_400


def said(content: Any, **more: Any) -> dict[str, Any]:
    """Return a message of a user."""
    return {"role": "user", "content": content} | more


def append(service: Service, owner: Owner, *messages: dict[str, Any], **how: Any) -> Answer:
    """Append as the owner."""
    how = {"token": owner.token} | how
    return service.call("conversations/append", "me", body={"messages": list(messages)}, **how)


def chat(service: Service, owner: Owner, count: int, *, prefix: str = "message") -> str:
    """Append so many messages, each by itself; return the id of their conversation."""
    for number in range(1, count + 1):
        answer = append(service, owner, said(f"{prefix} {number}"))
        assert answer.status == 201, answer.text
    return answer.json["conversationId"]


def read(service: Service, owner: Owner, **query: Any) -> Any:
    """Return a page of the open conversation as the owner sees it."""
    words = {name: str(value) for name, value in query.items()}
    answer = service.call("conversations/read", "me", token=owner.token, query=words)
    assert answer.status == 200, answer.text
    return answer.json


def contents(messages: list[dict[str, Any]]) -> list[Any]:
    return [message["content"] for message in messages]


def pop(service: Service, owner: Owner, **how: Any) -> Answer:
    return service.call("conversations/pop", "me", token=owner.token, **how)


def clear(service: Service, owner: Owner, **how: Any) -> Answer:
    return service.call("conversations/clear", "me", token=owner.token, **how)


def recall(
    service: Service,
    customer_id: str,
    *,
    token: str,
    context: Context | None = None,
    raw: str | None = None,
    **query: Any,
) -> Answer:
    """Ask for a customer's memory; `raw` is the id as it stands in the path."""
    return service.call(
        "conversations/recall",
        token=token,
        query={name: str(value) for name, value in query.items()},
        context=context,
        rawPath=f"/customers/{raw or customer_id}/messages",
        pathParameters={"customerId": customer_id},
    )


def sweep(service: Service, remaining: int = 60_000) -> Any:
    """Run the schedule of the archive once."""
    return service.handler("conversations/archive")({}, Context(remaining))


def stream(service: Service, *records: dict[str, Any]) -> list[str]:
    """Give the archive a batch of the stream; return the numbers of what is to come again."""
    answer = service.handler("conversations/archive")({"Records": list(records)}, Context(60_000))
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def change(number: int, new: Item | None, old: Item | None = None, **more: Any) -> dict[str, Any]:
    """Return what the stream says of an item that came, changed or went, as DynamoDB writes it."""
    image = new or old or {}
    images = {"NewImage": new, "OldImage": old}
    return {
        "eventID": f"{number:032}",
        "eventName": "REMOVE" if new is None else "MODIFY" if old else "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-central-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1795168800,
            "Keys": encode_item({name: image[name] for name in ("pk", "sk")}),
            **{name: encode_item(item) for name, item in images.items() if item is not None},
            "SequenceNumber": f"{10**20 + number}",
            "SizeBytes": 200,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": "arn:aws:dynamodb:eu-central-1:123456789012:table/tessera-test/stream/2026",
    } | more


def number_of(record: dict[str, Any]) -> str:
    return record["dynamodb"]["SequenceNumber"]


def segments(service: Service, session_id: str) -> list[Item]:
    return [*service.table.query(partition(session_id), SEGMENT)]


def heads(service: Service, session_id: str) -> list[Item]:
    return [*service.table.query(conversations(session_id), HEAD)]


def inserted(service: Service, session_id: str, *, start: int = 1) -> list[dict[str, Any]]:
    """Return what the stream says of the segments that a session has, when they are new."""
    return [change(start + place, item) for place, item in enumerate(segments(service, session_id))]


def taken_by_ttl(service: Service, session_id: str, *, start: int = 1_000) -> list[dict[str, Any]]:
    """Let TTL delete all messages of a session; return what the stream says of that."""
    ttl = {"userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"}}
    gone = segments(service, session_id)
    for item in gone:
        service.table.delete(Key(item["pk"], item["sk"]))
    return [change(start + place, None, item, **ttl) for place, item in enumerate(gone)]


def keys(service: Service, session_id: str) -> list[str]:
    """Return the names of the archive objects of a session, without what all have in common."""
    prefix = objects.prefix(session_id)
    return [key.removeprefix(prefix).partition("/")[2] for key in service.archive_bucket.keys(prefix)]


def archived(service: Service, session_id: str) -> list[dict[str, Any]]:
    """Return every message that is in an archive object, as often as it is in one, in the order of the keys."""
    found = []
    for key in service.archive_bucket.keys(objects.prefix(session_id)):
        body = service.archive_bucket.get(key)
        assert body is not None
        found += objects.decode(body)
    return found


def everything(service: Service, session_id: str) -> list[Any]:
    """Return all that is stored of a session, to see that nothing changes."""
    items = [*service.table.query(partition(session_id)), *service.table.query(conversations(session_id))]
    return [*items, *service.archive_bucket.keys("")]
