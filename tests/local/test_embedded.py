"""The embedded AWS: Athena reads tables as Glue describes them, and remembers; sockets know deployments."""

import gzip
import io
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from websockets.sync.client import connect

from local import ports
from local.engine import CREDENTIALS, REGION, Engine

LINE = b'{"at_ms": 1795168800000, "cart": null, "details": "{\\"a\\": 1}"}\n'
COLUMNS = {"at_ms": "bigint", "cart": "string", "details": "string", "later": "string"}
TABLE = {
    "Name": "facts",
    "PartitionKeys": [{"Name": "day", "Type": "string"}],
    "Parameters": {"classification": "json"},
    "StorageDescriptor": {
        "Location": "s3://lake/facts/",
        "Columns": [{"Name": name, "Type": kind} for name, kind in COLUMNS.items()],
    },
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path, ports.free())
    engine.start()
    _client(engine, "s3").create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": REGION})
    _client(engine, "glue").create_database(DatabaseInput={"Name": "lake"})
    _client(engine, "glue").create_table(DatabaseName="lake", TableInput=TABLE)
    results = {"ResultConfiguration": {"OutputLocation": "s3://lake/athena/"}}
    _client(engine, "athena").create_work_group(Name="ours", Configuration=results)
    yield engine
    engine.stop()


def test_columns_have_their_types_also_when_they_are_empty_or_missing(engine: Engine) -> None:
    for key, body in (("plain", LINE), ("packed.gz", gzip.compress(LINE))):
        _client(engine, "s3").put_object(Bucket="lake", Key=f"facts/day=2026-11-20/{key}", Body=body)
    found = _asked(
        engine, "SELECT coalesce(cart, 'none'), later, details, at_ms, day FROM facts WHERE day > '2026'"
    )
    assert found == [["none", None, '{"a": 1}', "1795168800000", "2026-11-20"]] * 2


def test_a_table_without_files_is_empty(engine: Engine) -> None:
    assert _asked(engine, "SELECT count(*) FROM facts") == [["0"]]


def test_workgroups_survive_a_restart_after_a_result_with_times(engine: Engine) -> None:
    assert _asked(engine, "SELECT TIMESTAMP '2026-11-20 10:00:00', DATE '2026-11-20'") == [
        ["2026-11-20 10:00:00", "2026-11-20"]
    ]
    engine.stop()
    engine.start()
    assert _asked(engine, "SELECT 1") == [["1"]]


def test_a_socket_is_answered_by_the_version_that_its_function_has_now(engine: Engine) -> None:
    """Also one that was open before the deployment."""
    functions, apis = _client(engine, "lambda"), _client(engine, "apigatewayv2")
    functions.create_function(
        FunctionName="answer",
        Runtime="python3.13",
        Role="arn:aws:iam::000000000000:role/none",
        Handler="answer.handler",
        Code={"ZipFile": _saying("old")},
        Publish=True,
    )
    alias = functions.create_alias(FunctionName="answer", Name="live", FunctionVersion="1")["AliasArn"]
    api = apis.create_api(Name="sockets", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.type")
    invoke = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{alias}/invocations"
    place = {"ApiId": api["ApiId"]}
    found = apis.create_integration(**place, IntegrationType="AWS_PROXY", IntegrationUri=invoke)
    apis.create_route(**place, RouteKey="$default", Target=f"integrations/{found['IntegrationId']}")
    apis.create_stage(**place, StageName="v1")
    address = f"{engine.url.replace('http', 'ws', 1)}/_aws/execute-api/{api['ApiId']}/v1"
    with connect(address, open_timeout=60) as socket:
        socket.send("{}")
        assert socket.recv(timeout=60) == "old"
        functions.update_function_code(FunctionName="answer", ZipFile=_saying("new"), Publish=True)
        functions.update_alias(FunctionName="answer", Name="live", FunctionVersion="2")
        socket.send("{}")
        assert socket.recv(timeout=60) == "new"


def _saying(text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(
            "answer.py", f"def handler(event, context): return {{'statusCode': 200, 'body': {text!r}}}"
        )
    return packed.getvalue()


def _asked(engine: Engine, sql: str) -> list[list[str | None]]:
    """Run a query; return the rows of its result."""
    athena = _client(engine, "athena")
    started = athena.start_query_execution(
        QueryString=sql, WorkGroup="ours", QueryExecutionContext={"Database": "lake"}
    )
    execution = {"QueryExecutionId": started["QueryExecutionId"]}
    while (status := athena.get_query_execution(**execution)["QueryExecution"]["Status"])["State"] in (
        "QUEUED",
        "RUNNING",
    ):
        time.sleep(0.02)
    assert status["State"] == "SUCCEEDED", status
    rows = athena.get_query_results(**execution)["ResultSet"]["Rows"][1:]
    return [[cell.get("VarCharValue") for cell in row["Data"]] for row in rows]


def _client(engine: Engine, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=engine.url,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
