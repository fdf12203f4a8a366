"""boto3 clients of the embedded AWS, or of the real one."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from local.engine import CREDENTIALS, REGION

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

_CONFIG = Config(retries={"total_max_attempts": 2}, s3={"addressing_style": "path"}, max_pool_connections=50)


class Clients:
    """One client per service, each made at its first use.

    `endpoint` is the embedded AWS; None is the real one, with the user's own credentials and region.
    """

    def __init__(self, endpoint: str | None) -> None:
        self.endpoint = endpoint
        self._session = boto3.Session() if endpoint is None else _local_session()

    def _client(self, service: str) -> Any:
        # The stubs overload client() over every service of AWS; those not installed make it partly unknown.
        make: Any = self._session.client  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return make(service, endpoint_url=self.endpoint, config=_CONFIG)

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        """CloudFormation."""
        return self._client("cloudformation")

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """DynamoDB."""
        return self._client("dynamodb")

    @cached_property
    def functions(self) -> "LambdaClient":
        """Lambda."""
        return self._client("lambda")

    @cached_property
    def logs(self) -> "CloudWatchLogsClient":
        """CloudWatch Logs."""
        return self._client("logs")

    @cached_property
    def s3(self) -> "S3Client":
        """S3."""
        return self._client("s3")

    @cached_property
    def secretsmanager(self) -> "SecretsManagerClient":
        """Secrets Manager."""
        return self._client("secretsmanager")


def _local_session() -> boto3.Session:
    return boto3.Session(
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=REGION,
    )
