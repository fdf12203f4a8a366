"""One request and its answer: what happens around every operation.

In this order: who calls (deny by default), cookie and Origin, rate limit, body, Idempotency-Key; then the
operation; then the headers that every answer has, one line of log, the metrics.
"""

import re
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, NamedTuple
from urllib.parse import quote

from tessera.errors import InternalError, Problem, Unavailable
from tessera.http import body, limits, origins, problems
from tessera.http.access import Access, check_if_match, check_if_none_match
from tessera.model.caller import ME, Caller
from tessera.model.ids import is_session_id
from tessera.stores.keys import partition
from tessera.stores.limits import RateLimiter
from tessera.stores.receipts import Receipt
from tessera.telemetry import ERRORS, REQUESTS
from tessera.wiring import Graph

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:/=+-]{1,128}")
_FIRST_ERROR = 400

type Event = dict[str, Any]
type Answer = dict[str, Any]


class Holder(NamedTuple):
    """Whom a public operation knows by the request itself: a session, and the credential that proves it."""

    session_id: str = ""
    credential: str = ""


class Exchange:
    """One request on its way through. `event` is normalised: lower-case headers, no path prefix, text body."""

    def __init__(
        self,
        graph: Graph,
        operation: str,
        event: Event,
        context: Any,
        holder: "Callable[[Exchange], Holder]" = lambda _: Holder(),
        *,
        replays: bool = True,
    ) -> None:
        self.graph, self.operation, self.context, self._holder = graph, operation, context, holder
        self._replays = replays
        sent: dict[str, str] = event.get("headers") or {}
        self.headers = {name.lower(): value for name, value in sent.items()}
        parameters: dict[str, str] = event.get("pathParameters") or {}
        self.named_session = parameters.get("sessionId", "")
        prefix = graph.settings.path_prefix.strip("/")
        self.prefix = f"/{prefix}" if prefix else ""
        self.event = _normalised(event, self.headers, self.prefix)
        request: dict[str, Any] = event["requestContext"]
        self.method: str = request["http"]["method"]
        self.address: str = request["http"].get("sourceIp", "")
        authorizer: dict[str, Any] = request.get("authorizer") or {}
        self.caller = Caller.of(authorizer.get("lambda") or {})
        self.correlation_id = self._correlation_id(str(request.get("requestId", "")))
        self.reply_headers: dict[str, str] = {}
        self._began = perf_counter()

    @property
    def access(self) -> Access:
        """What the caller may reach."""
        return Access(self.caller, self.graph.sessions, self.graph.clock, self.headers.get("if-match"))

    def check_version(self, version: int | None) -> None:
        """Raise PreconditionFailed where If-Match or If-None-Match asks for another one; None is of nothing."""
        check_if_match(self.headers.get("if-match"), version)
        check_if_none_match(self.headers.get("if-none-match"), version)

    def run(
        self, respond: "Callable[[Exchange], Answer]", *, public: bool, limiter: RateLimiter, max_bytes: int
    ) -> Answer:
        """Return the answer, whatever happens."""
        self.graph.tiers.reset()
        try:
            with self.graph.telemetry.traced(self.operation):
                answer = self._guarded(respond, public=public, limiter=limiter, max_bytes=max_bytes)
        except Problem as problem:
            answer = problems.answer(problem)
        except Exception:  # the last resort: nothing of ours may leave as a bare gateway error
            self.graph.telemetry.log.exception("unforeseen", operation=self.operation)
            answer = problems.answer(InternalError())
        return self._finished(answer)

    def _guarded(
        self, respond: "Callable[[Exchange], Answer]", *, public: bool, limiter: RateLimiter, max_bytes: int
    ) -> Answer:
        settings = self.graph.settings
        self.caller = self.caller.anonymous() if public else self.caller.known()
        if self.caller.by_cookie:
            origins.check_cookie_use(self.method, self.headers, settings.allowed_origins)
        if settings.rate_limits == "on" and (who := self._counted_as(limiter)):
            limit = limiter.limit
            self.reply_headers |= limits.headers(limit.name, limit.per_minute, limiter.check(who))
        self.event["body"] = body.read(self.event, self.headers.get("content-type", ""), max_bytes)
        self.event["isBase64Encoded"] = False
        key = self.headers.get("idempotency-key") if self.method == "POST" and self._replays else None
        return respond(self) if key is None else self._once(key, respond)

    def _counted_as(self, limiter: RateLimiter) -> str:
        """Return whose limit this request counts to; services have none of ours."""
        if self.caller.is_service:
            return ""
        if self.caller.session_id:  # with the epoch: a revoked token spends no one else's allowance
            return f"{self.caller.session_id}#{self.caller.epoch}"
        if not limiter.limit.by_address:
            return ""
        from tessera.http import idempotency  # noqa: PLC0415 - only for those who have no session yet

        return idempotency.fingerprint(self.graph, "address", self.address)

    def _once(self, key: str, respond: "Callable[[Exchange], Answer]") -> Answer:
        from tessera.http import idempotency  # noqa: PLC0415 - only who sends a key pays for it

        idempotency.check_key(key)
        if self.caller.session_id:  # a replay opens nothing to a token that the session has left behind
            self.access.find(ME).live(self.graph.clock())
        holder = self._holder(self)
        who = self.caller.name or holder.credential or self.address
        print_ = idempotency.fingerprint(self.graph, who, self.method, self.event["rawPath"], key)
        self.new_session_id = idempotency.derived_session_id(print_)
        body = self.event["body"] or ""
        self.request_id = idempotency.fingerprint(self.graph, print_, body)
        self.receipt = Receipt(self.graph.table, self.graph.clock, print_, self.request_id)
        answer = idempotency.replayed(
            self.graph,
            lambda: respond(self),
            partition=self._partition(holder),
            print_=print_,
            body=body,
            recovers=not (self.named_session or self.caller.session_id or holder.session_id),  # a creation
            context=self.context,
        )
        if self.receipt.found:
            self.reply_headers["Idempotency-Replayed"] = "true"
        return answer

    new_session_id: str | None = None
    """The id that a creation with an Idempotency-Key has at each repetition."""

    request_id: str | None = None
    """What tells a request with an Idempotency-Key from all others: by caller, path, key and body."""

    receipt: Receipt | None = None
    """What an operation leaves under an Idempotency-Key where nothing else makes it harmless to repeat."""

    def _partition(self, holder: Holder) -> str:
        """Return where the record of an answer lies: with the session that it concerns."""
        if self.caller.is_service and self.named_session:
            return partition(self.graph.sessions.resolve(self.named_session))
        owner = self.caller.session_id or holder.session_id or self.new_session_id or ""
        return partition(owner) if is_session_id(owner) else f"IDEMPOTENCY#{owner}"

    def _finished(self, answer: Answer) -> Answer:
        tiers, telemetry = self.graph.tiers, self.graph.telemetry
        allowed = self.graph.settings.allowed_origins
        headers = {
            "Cache-Control": "no-store",
            **answer["headers"],
            **self.reply_headers,
            **origins.cors_headers(self.headers.get("origin"), allowed),
            "X-Correlation-Id": self.correlation_id,
        }
        if tiers.spent:
            headers["Server-Timing"] = tiers.server_timing()
        status = answer["statusCode"]
        telemetry.count(REQUESTS, labels=f'operation="{self.operation}",status="{status}"')
        if status >= _FIRST_ERROR:
            telemetry.count(ERRORS, labels=f'operation="{self.operation}",status="{status}"')
        telemetry.observe(tiers)
        self._log(status)
        telemetry.flush(to_table=status != Unavailable.status and not tiers.degraded)
        return {**answer, "headers": headers, "body": answer["body"] or ""}

    def _log(self, status: int) -> None:
        telemetry, named = self.graph.telemetry, self.named_session
        named = self.caller.session_id if named == ME else named
        telemetry.log.info(
            "request",
            operation=self.operation,
            status=status,
            milliseconds=round((perf_counter() - self._began) * 1_000, 1),
            tiers=self.graph.tiers.server_timing(),
            degraded=self.graph.tiers.degraded,
            caller=telemetry.pseudonym(self.caller.name) if self.caller.name else None,
            session=telemetry.pseudonym(named) if named else None,
            correlation_id=self.correlation_id,
        )

    def _correlation_id(self, request_id: str) -> str:
        offered = self.headers.get("x-correlation-id", "")
        return offered if _CORRELATION_ID.fullmatch(offered) else request_id


def _normalised(event: Event, headers: Mapping[str, str], prefix: str) -> Event:
    raw_path = _path(event)
    if prefix and raw_path.startswith(f"{prefix}/"):
        raw_path = raw_path.removeprefix(prefix)
    # The media type is judged in `body.read`; the resolver knows one only, also where there is no body.
    return {**event, "headers": {**headers, "content-type": "application/json"}, "rawPath": raw_path}


def _path(event: Event) -> str:
    """Return the path with its parameters encoded, also where the gateway has decoded them.

    As they are, a `#` or a quotation mark would match no route of the resolver's, and nobody could tell an encoded
    percent sign from one that encodes. `parameters.decoded` undoes it.
    """
    path: str = event["rawPath"]
    parameters: dict[str, str] = event.get("pathParameters") or {}
    values = set(parameters.values())
    return "/".join(quote(part, safe="") if part in values else part for part in path.split("/"))
