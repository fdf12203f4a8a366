"""Signatures are those of the SDK's own signer."""

from datetime import UTC, datetime
from hashlib import sha256
from unittest.mock import patch

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tessera.realtime.signing import Signer
from tests.support.fakes import START

HOST, REGION = "f6g7h8i9j0.execute-api.eu-central-1.amazonaws.com", "eu-central-1"
PATH = "/v1/%40connections/KyA1bfTBliACEFQ%3D"
DAY = 86_400_000


@pytest.mark.parametrize("token", [None, "a/session+token="])
@pytest.mark.parametrize(("method", "body"), [("POST", '{"grüß": "dich"}'.encode()), ("DELETE", b"")])
def test_a_signature_is_that_of_botocore_today_and_tomorrow(method: str, body: bytes, token: str | None) -> None:
    signer = Signer(HOST, REGION)
    credentials = Credentials("AKID", "secret", token)
    for now in (START, START + 1_000, START + DAY):
        found = signer.headers(method, PATH, sha256(body).hexdigest(), credentials, now)
        assert found == _by_botocore(method, body, credentials, now)


def test_another_key_is_used_at_once() -> None:
    signer = Signer(HOST, REGION)
    for secret in ("one", "other"):
        credentials = Credentials("AKID", secret)
        found = signer.headers("POST", PATH, sha256(b"").hexdigest(), credentials, START)
        assert found == _by_botocore("POST", b"", credentials, START)


def _by_botocore(method: str, body: bytes, credentials: Credentials, now: int) -> dict[str, str]:
    request = AWSRequest(method, f"https://{HOST}{PATH}", data=body)
    moment = datetime.fromtimestamp(now / 1_000, UTC)
    with patch("botocore.auth.get_current_datetime", return_value=moment.replace(tzinfo=None)):
        SigV4Auth(credentials, "execute-api", REGION).add_auth(request)
    return dict(request.headers.items())
