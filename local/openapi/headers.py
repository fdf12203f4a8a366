"""Headers and credentials in the document."""

from typing import Any

type Json = dict[str, Any]

VERSIONED = ("Session", "SessionWithParts", "SessionWithTokens", "DataBucket")
"""Schemas of the answers that carry what has a version, and it as ETag."""

_COOKIE_SCHEMAS = ("SessionWithTokens", "Tokens")
_LIMITS = ("RateLimit", "RateLimit-Policy")


def _header(description: str, kind: str = "string", **example: Any) -> Json:
    return {"description": description, "schema": {"type": kind}, **example}


HEADERS: dict[str, Json] = {
    "Cache-Control": _header("no-store, but for what is public and the same for all.", example="no-store"),
    "X-Correlation-Id": _header("The one that was sent, or the gateway's own."),
    "Server-Timing": _header("The tiers that answered, and how long each took.", example="L2;dur=3.2"),
    "ETag": _header("The version of the session, or of the bucket; for If-Match.", example='"3"'),
    "Location": _header("The path of the session."),
    "Set-Cookie": _header("`__Host-tessera`: HttpOnly, Secure, SameSite=Lax, encrypted."),
    "Idempotency-Replayed": _header("`true` on an answer that was given before.", example="true"),
    "RateLimit": _header(
        "What is left (IETF draft 11). On every answer behind the limit, none for services.",
        example='"requests";r=599;t=42',
    ),
    "RateLimit-Policy": _header("The limit, per minute.", example='"requests";q=600;w=60'),
    "Retry-After": _header("Seconds to wait.", "integer", example=2),
}

PARAMETERS: dict[str, Json] = {
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "required": False,
        "description": "The ETag that the session, or the bucket, must have; another one is answered with 412.",
        "schema": {"type": "string"},
        "example": '"3"',
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "required": False,
        "description": "`*`: only where there is nothing yet; otherwise the answer is 412.",
        "schema": {"type": "string"},
        "example": "*",
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "The same key and body replay the answer for 24 hours.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    },
}

SECURITY_SCHEMES: dict[str, Json] = {
    "accessToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The access token of a session, or a service token with scopes.",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-tessera",
        "description": "Set by the service; unreadable outside it.",
    },
    "csrf": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Tessera-Csrf",
        "description": "Any value but an empty one, from an allowed Origin: with the cookie on unsafe methods.",
    },
}


def of_success(schema: str | None, *, limited: bool, idempotent: bool) -> Json:
    """Return the headers of an answer that is no problem; `schema` is the name of its body's."""
    return _references(
        *(["ETag"] if schema in VERSIONED else []),
        *(["Location"] if schema == "SessionWithTokens" else []),
        *(["Set-Cookie"] if schema in _COOKIE_SCHEMAS else []),
        *(["Idempotency-Replayed"] if idempotent else []),
        *(_LIMITS if limited else ()),
    )


def of_problem(*, limited: bool, wait: bool) -> Json:
    """Return the headers of a problem of an operation that is `limited`, or not; `wait` when it says how long."""
    return _references(*(_LIMITS if limited else ()), *(["Retry-After"] if wait else []))


def _references(*names: str) -> Json:
    always = ("Cache-Control", "X-Correlation-Id", "Server-Timing")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*always, *names)}


def security(*, unsafe: bool, bearer: bool = True, cookie: bool = True, optional: bool = False) -> list[Json]:
    """Return the ways to authenticate, each a set of schemes; the empty set is the way without any."""
    with_cookie: Json = {"cookie": [], "csrf": []} if unsafe else {"cookie": []}
    ways: list[Json] = [*([{"accessToken": []}] if bearer else []), *([with_cookie] if cookie else [])]
    return [{}, *ways] if optional and ways else ways
