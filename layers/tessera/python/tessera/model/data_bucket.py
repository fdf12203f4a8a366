"""A bucket as it is shown; apart, since few functions show one."""

from pydantic import Field

from tessera.model.clock import Moment
from tessera.model.data import Held
from tessera.model.session import Model, Stored


class DataBucket(Model):
    """A bucket as it is shown."""

    bucket: str
    data: Stored
    version: int = Field(description="Grows with each change, also over a removal; the ETag.")
    updated_at: Moment
    expires_at: Moment | None = Field(description="Null: it lives as long as the session.")


def shown(name: str, held: Held) -> DataBucket:
    """Return a bucket as it is shown."""
    return DataBucket(
        bucket=name,
        data=dict(held.data),
        version=held.version,
        updated_at=held.updated_at,
        expires_at=held.expires_at,
    )
