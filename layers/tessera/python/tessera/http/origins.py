"""Origins: which browsers' pages may call, and what they are told (CORS)."""

from collections.abc import Iterable, Mapping

from tessera.errors import CrossSiteRequest

CSRF_HEADER = "x-tessera-csrf"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_EXPOSED = "ETag, Server-Timing, RateLimit, RateLimit-Policy, Retry-After, Idempotency-Replayed, X-Correlation-Id"


def is_allowed(origin: str, allowed: Iterable[str]) -> bool:
    """Whether the Origin is on the list: exactly, or at any port where the entry ends in `:*`."""
    return any(_matches(origin, entry) for entry in allowed)


def _matches(origin: str, entry: str) -> bool:
    if not entry.endswith(":*"):
        return origin == entry
    host, _, port = origin.rpartition(":")
    return origin == entry[:-2] or (host == entry[:-2] and port.isdecimal())


def check_cookie_use(method: str, headers: Mapping[str, str], allowed: Iterable[str]) -> None:
    """Refuse an unsafe method by cookie without the CSRF header or from an Origin that is not on the list."""
    if method in _SAFE:
        return
    if not headers.get(CSRF_HEADER) or not is_allowed(headers.get("origin", ""), allowed):
        raise CrossSiteRequest


def cors_headers(origin: str | None, allowed: Iterable[str]) -> dict[str, str]:
    """Return what lets a page of an allowed Origin read the answer, cookies included."""
    if not origin or not is_allowed(origin, allowed):
        return {"Vary": "Origin"}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": _EXPOSED,
        "Vary": "Origin",
    }
