"""Bitrix24 by an inbound webhook of its REST API: an address with a user and a key, https://<domain>/rest/1/<key>.

Every call ends in one of four ways, and who calls decides by which: an answer; Refused, Throttled or Unavailable,
after which it is certain that nothing was done; Unanswered, after which it is not. The address is a secret: it
is in no error, and http.client writes no log.
"""

import json
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from tessera.errors import Misconfigured, Refused, Throttled, Unanswered, Unavailable

ORIGINATOR = "tessera"
"""With the id of the session it marks a deal as the one of its order: ORIGINATOR_ID and ORIGIN_ID."""

PER_SECOND, BURST = 2, 50
"""What a portal takes: it counts calls, 50 at most, and forgets two of them a second."""

TIMEOUT = 10.0
"""Seconds for each step of a call: connecting, sending, each piece of the answer."""

_MAX_BYTES = 1_000_000
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_CODE = re.compile(r"[A-Za-z0-9_]{1,64}")
_NUMBER = re.compile(r"[0-9]{1,20}")


def webhook_in(secret: str) -> str | None:
    """Return the address in a secret of the form {"webhook": "https://…"}; None in one that has none."""
    address = _json(secret.encode()).get("webhook")
    return address if isinstance(address, str) else None


class Bitrix24:
    """The portal behind a webhook. `webhook(fresh)` gives its address; None while there is none."""

    def __init__(self, webhook: Callable[[bool], str | None], timeout: float = TIMEOUT) -> None:
        self._webhook, self._timeout = webhook, timeout

    def ready(self) -> bool:
        """Whether there is a webhook."""
        return self._address() is not None

    def add_deal(self, fields: Mapping[str, Any]) -> str:
        """Make a deal and return its id."""
        return _id(self._call("crm.deal.add", {"fields": fields}))

    def find_deal(self, origin: str) -> str | None:
        """Return the id of the deal that is marked so, the oldest if there should be several; None for none."""
        marked = {"=ORIGINATOR_ID": ORIGINATOR, "=ORIGIN_ID": origin}
        asked = {"filter": marked, "select": ["ID", "ORIGIN_ID"], "order": {"ID": "ASC"}, "start": -1}
        found = self._call("crm.deal.list", asked)
        try:
            others = [deal for deal in found if deal["ORIGIN_ID"] != origin]
            if others:
                raise Unanswered  # the filter was not understood, so it is not known either what there is
            return _id(found[0]["ID"]) if found else None
        except (KeyError, TypeError):
            raise Unanswered from None

    def _address(self) -> str | None:
        """A webhook that was put in a moment ago is not in what a container remembers."""
        return self._webhook(False) or self._webhook(True)

    def _call(self, method: str, parameters: Mapping[str, Any]) -> Any:
        address = self._address()
        if address is None:
            raise Unavailable("There is no webhook")
        status, body = self._sent(address, method, json.dumps(parameters).encode())
        try:
            return _result(status, body)
        except Refused:
            if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
                self._webhook(True)  # perhaps there is another one by now: the next call has it
            raise

    def _sent(self, address: str, method: str, body: bytes) -> tuple[int, bytes]:
        connection, path = opened(address, self._timeout)
        headers = {"content-type": "application/json", "accept": "application/json"}
        try:
            try:
                connection.connect()
            except OSError:
                raise Unavailable("Bitrix24 cannot be reached") from None  # the error may name the address
            try:
                connection.request("POST", f"{path}/{method}.json", body, headers)
                answer = connection.getresponse()
                return answer.status, answer.read(_MAX_BYTES)
            except (OSError, HTTPException):
                raise Unanswered from None  # same
        finally:
            connection.close()


def opened(address: str, timeout: float) -> tuple[HTTPConnection, str]:
    """Return a connection that is still to be made, and the path of a webhook. Without TLS only on this machine.

    Raises:
        Misconfigured: it is no such address.

    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if parts.scheme == "https" and host:
        return HTTPSConnection(host, port, timeout=timeout), parts.path.rstrip("/")
    if parts.scheme == "http" and host in _LOOPBACK:
        return HTTPConnection(host, port, timeout=timeout), parts.path.rstrip("/")
    raise Misconfigured("the webhook is no address of the form https://<domain>/rest/<user>/<key>")


def _result(status: int, body: bytes) -> Any:
    """Return the `result` of an answer, or raise what it means.

    503 is a limit only with its name: a gateway that has lost its patience says 503 of a deal that was made.
    What is refused by a 4xx or sent elsewhere by a 3xx has done nothing, whatever else the answer says.
    """
    answer = _json(body)
    code = answer.get("error")
    if status == HTTPStatus.TOO_MANY_REQUESTS or code == "QUERY_LIMIT_EXCEEDED":
        raise Throttled
    refused = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    if (refused and status != HTTPStatus.REQUEST_TIMEOUT) or (status == HTTPStatus.OK and code is not None):
        raise Refused(code if isinstance(code, str) and _CODE.fullmatch(code) else f"HTTP_{status}")
    if status != HTTPStatus.OK or "result" not in answer:
        raise Unanswered
    return answer["result"]


def _json(body: bytes) -> dict[str, Any]:
    try:
        answer: Any = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}  # pyright: ignore[reportUnknownVariableType] - JSON


def _id(value: object) -> str:
    """Return an id as text; Bitrix24 writes it as a number here and as a text there."""
    text = str(value)
    if isinstance(value, bool) or not _NUMBER.fullmatch(text):
        raise Unanswered
    return text
