"""The rate limits of the API, and how they are told: in RateLimit headers (IETF draft 11)."""

from tessera.settings import Settings
from tessera.stores.limits import WIDTH, Limit, Room, batched


def creations(settings: Settings) -> Limit:
    """Return the limit of new sessions, by address; each is counted by itself."""
    return Limit("creations", settings.creations_per_minute, batch=1, by_address=True)


def requests(settings: Settings) -> Limit:
    """Return the limit of everything else, by session."""
    return batched("requests", settings.requests_per_minute)


def headers(name: str, per_minute: int, room: Room) -> dict[str, str]:
    """Return RateLimit and RateLimit-Policy."""
    return {
        "RateLimit": f'"{name}";r={room.left};t={room.reset}',
        "RateLimit-Policy": f'"{name}";q={per_minute};w={WIDTH}',
    }
