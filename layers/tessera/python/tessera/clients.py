"""The clients of AWS that a container has, each made when it is first needed."""

from functools import cached_property
from typing import Any, Literal

from tessera.errors import Unavailable
from tessera.stores.bucket import Bucket
from tessera.stores.guard import Guard
from tessera.stores.tiers import Tiers

type Service = Literal["athena", "dynamodb", "events", "firehose", "s3", "secretsmanager", "sqs"]

KEYS_MAX_AGE = 300
"""Seconds for which a container trusts the key ring that it has."""


class Buckets:
    """The buckets of a container behind one client, which is made when the first of them is opened."""

    def __init__(self, tiers: Tiers, timeout: float, guard: Guard) -> None:
        self._tiers, self._timeout, self._guard = tiers, timeout, guard

    @cached_property
    def _client(self) -> Any:
        return client_of("s3", self._timeout)

    def bucket(self, name: str) -> Bucket:
        """Open a bucket; whether it is there shows at its first use."""
        from tessera.stores.s3 import S3Bucket  # noqa: PLC0415 - only functions with buckets pay for it

        return S3Bucket(self._client, name, self._tiers, self._guard)


class Secret:
    """A secret behind Powertools' cache; the client is made at the first look."""

    def __init__(self, name: str, timeout: float) -> None:
        self._name, self._timeout = name, timeout

    @cached_property
    def _provider(self) -> Any:
        from aws_lambda_powertools.utilities.parameters import SecretsProvider  # noqa: PLC0415

        return SecretsProvider(boto3_client=client_of("secretsmanager", self._timeout))

    def fetch(self, fresh: bool) -> str:
        """Return the value; raises Unavailable when Secrets Manager does not give it."""
        from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError  # noqa: PLC0415

        try:
            return self._provider.get(self._name, max_age=KEYS_MAX_AGE, force_fetch=fresh)
        except GetParameterError as error:
            raise Unavailable("A secret cannot be read") from error


def client_of(service: Service, timeout: float) -> Any:
    """Make a client that gives up after two tries of `timeout` seconds.

    A request makes three calls at most; when AWS does not answer, all of them must end within the function's ten
    seconds, or nobody would hear of the 503.
    """
    from botocore.config import Config  # noqa: PLC0415 - tests build graphs without it
    from botocore.session import get_session  # noqa: PLC0415 - same

    config = Config(
        connect_timeout=1,
        read_timeout=timeout,
        retries={"mode": "standard", "total_max_attempts": 2},
        tcp_keepalive=True,
        max_pool_connections=32,  # the threads of a clean-up or a bucket's `get_many`, and who calls beside them
        parameter_validation=False,  # our requests are of one shape; the service validates them anyway
        user_agent="tessera",  # botocore's own is put together anew twice a call, a tenth of its time
    )
    return get_session().create_client(service, config=config)
