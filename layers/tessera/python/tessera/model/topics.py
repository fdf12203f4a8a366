"""Topics: what they are called, and who may read and publish there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from tessera.errors import Forbidden, NotYours
from tessera.model.caller import Caller, Scope

MAX_NAME = 200
_NAME = re.compile(rf"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{{0,{MAX_NAME - 1}}})")


class TopicKind(StrEnum):
    """What a topic's name begins with."""

    SESSION = "session"
    CUSTOMER = "customer"
    AGENT = "agent"
    SYSTEM = "system"
    APP = "app"


RETAINED = frozenset({TopicKind.AGENT, TopicKind.SYSTEM})
"""Kinds whose last message is kept for those who come later."""

SYSTEM_TOPICS = frozenset({"metrics"})
SCOPES = {
    TopicKind.CUSTOMER: Scope.CUSTOMERS_WRITE,
    TopicKind.AGENT: Scope.AGENTS_WRITE,
    TopicKind.SYSTEM: Scope.SYSTEM_WRITE,
}
"""What a service needs to publish there."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic, `<kind>:<name>`."""

    kind: TopicKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @property
    def retains(self) -> bool:
        """Whether its last message is kept for newcomers."""
        return self.kind in RETAINED

    @staticmethod
    def parse(text: str) -> "Topic":
        """Read a topic's name. What is none is forbidden like what is another's: nobody learns which there are."""
        kind, _, name = text.partition(":")
        if kind not in set(TopicKind) or not _NAME.fullmatch(name):
            raise Forbidden("There is no such topic")
        topic = Topic(TopicKind(kind), name)
        if topic.kind is TopicKind.SYSTEM and name not in SYSTEM_TOPICS:
            raise Forbidden("There is no such topic")
        return topic


def session_topic(session_id: str) -> Topic:
    """Return the topic of a session's own changes."""
    return Topic(TopicKind.SESSION, session_id)


def check_read(topic: Topic, caller: Caller, customer_id: str | None, apps: Sequence[str]) -> None:
    """Raise the problem that keeps a caller from reading a topic.

    `customer_id` is the customer that the caller's live session is linked to, `apps` are patterns of the names of
    `app:` topics that are open. A service publishes; it reads none of them.
    """
    if not caller.session_id:
        raise Forbidden("A service token publishes; topics are read by sessions")
    match topic.kind:
        case TopicKind.SESSION if topic.name != caller.session_id:
            raise NotYours
        case TopicKind.CUSTOMER if topic.name != customer_id:
            raise NotYours
        case TopicKind.APP:
            _check_open(topic, apps)
        case _:
            pass


def check_publish(topic: Topic, caller: Caller, apps: Sequence[str]) -> None:
    """Raise the problem that keeps a caller from publishing in a topic."""
    match topic.kind:
        case TopicKind.SESSION:
            raise Forbidden("The changes of a session are published by the service itself")
        case TopicKind.APP if caller.session_id:
            _check_open(topic, apps)
        case TopicKind.APP:
            raise Forbidden("app: topics are published by sessions")
        case kind:
            caller.require(SCOPES[kind])


def _check_open(topic: Topic, apps: Sequence[str]) -> None:
    if not any(fnmatchcase(topic.name, pattern) for pattern in apps):
        raise Forbidden("This topic is not open")
