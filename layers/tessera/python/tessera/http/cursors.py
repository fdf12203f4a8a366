"""Cursors: where the next page begins, opaque to the caller and worth nothing outside the same list."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from tessera.errors import Invalid

_PLACE = re.compile(r"(\d{1,15}) (\S{1,200})")

type Place = tuple[int, str]
"""The (createdAt, id) of the last one that was seen."""


def write(place: Place | None) -> str | None:
    """Return the cursor of a place."""
    return place and urlsafe_b64encode(f"{place[0]} {place[1]}".encode()).decode()


def read(cursor: str | None) -> Place | None:
    """Return the place of a cursor, or raise Invalid."""
    if cursor is None:
        return None
    try:
        found = _PLACE.fullmatch(urlsafe_b64decode(cursor.encode()).decode())
    except ValueError:
        found = None
    if found is None:
        raise Invalid.at("query/cursor", "is not one of ours")
    return int(found[1]), found[2]
