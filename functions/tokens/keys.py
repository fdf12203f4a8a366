"""GET /.well-known/jwks.json: the public keys by which others verify our access tokens."""

from typing import Any

from tessera.clients import KEYS_MAX_AGE
from tessera.http.api import Api
from tessera.http.exchange import Exchange
from tessera.model.clock import SECOND
from tessera.tokens.keyring import PUBLISHED_BEFORE_USE

from aws_lambda_powertools.event_handler import Response

CACHEABLE = PUBLISHED_BEFORE_USE // SECOND - KEYS_MAX_AGE
"""Seconds: whoever caches the set knows a key before it signs, although containers learn of it late themselves."""

app = Api("tokens.keys", public=True, needs_keys=True)


@app.get("/.well-known/jwks.json", summary="Public keys (JWKS)", tags=["tokens"], operation_id="getKeys")
def keys(exchange: Exchange) -> Response[dict[str, Any]]:
    """Return the JSON Web Key Set (RFC 7517). New keys are here an hour before they sign, so it may be cached."""
    cached = {"Cache-Control": f"public, max-age={CACHEABLE}"}
    return Response(200, "application/json", exchange.graph.keys.ring().jwks(), cached)


handler = app
