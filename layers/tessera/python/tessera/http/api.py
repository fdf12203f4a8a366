"""An operation as a Lambda handler: Powertools' resolver inside, what all operations share around it.

app = Api("sessions.get", raises=(SessionNotFound, SessionExpired))

@app.get("/sessions/<sessionId>")
def get(session_id: SessionId, exchange: Exchange) -> Response[Session]: ...

handler = app
"""

import json
from collections.abc import Callable, Sequence
from functools import partial, wraps
from inspect import signature
from typing import Any, override

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.shared.json_encoder import Encoder

from tessera.container import Container
from tessera.errors import InternalError, NotFound, Problem
from tessera.http import body, problems
from tessera.http.exchange import Answer, Event, Exchange, Holder
from tessera.http.limits import requests
from tessera.settings import Settings
from tessera.stores.limits import Limit, RateLimiter
from tessera.wiring import Graph

_JSON = partial(json.dumps, separators=(",", ":"), ensure_ascii=False, cls=Encoder)
"""Answers are UTF-8: escaped, most languages would take three times the room."""

_EXCHANGE = "exchange"
"""The parameter that an operation is given."""


class Api(APIGatewayHttpResolver):
    """One operation, declared with Powertools' decorators.

    Args:
        operation: its name, `<context>.<operation>`.
        public: whether a caller without a token is let in.
        needs_keys: whether the function refuses to start without a key ring.
        limit: the rate limit that it counts to.
        max_bytes: how large a body may be.
        raises: the problems that it may answer with, beyond those that every operation has; for OpenAPI.
        holder: who presents a credential in the request itself; for Idempotency-Key.
        replays: whether an Idempotency-Key brings the first answer again; where it must not, it is not looked at.

    """

    def __init__(
        self,
        operation: str,
        *,
        public: bool = False,
        needs_keys: bool = False,
        limit: Callable[[Settings], Limit] = requests,
        max_bytes: int = body.MAX_BYTES,
        raises: Sequence[type[Problem]] = (),
        holder: Callable[[Exchange], Holder] = lambda _: Holder(),
        replays: bool = True,
    ) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - half typed there
            enable_validation=True, json_body_deserializer=body.parse, serializer=_JSON
        )
        self.operation, self.public, self.raises = operation, public, raises
        self._limit, self._max_bytes, self._holder = limit, max_bytes, holder
        self.replays = replays
        self._limiter: RateLimiter | None = None
        self._exchange: Exchange | None = None
        self.exception_handler(Problem)(_answered)
        self.exception_handler(RequestValidationError)(self._invalid)
        self.exception_handler(Exception)(self._failed)
        self.not_found(_unknown_route)  # pyright: ignore[reportUnknownMemberType] - untyped there
        self.container = Container(needs_keys=needs_keys)

    @override
    def route(self, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        """Register an operation. What it has as `exchange` is the request in full, with what its caller may reach.

        It is given here and not by Powertools' Depends, which reads the type hints anew for every request.
        """
        register: Callable[[Any], Any] = super().route(*args, **kwargs)

        def registered[**P, T](operation: Callable[P, T]) -> Callable[P, T]:
            register(self._given(operation))
            return operation

        return registered

    def _given(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        """Return the operation as the resolver is to see it, which fills in the other parameters alone."""
        asked = signature(operation)
        if _EXCHANGE not in asked.parameters:
            return operation

        @wraps(operation)
        def given(**arguments: Any) -> Any:
            return operation(exchange=self._exchange, **arguments)

        others = [parameter for name, parameter in asked.parameters.items() if name != _EXCHANGE]
        given.__dict__["__signature__"] = asked.replace(parameters=others)
        given.__annotations__ = {name: of for name, of in operation.__annotations__.items() if name != _EXCHANGE}
        return given

    def __call__(self, event: Event, context: Any) -> Answer:
        """Answer an HTTP event (payload 2.0)."""
        graph = self.container.graph()
        exchange = Exchange(graph, self.operation, event, context, self._holder, replays=self.replays)
        limiter = self._limiter or self._new_limiter(graph)
        return exchange.run(self._respond, public=self.public, limiter=limiter, max_bytes=self._max_bytes)

    def _respond(self, exchange: Exchange) -> Answer:
        self._exchange = exchange
        return self.resolve(exchange.event, exchange.context)

    def _new_limiter(self, graph: Graph) -> RateLimiter:
        self._limiter = RateLimiter(self._limit(graph.settings), graph.counters, graph.clock)
        return self._limiter

    def _invalid(self, error: RequestValidationError) -> Response[str]:
        sent = self.current_event.body
        return _answered(problems.of_validation(error.errors(), body.parse(sent) if sent else None))

    def _failed(self, error: Exception) -> Response[str]:
        """Whatever nobody foresaw: the log gets the trace, the caller a 500 that says nothing."""
        log = self.container.graph().telemetry.log
        log.error("unforeseen", operation=self.operation, exc_info=error)
        return _answered(InternalError())


def _answered(problem: Problem) -> Response[str]:
    answer = problems.answer(problem)
    return Response(answer["statusCode"], problems.CONTENT_TYPE, answer["body"], answer["headers"])


def _unknown_route(_: Exception) -> Response[str]:
    return _answered(NotFound())
