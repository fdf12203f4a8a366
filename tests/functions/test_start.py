"""How a function starts: importing it does nothing, and without settings or keys it refuses to go on."""

import json
import subprocess
import sys
from typing import Any

import pytest

from local.paths import FUNCTIONS, OUR_LAYER, ROOT
from tessera.errors import Misconfigured, Unavailable
from tessera.settings import Settings
from tests.functions.service import ENVIRONMENT, Service
from tests.support.fakes import FakeClock, FakeSecret

NEED_KEYS = [
    "sessions/create",
    "sessions/login",
    "tokens/authorize",
    "tokens/refresh",
    "tokens/keys",
    "flows/checkout",
    "flows/upsell",
]
ALL = sorted(f"{file.parent.name}/{file.stem}" for file in FUNCTIONS.glob("*/*.py"))


@pytest.mark.parametrize("name", NEED_KEYS)
@pytest.mark.parametrize(
    "secret",
    ["{}", "", "no JSON", "[]", "null", '{"signing": [], "roots": []}', '{"signing": [{}], "roots": [{}]}'],
)
def test_without_keys_a_function_refuses_to_start(output: object, name: str, secret: str) -> None:  # noqa: ARG001
    service = Service(FakeClock(), _Secret(secret))
    with pytest.raises(Misconfigured, match="key"):
        service.handler(name)


@pytest.mark.parametrize("name", NEED_KEYS)
def test_a_secret_that_cannot_be_read_stops_the_start_too(output: object, name: str) -> None:  # noqa: ARG001
    with pytest.raises(Unavailable):
        Service(FakeClock(), _Secret(None)).handler(name)


@pytest.mark.parametrize("name", [name for name in ALL if name not in NEED_KEYS])
def test_what_needs_no_keys_reads_no_secret(output: object, name: str) -> None:  # noqa: ARG001
    """Least privilege: their policies grant it to those alone that need it."""
    Service(FakeClock(), _Secret(None)).handler(name)


@pytest.mark.parametrize(
    "missing",
    ["TABLE_NAME", "KEYS_SECRET", "ARCHIVE_BUCKET", "ANALYTICS_BUCKET", "ISSUER", "AUDIENCE", "LOG_SALT"],
)
def test_a_missing_setting_is_named(missing: str) -> None:
    environment = {name: value for name, value in ENVIRONMENT.items() if name != missing}
    with pytest.raises(Misconfigured, match=missing):
        Settings.of(environment)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RATE_LIMITS", "sometimes"),
        ("CREATIONS_PER_MINUTE", "0"),
        ("KINDS", "no JSON: hunter2"),
        ("CLEANUP_SHARDS", "101"),
        ("TABLE_NAME", ""),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_not_told(name: str, value: str) -> None:
    with pytest.raises(Misconfigured, match=name) as refused:
        Settings.of({**ENVIRONMENT, name: value})
    assert "hunter2" not in str(refused.value)


def test_importing_a_handler_reads_no_environment_and_makes_no_client() -> None:
    """In a process of its own: there is no environment, and what reads of it is written down."""
    found = _import_all("")
    assert found["read"] == []
    assert found["clients"] == []


def test_importing_a_handler_of_ours_on_lambda_wires_it_at_once() -> None:
    """INIT is where CPU is not throttled and SnapStart takes its picture: so a bad setting ends it there."""
    with pytest.raises(subprocess.CalledProcessError) as ended:
        _import_all("sys.modules['awslambdaric'] = sys")
    assert "Misconfigured: missing or wrong in the environment: TABLE_NAME" in ended.value.stderr


_PROGRAM = """
import json, os, sys
class Recorder(dict):
    read = set()
    def __getitem__(self, name):
        self.read.add(name)
        return super().__getitem__(name)
    def get(self, name, default=None):
        self.read.add(name)
        return super().get(name, default)
os.environ = Recorder(os.environ)
{before}
from pathlib import Path
from local.openapi.handlers import load
for file in sorted(Path({functions!r}).glob("*/*.py")):
    load(file)
ours = set({settings!r}) & Recorder.read
clients = {{"boto3", "botocore.session", "botocore.client"}} & {{*sys.modules}}
print(json.dumps({{"read": sorted(ours), "clients": sorted(clients)}}))
"""


def _import_all(before: str) -> dict[str, Any]:
    settings = [name.upper() for name in Settings.model_fields]
    program = _PROGRAM.format(before=before, functions=str(FUNCTIONS), settings=settings)
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": f"{OUR_LAYER}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(ran.stdout)


class _Secret(FakeSecret):
    """A secret with any text in it, or none that could be read."""

    def __init__(self, text: str | None) -> None:
        super().__init__()
        self._text = text

    def fetch(self, fresh: bool) -> str:  # noqa: ARG002 - the Graph's signature
        if self._text is None:
            raise Unavailable
        return self._text
