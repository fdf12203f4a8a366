"""Answers with a session."""

from aws_lambda_powertools.event_handler import Response

from tessera.http.access import etag
from tessera.model.record import Record
from tessera.model.session import Session

JSON = "application/json"


def session(record: Record) -> Response[Session]:
    """Answer with a session and its ETag."""
    return Response(200, JSON, record.session, {"ETag": etag(record)})
