"""What a record of the sessions' stream tells the session's devices: a merge patch of the two images, or its end.

Only what the contract shows of a session goes out: the images have hashes, claims and pointers beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tessera.model.clock import rfc3339
from tessera.model.data import removal
from tessera.model.frames import compact
from tessera.model.merge import merge_patch
from tessera.model.session import Session
from tessera.model.status import Status
from tessera.stores.attributes import decode_item
from tessera.stores.keys import ACTIONS, CART, CORE, DATA, SEGMENT, session_of
from tessera.stores.table import Item

type Patch = dict[str, Any]
"""A JSON merge patch (RFC 7396)."""

FLOW = frozenset({"status", "currentStep", "completedSteps", "upsells", "vaultId", "transactionId"})
_FIRST = "1"
"""The sequence number that a conversation begins with."""

_KEPT_BOOKS = frozenset({"version", "updatedAt", "lastActivityAt"})
"""What every write changes; of a write whose point is another item, that item tells."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A change of a session, as its topic tells it.

    `name` is session, flow, data, messages or cart. `version` is that of the session, with data of the bucket;
    None where the record does not say it. `patch` is None when there is none that is exact.
    """

    session_id: str
    name: str
    version: int | None
    patch: Patch | None

    def as_json(self) -> dict[str, Any]:
        """Return the `data` of the message."""
        return {"change": self.name, "version": self.version, "patch": self.patch}


@dataclass(frozen=True, slots=True)
class Ended:
    """Connections must go: of a session that is over, or those of tokens from before `epoch`.

    `gone`: nothing of the session is to be kept. `again`: its holder has new tokens, and may come back.
    """

    session_id: str
    epoch: int | None = None
    gone: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """A session ends at another time than it did."""

    session_id: str
    ends_at: int


type News = Changed | Ended | Moved


def news_of(record: Mapping[str, Any]) -> list[News]:
    """Return what a record tells. Raises what one does that is not of the form of DynamoDB."""
    image = record["dynamodb"]
    key = decode_item(image["Keys"])
    old, new = (decode_item(image[name]) if name in image else {} for name in ("OldImage", "NewImage"))
    session_id, sk = session_of(key["pk"]), str(key["sk"])
    by_ttl = record.get("userIdentity", {}).get("type") == "Service"
    if not key["pk"].startswith("SESSION#"):
        return []
    if sk == CORE:
        return _of_core(session_id, old, new)
    if sk.startswith(DATA) and not by_ttl:
        return [_of_bucket(session_id, sk.removeprefix(DATA), old, new)]
    if sk.startswith(SEGMENT) and new:
        return _of_messages(session_id, sk.removeprefix(SEGMENT).partition("#")[0], old, new)
    if sk.startswith(ACTIONS) and new and not old:
        return _of_actions(session_id, new)
    return []


def _of_core(session_id: str, old: Item, new: Item) -> list[News]:
    if not new or "buried" in new or new["status"] == Status.EXPIRED:
        over = not old or "buried" in old or old["status"] == Status.EXPIRED
        return [] if over and new else [Ended(session_id, gone=not new)]
    if not old:
        return []
    told: list[News] = []
    if old["epoch"] != new["epoch"]:
        told.append(Ended(session_id, new["epoch"], again="refreshHash" in new))
    if new["expiresAt"] < old["expiresAt"]:
        told.append(Moved(session_id, new["expiresAt"]))
    shown = [Session.model_validate(image).model_dump(by_alias=True, mode="json") for image in (old, new)]
    patch = difference(*shown)
    if name := _named(patch, old, new):
        told.append(Changed(session_id, name, new["version"], patch))
    return told


def _named(patch: Patch, old: Item, new: Item) -> str | None:
    """Return what kind of change it is; None where another record tells of it, or nothing is to be told."""
    names = patch.keys() - _KEPT_BOOKS - {"expiresAt"}
    if not names:
        return "session" if new.get("extensions") != old.get("extensions") else None
    if names & FLOW:
        return "flow"
    if names == {"cartId"}:
        return "cart"
    if names == {"conversationId"}:  # the first one comes with its first message, which tells of it
        return "messages" if "conversationId" in old else None
    return "session"


def _of_bucket(session_id: str, name: str, old: Item, new: Item) -> Changed:
    """Tell of a bucket. What is too large for an item has no image: then devices must load it."""
    if not new:
        return Changed(session_id, "data", removal(old["version"]), {"data": {name: None}})
    version = new["version"]
    if "data" not in new or (old and "data" not in old):
        return Changed(session_id, "data", version, None)
    before: dict[str, Any] = old["data"] if old else {}
    patch = difference(before, new["data"])
    exact = merge_patch(before, patch) == new["data"]  # no merge patch writes a null
    return Changed(session_id, "data", version, {"data": {name: patch}} if exact else None)


def _of_messages(session_id: str, conversation_id: str, old: Item, new: Item) -> list[News]:
    """Tell of messages by their sequence numbers: as they are shown, or null where one was popped.

    The first one of a conversation tells of that too: of the session's own record no device hears then.
    """
    before = old.get("messages", {})
    told = {seq: _shown(seq, m) for seq, m in new["messages"].items() if seq not in before or before[seq] != m}
    exact = merge_patch({}, told) == {seq: message for seq, message in told.items() if message is not None}
    begun = {"conversationId": conversation_id} if _FIRST in told and _FIRST not in before else {}
    return [Changed(session_id, "messages", None, {**begun, "messages": told} if exact else None)] if told else []


def _shown(seq: str, message: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a message as it is read, without a content that lies in S3."""
    if message is None:
        return None
    known = {name: message[name] for name in ("messageId", "role", "content", "metadata") if name in message}
    return {**known, "seq": int(seq), "createdAt": rfc3339(message["createdAt"])}


def _of_actions(session_id: str, new: Item) -> list[News]:
    """Tell of cart actions by their ids; of a new cart the session's own record tells."""
    if new.get("type") != CART:
        return []
    actions = {
        action["id"]: {**action, "at": rfc3339(action["at"])}
        for action in new["actions"]
        if action["action"] != "cart_initialized"
    }
    return [Changed(session_id, "cart", None, {"cartActions": actions})] if actions else []


def same(one: Any, other: Any) -> bool:
    """Compare JSON values; 1 and true are not the same, however deep."""
    return compact(one) == compact(other) if one == other else False


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> Patch:
    """Return the merge patch that makes the one of the other."""
    patch: Patch = dict.fromkeys(old.keys() - new.keys())
    for name, value in new.items():
        found = old.get(name)
        if isinstance(value, dict) and isinstance(found, dict):  # an object that is new goes out whole
            if inner := difference(found, value):  # pyright: ignore[reportUnknownArgumentType] - any JSON
                patch[name] = inner
        elif name not in old or not same(found, value):
            patch[name] = value
    return patch
