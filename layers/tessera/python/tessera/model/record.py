"""A session as it is kept: what the contract shows, and what only the service knows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tessera.errors import PoisonedItem, SessionExpired
from tessera.model.clock import SECOND, Millis
from tessera.model.session import Session

DATA = "data"
"""The part of a session that its buckets are."""

MESSAGES = "messages"
"""The part of a session that its conversations are."""


@dataclass(frozen=True, slots=True)
class Refresh:
    """The refresh token of a session: SHA-256 of the present one, its family and generation.

    `rotated_at` holds the times of the latest rotations, the last one last.
    """

    hash: str
    family: str
    generation: int = 0
    rotated_at: tuple[Millis, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """A stored session.

    `epoch` grows at each revocation; a token of an earlier epoch is dead. `claims` go into access tokens.
    `parts` names the kinds of items beside the core (data, messages…), so that the clean-up asks for them
    only where there are some. `last_seq` is the newest message of the open conversation; `spare_ids` says where
    the messages are whose ids found no room in the transaction of their batch. `data_mark` is the highest version
    of any bucket that may expire, and of any removal: new ones begin after it. `payment` is what has been paid and
    what is being paid (`model.payments`); `finished_at` is when its flow was finished. `buried` marks a tombstone:
    all that the clean-up leaves of an expired session.
    """

    session: Session
    idle_seconds: int
    retention_seconds: int
    epoch: int
    refresh: Refresh | None = None
    claims: Mapping[str, Any] = field(default_factory=dict[str, Any])
    parts: tuple[str, ...] = ()
    last_seq: int = 0
    spare_ids: Mapping[str, Any] = field(default_factory=dict[str, Any])
    data_mark: int = 0
    payment: Mapping[str, Any] = field(default_factory=dict[str, Any])
    finished_at: Millis | None = None
    buried: bool = False

    @property
    def id(self) -> str:
        """The session's id."""
        return self.session.id

    @property
    def has_messages(self) -> bool:
        """Whether a conversation was ever begun."""
        return MESSAGES in self.parts

    def live(self, now: Millis) -> "Record":
        """Return itself, or raise SessionExpired: DynamoDB's TTL is a broom, not the expiry."""
        if not self.session.live(now):
            raise SessionExpired
        return self

    def attributes(self) -> dict[str, Any]:
        """The core item as plain values, times in milliseconds, without what is null."""
        shown = self.session.model_dump(by_alias=True, exclude_none=True)
        hidden: dict[str, Any] = {
            "idleSeconds": self.idle_seconds,
            "retentionSeconds": self.retention_seconds,
            "epoch": self.epoch,
            "ttl": ttl(self.session.expires_at, self.retention_seconds),
            "claims": dict(self.claims),
            "parts": list(self.parts),
        }
        if self.session.customer_id:
            hidden["customerId"] = self.session.customer_id
        if self.last_seq:
            hidden["lastSeq"] = self.last_seq
        if self.spare_ids:
            hidden["spareIds"] = dict(self.spare_ids)
        if self.data_mark:
            hidden["dataMark"] = self.data_mark
        if self.payment:
            hidden["payment"] = dict(self.payment)
        if self.finished_at is not None:
            hidden["finishedAt"] = self.finished_at
        if self.buried:
            hidden["buried"] = True
        if self.refresh:
            hidden |= refresh_attributes(self.refresh)
        return shown | hidden

    @staticmethod
    def of(attributes: Mapping[str, Any]) -> "Record":
        """Read a core item, or raise PoisonedItem."""
        try:
            return Record(
                session=Session.model_validate(attributes),
                idle_seconds=_whole(attributes["idleSeconds"]),
                retention_seconds=_whole(attributes["retentionSeconds"]),
                epoch=_whole(attributes["epoch"]),
                refresh=_refresh(attributes),
                claims=dict(attributes.get("claims", {})),
                parts=tuple(attributes.get("parts", ())),
                last_seq=_whole(attributes.get("lastSeq", 0)),
                spare_ids=dict(attributes.get("spareIds", {})),
                data_mark=_whole(attributes.get("dataMark", 0)),
                payment=dict(attributes.get("payment", {})),
                finished_at=_whole(attributes["finishedAt"]) if "finishedAt" in attributes else None,
                buried="buried" in attributes,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise PoisonedItem(str(attributes.get("id"))) from error


def ttl(expires_at: Millis, retention_seconds: int) -> int:
    """When DynamoDB may sweep the item, in seconds: the expiry and the time the tombstone stays."""
    return -(-expires_at // SECOND) + retention_seconds


def refresh_attributes(refresh: Refresh) -> dict[str, Any]:
    """The refresh token as it stands in the item."""
    return {
        "refreshHash": refresh.hash,
        "refreshFamily": refresh.family,
        "refreshGeneration": refresh.generation,
        "rotatedAt": list(refresh.rotated_at),
    }


REFRESH_ATTRIBUTES = tuple(refresh_attributes(Refresh("", "")))


def _refresh(attributes: Mapping[str, Any]) -> Refresh | None:
    if "refreshHash" not in attributes:
        return None
    return Refresh(
        attributes["refreshHash"],
        attributes["refreshFamily"],
        _whole(attributes["refreshGeneration"]),
        tuple(map(_whole, attributes["rotatedAt"])),
    )


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("not a whole number")
    return value
