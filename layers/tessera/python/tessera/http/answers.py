"""Answers with a session."""

from typing import Any

from aws_lambda_powertools.event_handler import Response

from tessera.http.access import etag
from tessera.model.record import Record
from tessera.model.session import Session, SessionWithParts

JSON = "application/json"


def session(record: Record) -> Response[Session]:
    """Answer with a session and its ETag."""
    return Response(200, JSON, record.session, {"ETag": etag(record)})


def session_with_parts(record: Record, parts: dict[str, Any], *, degraded: bool) -> Response[SessionWithParts]:
    """Answer with a session and the parts that were asked for."""
    whole = SessionWithParts(**vars(record.session), **parts, degraded=degraded or None)
    return Response(200, JSON, whole, {"ETag": etag(record)})
