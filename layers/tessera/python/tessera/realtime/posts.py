"""Posts to connections, many at once: aiohttp on pooled connections, signed with the day's key.

Each frame is tried three times; a post takes three seconds at most, so that a slow connection delays no other.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from tessera.errors import Misconfigured
from tessera.model.clock import Clock
from tessera.realtime.delivery import Posted
from tessera.realtime.signing import Credentials, Signer

AT_ONCE = 100
"""Posts under way at the same time."""

PATIENCE = 3.0
"""Seconds for one post."""

TRIES = 3
_DONE, _GONE, _FORBIDDEN, _BUSY, _FAULT = 300, 410, 403, 429, 500
_SILENCE = 599
"""The status of what was not answered."""
_PAUSE = 0.1


class Bucket:
    """A token bucket: so many posts a second, a tenth of that at once."""

    def __init__(self, per_second: float, time: Callable[[], float]) -> None:
        self._rate, self._time = per_second, time
        self._room = max(1.0, per_second / 10)
        self._left, self._at = self._room, time()

    def wait(self) -> float:
        """Take a token; return the seconds after which it is there."""
        now = self._time()
        self._left = min(self._room, self._left + (now - self._at) * self._rate)
        self._at = now
        self._left -= 1
        return max(0.0, -self._left / self._rate)


class SocketPosts:
    """Implements `Posts` on API Gateway's callback address, e.g. https://<api>.execute-api.<region>.amazonaws.com/v1."""

    def __init__(
        self, url: str, region: str, credentials: Callable[[], Credentials], clock: Clock, per_second: int
    ) -> None:
        parts = urlsplit(url)
        self._base, self._path = f"{parts.scheme}://{parts.netloc}", parts.path
        self._signer = Signer(parts.netloc, region)
        self._credentials, self._clock, self._per_second = credentials, clock, per_second
        self._runner: asyncio.Runner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._bucket: Bucket | None = None

    def post(self, frames: Mapping[str, Sequence[bytes]]) -> Posted:
        """See Posts."""
        if not frames:
            return Posted()
        return self._run(self._post_all(frames))

    def close(self, connection_ids: Iterable[str]) -> None:
        """See Posts."""
        self._run(self._close_all([*connection_ids]))

    def shut(self) -> None:
        """Close what is open. A container never does: its connections serve the next invocation."""
        if self._session is not None:
            self._run(self._session.close())
            self._session = None

    def _run[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Run on one loop for the life of the container, so that connections stay open between invocations."""
        self._runner = self._runner or asyncio.Runner()
        return self._runner.run(work)

    async def _post_all(self, frames: Mapping[str, Sequence[bytes]]) -> Posted:
        posted, hashes = Posted(), dict[bytes, str]()
        waiting = iter(frames.items())

        async def work() -> None:
            for connection_id, own in waiting:
                for frame in own:
                    known = hashes.get(frame) or hashes.setdefault(frame, sha256(frame).hexdigest())
                    status = await self._tried("POST", connection_id, frame, known)
                    if status == _GONE:
                        posted.gone.add(connection_id)
                        break
                    if status >= _DONE:
                        posted.failed.add(connection_id)
                        break
                    posted.sent += 1

        await asyncio.gather(*(work() for _ in range(min(AT_ONCE, len(frames)))))
        return posted

    async def _close_all(self, connection_ids: Sequence[str]) -> None:
        nothing = sha256(b"").hexdigest()
        await asyncio.gather(*(self._tried("DELETE", each, b"", nothing) for each in connection_ids))

    async def _tried(self, method: str, connection_id: str, body: bytes, body_hash: str) -> int:
        """Send one request, again while API Gateway is busy or silent; return the last status."""
        status = _SILENCE
        for attempt in range(TRIES):
            if pause := self._pace().wait() + (_PAUSE * 2**attempt if attempt else 0):
                await asyncio.sleep(pause)
            status = await self._once(method, connection_id, body, body_hash)
            if status == _FORBIDDEN:
                raise Misconfigured("this function may not post to connections")
            if status != _BUSY and status < _FAULT:
                break
        return status

    async def _once(self, method: str, connection_id: str, body: bytes, body_hash: str) -> int:
        path = f"{self._path}/%40connections/{quote(connection_id, safe='')}"
        headers = self._signer.headers(method, path, body_hash, self._credentials(), self._clock())
        try:
            async with self._client().request(
                method, URL(self._base + path, encoded=True), data=body or None, headers=headers
            ) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return _SILENCE

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=AT_ONCE, keepalive_timeout=60),
                timeout=aiohttp.ClientTimeout(total=PATIENCE),
                skip_auto_headers=("User-Agent", "Content-Type", "Accept-Encoding"),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _pace(self) -> Bucket:
        if self._bucket is None:
            self._bucket = Bucket(self._per_second, asyncio.get_running_loop().time)
        return self._bucket
