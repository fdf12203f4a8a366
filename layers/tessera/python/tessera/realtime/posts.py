"""Posts to connections, many at once: libcurl on pooled connections, signed with the day's key.

Each frame is tried three times; a post takes three seconds at most, so that a slow connection delays no other.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from typing import Any, cast
from urllib.parse import quote, urlsplit

import pycurl

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
_LEFT_OUT = ("Accept:", "Content-Type:", "Expect:", "User-Agent:")
"""Headers that libcurl sends by itself."""


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
    """Implements `Posts` on API Gateway's callback address, e.g. https://<api>.execute-api.<region>.amazonaws.com/v1.

    `ca_bundle` is the file with the certificates that are trusted, `patience` the seconds for one post.
    """

    def __init__(
        self,
        url: str,
        region: str,
        credentials: Callable[[], Credentials],
        clock: Clock,
        per_second: int,
        *,
        ca_bundle: str,
        patience: float = PATIENCE,
    ) -> None:
        parts = urlsplit(url)
        self._base, self._path = f"{parts.scheme}://{parts.netloc}", parts.path
        self._signer = Signer(parts.netloc, region)
        self._credentials, self._clock, self._per_second = credentials, clock, per_second
        self._ca_bundle, self._patience = ca_bundle, patience
        self._runner: asyncio.Runner | None = None
        self._idle: list[Any] = []

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
        if self._runner:
            self._run(self._multi.aclose())
            self._runner.close()

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

        await _at_once(work, len(frames))
        return posted

    async def _close_all(self, connection_ids: Sequence[str]) -> None:
        nothing, waiting = sha256(b"").hexdigest(), iter(connection_ids)

        async def work() -> None:
            for connection_id in waiting:
                await self._tried("DELETE", connection_id, b"", nothing)

        await _at_once(work, len(connection_ids))

    async def _tried(self, method: str, connection_id: str, body: bytes, body_hash: str) -> int:
        """Send one request, again while API Gateway is busy or silent; return the last status."""
        status = _SILENCE
        for attempt in range(TRIES):
            if pause := self._bucket.wait() + (_PAUSE * 2**attempt if attempt else 0):
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
        curl = self._idle.pop() if self._idle else self._new()
        curl.setopt(pycurl.CUSTOMREQUEST, method)
        curl.setopt(pycurl.URL, self._base + path)
        curl.setopt(pycurl.HTTPHEADER, [*(f"{name}: {value}" for name, value in headers.items()), *_LEFT_OUT])
        curl.setopt(pycurl.POSTFIELDS, body)
        try:
            await self._multi.perform(curl)
        except pycurl.error:
            return _SILENCE
        finally:
            self._idle.append(curl)
        return curl.getinfo(pycurl.RESPONSE_CODE)

    def _new(self) -> Any:
        """Make what sends one request after the other."""
        curl = pycurl.Curl()
        curl.setopt(pycurl.POST, True)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.TIMEOUT_MS, int(self._patience * 1_000))
        curl.setopt(pycurl.CAINFO, self._ca_bundle)
        curl.setopt(pycurl.PROXY, "")  # whatever the environment says
        curl.setopt(pycurl.NOSIGNAL, True)
        curl.setopt(pycurl.WRITEFUNCTION, len)  # what is answered beside the status interests nobody
        return curl

    @cached_property
    def _multi(self) -> Any:
        multi = cast("Any", pycurl).AsyncCurlMulti()  # newer than the types that pyright knows of it
        multi.setopt(pycurl.M_MAXCONNECTS, AT_ONCE)
        return multi

    @cached_property
    def _bucket(self) -> Bucket:
        return Bucket(self._per_second, time.monotonic)


async def _at_once(work: Callable[[], Coroutine[Any, Any, None]], count: int) -> None:
    """Have as many as may be at once work on so much; when all have ended, raise what one of them raised."""
    workers = (work() for _ in range(min(AT_ONCE, count)))
    for outcome in await asyncio.gather(*workers, return_exceptions=True):
        if outcome is not None:
            raise outcome
