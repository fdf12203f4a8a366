"""The service behind the client: its own handlers, called in this process."""

import json
import re
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest

from local.paths import EVENTS
from tessera.stores.dynamodb import DynamoTable
from tessera.stores.tiers import Tiers
from tessera_client import AsyncTessera, Tessera
from tests.client.fakes import BASE, Faulty
from tests.functions.service import Service, sample
from tests.support.fakes import FakeClock
from tests.support.tables import new_table

AUTHORIZER = "tokens/authorize"
_PREFIX = httpx.URL(BASE).path


class Handlers:
    """Answers requests as API Gateway and the handlers of a service do."""

    def __init__(self, service: Service) -> None:
        self.service = service
        names = [str(file.relative_to(EVENTS).with_suffix("")) for file in EVENTS.glob("*/*.json")]
        routes = {name: sample(name).get("routeKey") for name in names}
        self._routes = [(_matcher(route), name) for name, route in routes.items() if route and name != AUTHORIZER]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = f"{request.method} {request.url.path.removeprefix(_PREFIX)}"
        for route, name in self._routes:
            if (found := route.fullmatch(asked)) is not None:
                return self._answer(request, name, found.groupdict())
        raise AssertionError(f"no function for {asked}")

    def _answer(self, request: httpx.Request, name: str, parameters: dict[str, str]) -> httpx.Response:
        headers = {
            key: value for key, value in request.headers.items() if key in ("content-type", "idempotency-key")
        }
        _, _, token = request.headers.get("authorization", "").partition(" ")
        event: dict[str, Any] = {}
        if parameters and "sessionId" not in parameters:
            event = {"pathParameters": parameters, "rawPath": request.url.path.removeprefix(_PREFIX)}
        answer = self.service.call(
            name,
            parameters.get("sessionId"),
            token=token or None,
            body=json.loads(request.content) if request.content else None,
            query=dict(request.url.params),
            headers=headers,
            **event,
        )
        return httpx.Response(answer.status, headers=dict(answer.headers), text=answer.text)


def _matcher(route: str) -> re.Pattern[str]:
    """Return what matches `GET /sessions/{sessionId}` and names its parts."""
    return re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", route))


@pytest.fixture(scope="session")
def service(dynoxide: str) -> Iterator[Service]:
    """One service for all tests, on a real table: each test makes sessions of its own."""
    client = boto3.client(
        "dynamodb",
        endpoint_url=dynoxide,
        region_name="eu-central-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    with pytest.MonkeyPatch.context() as patch, new_table(client) as name:
        patch.setenv("POWERTOOLS_SERVICE_NAME", "tessera-test")
        patch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Tessera")
        table = DynamoTable(client, name, Tiers())
        yield Service(FakeClock(), table=table, client=client, environment={"TABLE_NAME": name})


@pytest.fixture
def way(service: Service) -> Faulty:
    """The way to the service; what a test puts into `faults` happens to the next requests."""
    return Faulty(Handlers(service))


@pytest.fixture
def tessera(way: Faulty) -> Tessera:
    """The owner of a new chat session."""
    return Tessera.create_session(BASE, transport=httpx.MockTransport(way), sleep=lambda _: None)


@pytest.fixture
def aio(tessera: Tessera, way: Faulty) -> AsyncTessera:
    """The same for asyncio."""
    return AsyncTessera.sharing(tessera, httpx.MockTransport(way))
