"""The client that waits: `Tessera`, and the `Conversation` of a session."""

import time
from collections.abc import Callable, Iterable
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Self, TypedDict, Unpack

import httpx

from tessera_client import conversations
from tessera_client.account import Account, How, Tokens
from tessera_client.flow import Flow, T, drive
from tessera_client.messages import Memory, Message, NewMessage

OWN = "me"
"""The token's own session, in a path."""


class Tessera:
    """Tessera as one caller sees it; safe to share among threads.

    `base_url` may have a path. `token` is an access token or a service token; with `refresh_token` an access token
    that has expired is renewed, and `on_refresh` is told the new `Tokens`, to be kept: the old ones are used up.
    `timeout` is in seconds, for each try; `retry` says how often and how patiently. `transport` and `sleep` are
    for tests and proxies.

    Raises `Problem` for what the service refuses, `Unreachable` when no answer comes.
    """

    def __init__(
        self,
        base_url: str,
        token: str | None = None,
        *,
        refresh_token: str | None = None,
        session_id: str = OWN,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] = time.sleep,
        **how: Unpack[How],
    ) -> None:
        self.base_url = base_url
        self.session_id = session_id
        self.account = Account(Tokens(token, refresh_token), **how)
        self._http = httpx.Client(
            base_url=base_url, timeout=self.account.timeout, transport=transport, cookies=no_cookies()
        )
        self._sleep = sleep

    @classmethod
    def create_session(
        cls,
        base_url: str,
        *,
        kind: str = "chat",
        token: str | None = None,
        body: dict[str, Any] | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] = time.sleep,
        **how: Unpack[How],
    ) -> Self:
        """Create a session and return the client of its owner; `session_id` is its id.

        `body` holds what else the session begins with (`email`, `metadata`, …). `token` is a service token, which
        may name the customer. The rest is as for `Tessera`.
        """
        with Tessera(base_url, token, transport=transport, sleep=sleep, **how) as creator:
            created = creator.run(conversations.create(creator.account, {**(body or {}), "kind": kind}))
        return cls(base_url, **opened(created), transport=transport, sleep=sleep, **how)

    def conversation(self, session_id: str | None = None) -> "Conversation":
        """Return the conversation of a session; by default of the one that was created, or the token's own."""
        return Conversation(self, session_id or self.session_id)

    def recall(self, customer_id: str, query: str | None = None, limit: int = 50) -> Memory:
        """Return a customer's messages over all conversations: the newest, or the most relevant to the query."""
        return self.run(conversations.recall(self.account, customer_id, query, limit))

    def run(self, flow: Flow[T]) -> T:
        """Run a flow of this package to its end."""
        return drive(flow, self._http, self._sleep)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Conversation:
    """The open conversation of a session: what is appended, read, taken back, ended."""

    def __init__(self, tessera: Tessera, session_id: str) -> None:
        self._tessera = tessera
        self._account = tessera.account
        self._path = conversations.messages_path(session_id)

    def append(self, messages: Iterable[NewMessage]) -> list[Message]:
        """Append in order and return the messages as they are kept; more than 100 go in several requests."""
        return self._tessera.run(conversations.append(self._account, self._path, messages))

    def read(
        self, limit: int | None = None, *, before: int | None = None, after: int | None = None
    ) -> list[Message]:
        """Return messages, oldest first: all, or the newest `limit`.

        `before` and `after` are sequence numbers, exclusive, one of the two: with them, those next to that number.
        """
        return self._tessera.run(conversations.read(self._account, self._path, limit, before, after))

    def pop(self, *, key: str | None = None) -> Message | None:
        """Remove the newest message and return it, None if there is none.

        `key` is the Idempotency-Key: with the same one the same message comes again, for 24 hours.
        """
        return self._tessera.run(conversations.pop(self._account, self._path, key))

    def clear(self) -> None:
        """End the conversation. The next message begins a new one; a customer's memory keeps the old one."""
        self._tessera.run(conversations.clear(self._account, self._path))


class Opened(TypedDict):
    """The owner of a session, as arguments of a client."""

    token: str
    refresh_token: str
    session_id: str


def opened(created: dict[str, Any]) -> Opened:
    """Return what the answer of a creation says of the owner."""
    tokens = created["tokens"]
    return {
        "token": tokens["accessToken"],
        "refresh_token": tokens["refreshToken"],
        "session_id": created["session"]["id"],
    }


def no_cookies() -> CookieJar:
    """Return a jar that takes nothing: a creation also sets a cookie, which shares the refresh token with us."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))
