"""GET /openapi.json: the description of the whole API, merged from all functions when it was built."""

from pathlib import Path

from tessera.http.api import Api

from aws_lambda_powertools.event_handler import Response

app = Api("operations.openapi", public=True)

DOCUMENT = Path(__file__).with_name("openapi.json")


@app.get(
    "/openapi.json",
    summary="This document",
    tags=["operations"],
    operation_id="getOpenapi",
    responses={200: {"description": "OK", "content": {"application/json": {"schema": {"type": "object"}}}}},
)
def openapi() -> Response[str]:
    """Return the OpenAPI 3.1 document."""
    cached = {"Cache-Control": "public, max-age=300"}
    return Response(200, "application/json", DOCUMENT.read_text(encoding="utf-8"), cached)


handler = app
