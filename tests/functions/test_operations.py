"""What operators and other services read: health, metrics, the public keys, the document."""

import json

import jwt
import pytest
from jwt import PyJWKSet

from local.paths import ROOT
from tessera.errors import Unavailable
from tessera.stores.memory import MemoryTable
from tessera.tokens.keyring import rotated
from tests.functions.service import Context, Service
from tests.support.fakes import FailingStore, FakeClock


def test_a_new_system_is_healthy(service: Service) -> None:
    answer = service.call("operations/health")
    assert (answer.status, answer.json) == (
        200,
        {
            "status": "ok",
            "checks": {
                "table": {"status": "ok"},
                "keys": {"status": "ok"},
                "cleanup": {"status": "ok", "ageSeconds": None},
            },
        },
    )


@pytest.mark.parametrize(("minutes", "status"), [(5, 200), (20, 200), (21, 503)])
def test_a_clean_up_that_has_stopped_is_unhealthy(
    service: Service, clock: FakeClock, minutes: int, status: int
) -> None:
    service.handler("lifecycle/cleanup")({}, Context(300_000))
    clock.forward(minutes * 60)
    answer = service.call("operations/health")
    assert answer.status == status
    assert answer.json["checks"]["cleanup"] == {
        "status": "ok" if status == 200 else "overdue",
        "ageSeconds": minutes * 60,
    }


def test_a_table_that_does_not_answer_is_unhealthy(service: Service, clock: FakeClock) -> None:
    table = FailingStore(MemoryTable())
    table.down = True
    answer = Service(clock, service.secret, table).call("operations/health")
    assert answer.problem == (503, "unhealthy")
    assert answer.headers["Retry-After"] == "30"
    assert answer.json["checks"]["table"] == {"status": "failing", "reason": "Unavailable"}
    assert answer.json["checks"]["keys"] == {"status": "ok"}


@pytest.mark.parametrize(("secret", "reason"), [("{}", "Misconfigured"), (None, "Unavailable")])
def test_keys_that_cannot_be_read_are_unhealthy(service: Service, secret: str | None, reason: str) -> None:
    def fetch(_: bool) -> str:
        if secret is None:
            raise Unavailable
        return secret

    service.graph.fetch_keys = fetch
    answer = service.call("operations/health")
    assert answer.problem == (503, "unhealthy")
    assert answer.json["checks"]["keys"] == {"status": "failing", "reason": reason}


def test_health_looks_past_the_cache_of_the_keys(service: Service) -> None:
    """Otherwise it would be well for minutes after the secret had gone."""
    service.call("operations/health")
    assert service.secret.looks == 1


@pytest.mark.parametrize("scope", ["sessions:read", "sessions:write", "system:write"])
def test_metrics_are_for_admins(service: Service, scope: str) -> None:
    answer = service.call("operations/metrics", token=service.service_token(scope))
    assert answer.problem == (403, "scope-missing")
    assert answer.json["scope"] == "admin"


def test_others_verify_our_tokens_with_the_public_keys(service: Service, clock: FakeClock) -> None:
    owner = service.create()
    keys = PyJWKSet.from_json(service.call("tokens/keys").text)
    kid = jwt.get_unverified_header(owner.token)["kid"]
    claims = jwt.decode(
        owner.token,
        keys[kid],
        algorithms=["ES256"],
        audience="tessera",
        issuer="tessera-test",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims["sub"] == owner.id
    assert claims["exp"] - claims["iat"] == 900
    assert claims["iat"] == clock() // 1_000


def test_the_public_keys_hold_nothing_private_and_may_be_cached(service: Service, clock: FakeClock) -> None:
    service.secret.ring = rotated(service.secret.ring, clock())
    service.secret.fetch(True)
    answer = service.call("tokens/keys")
    assert answer.headers["Cache-Control"] == "public, max-age=3300"
    assert [sorted(key) for key in answer.json["keys"]] == [["alg", "crv", "kid", "kty", "use", "x", "y"]] * 2
    assert {key["use"] for key in answer.json["keys"]} == {"sig"}


def test_the_document_is_served_as_it_is_in_the_repository(service: Service) -> None:
    answer = service.call("operations/openapi")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == json.loads((ROOT / "docs" / "openapi.json").read_text())
