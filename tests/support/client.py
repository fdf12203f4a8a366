"""A black-box client: plain HTTP with httpx, and the table as an operator sees it."""

from dataclasses import dataclass
from typing import Any, Self

import httpx


@dataclass(frozen=True)
class Answer:
    """One HTTP answer: its status, headers and JSON (None without a body)."""

    response: httpx.Response

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def json(self) -> Any:
        return self.response.json() if self.response.content else None

    @property
    def headers(self) -> httpx.Headers:
        return self.response.headers

    @property
    def problem(self) -> str:
        """The slug of a problem; fails the test unless the answer is one."""
        assert self.headers["content-type"] == "application/problem+json", self.response.text
        assert self.json["status"] == self.status
        return self.json["type"].removeprefix("/problems/")

    def ok(self, status: int = 200) -> Any:
        """The JSON of an answer that must have this status."""
        assert self.status == status, f"{self.status}: {self.response.text}"
        return self.json


class Caller:
    """Somebody who calls the API: with a token, with headers, or with nothing."""

    def __init__(self, base: str, http: httpx.Client, token: str | None = None, **headers: str) -> None:
        self._base, self._http = base, http
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            self._headers["authorization"] = f"Bearer {token}"

    def having(self, token: str | None = None, **headers: str) -> Self:
        """The same endpoint for another caller."""
        return type(self)(self._base, self._http, token, **headers)

    def __call__(
        self, method: str, path: str, json: Any = None, *, content: bytes | None = None, **headers: str
    ) -> Answer:
        sent = self._headers | {name.replace("_", "-"): value for name, value in headers.items()}
        return Answer(
            self._http.request(method, self._base + path, json=json, content=content, headers=sent, timeout=60)
        )

    def get(self, path: str, **headers: str) -> Answer:
        return self("GET", path, **headers)

    def post(self, path: str, json: Any = None, **headers: str) -> Answer:
        return self("POST", path, json, **headers)

    def patch(self, path: str, json: Any, **headers: str) -> Answer:
        return self("PATCH", path, json, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self("DELETE", path, **headers)


@dataclass(frozen=True)
class Opened:
    """A session that a test created: its id, its holder, its tokens, the Set-Cookie header, the creation."""

    id: str
    holder: Caller
    tokens: dict[str, Any]
    cookie: str
    created: dict[str, Any]


def opened(caller: Caller, **body: Any) -> Opened:
    """Create a session and return it with a caller who holds its access token."""
    answer = caller.post("/sessions", body)
    created = answer.ok(201)
    tokens = created["tokens"]
    holder = caller.having(tokens["accessToken"])
    return Opened(
        created["session"]["id"], holder, tokens, answer.headers.get("set-cookie", ""), created["session"]
    )
