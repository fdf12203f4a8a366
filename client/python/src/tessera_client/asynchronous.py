"""The client for asyncio: `AsyncTessera`, and the `AsyncConversation` of a session."""

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Self, Unpack
from weakref import WeakKeyDictionary

import httpx

from tessera_client import conversations
from tessera_client.account import Account, How, Tokens
from tessera_client.client import OWN, Tessera, no_cookies, opened
from tessera_client.flow import Flow, T, adrive
from tessera_client.messages import Memory, Message, NewMessage


class AsyncTessera:
    """Tessera as one caller sees it, for asyncio; all is as in `Tessera`.

    It may be used in one event loop after the other, as by several calls of `asyncio.run`: each has connections of
    its own.
    """

    def __init__(
        self,
        base_url: str,
        token: str | None = None,
        *,
        refresh_token: str | None = None,
        session_id: str = OWN,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        **how: Unpack[How],
    ) -> None:
        self.base_url = base_url
        self.session_id = session_id
        self.account = Account(Tokens(token, refresh_token), **how)
        self._transport = transport
        self._sleep = sleep
        self._https: WeakKeyDictionary[AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()

    @classmethod
    def sharing(cls, tessera: Tessera, transport: httpx.AsyncBaseTransport | None = None) -> Self:
        """Return the same caller for asyncio: when one of the two renews the tokens, both have them."""
        shared = cls(tessera.base_url, session_id=tessera.session_id, transport=transport)
        shared.account = tessera.account
        return shared

    @classmethod
    async def create_session(
        cls,
        base_url: str,
        *,
        kind: str = "chat",
        token: str | None = None,
        body: dict[str, Any] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        **how: Unpack[How],
    ) -> Self:
        """Create a session and return the client of its owner, as `Tessera.create_session`."""
        async with AsyncTessera(base_url, token, transport=transport, sleep=sleep, **how) as creator:
            created = await creator.run(conversations.create(creator.account, {**(body or {}), "kind": kind}))
        return cls(base_url, **opened(created), transport=transport, sleep=sleep, **how)

    def conversation(self, session_id: str | None = None) -> "AsyncConversation":
        """Return the conversation of a session; by default of the one that was created, or the token's own."""
        return AsyncConversation(self, session_id or self.session_id)

    async def recall(self, customer_id: str, query: str | None = None, limit: int = 50) -> Memory:
        """Return a customer's messages over all conversations: the newest, or the most relevant to the query."""
        return await self.run(conversations.recall(self.account, customer_id, query, limit))

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow of this package to its end."""
        return await adrive(flow, self._http(), self._sleep)

    def _http(self) -> httpx.AsyncClient:
        """Return the client of the running loop: connections cannot leave the loop that opened them."""
        loop = asyncio.get_running_loop()
        if loop not in self._https:
            self._https[loop] = httpx.AsyncClient(
                base_url=self.base_url,
                timeout=self.account.timeout,
                transport=self._transport,
                cookies=no_cookies(),
            )
        return self._https[loop]

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        http = self._https.pop(asyncio.get_running_loop(), None)
        if http is not None:
            await http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class AsyncConversation:
    """The open conversation of a session, for asyncio; all is as in `Conversation`."""

    def __init__(self, tessera: AsyncTessera, session_id: str) -> None:
        self._tessera = tessera
        self._account = tessera.account
        self._path = conversations.messages_path(session_id)

    async def append(self, messages: Iterable[NewMessage]) -> list[Message]:
        """Append in order and return the messages as they are kept; more than 100 go in several requests."""
        return await self._tessera.run(conversations.append(self._account, self._path, messages))

    async def read(
        self, limit: int | None = None, *, before: int | None = None, after: int | None = None
    ) -> list[Message]:
        """Return messages, oldest first: all, or the newest `limit`, or those next to `before` or `after`."""
        return await self._tessera.run(conversations.read(self._account, self._path, limit, before, after))

    async def pop(self, *, key: str | None = None) -> Message | None:
        """Remove the newest message and return it, None if there is none."""
        return await self._tessera.run(conversations.pop(self._account, self._path, key))

    async def clear(self) -> None:
        """End the conversation. The next message begins a new one; a customer's memory keeps the old one."""
        await self._tessera.run(conversations.clear(self._account, self._path))
