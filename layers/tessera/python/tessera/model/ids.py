"""Ids of sessions and conversations: made here, never taken from a client."""

import base64
import re
import secrets
from collections.abc import Callable

PREFIX = "ses_"
CONVERSATION_PREFIX = "cnv_"
_CHARACTERS = 26  # of 5 bits each: 130 random bits (OWASP ASVS 7.2 asks for 128)
_BYTES = 17
_SHAPE = re.compile(rf"{PREFIX}[a-z2-7]{{{_CHARACTERS}}}")
_ALIAS_SHAPE = re.compile(r"[\x21-\x7e]{1,200}")


def new_session_id(random: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """`ses_` and 26 characters of RFC 4648 base32 in lower case. `random` gives that many bytes."""
    return PREFIX + _characters(random)


def new_conversation_id(random: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """`cnv_` and 26 characters of the same kind."""
    return CONVERSATION_PREFIX + _characters(random)


def _characters(random: Callable[[int], bytes]) -> str:
    return base64.b32encode(random(_BYTES)).decode().lower()[:_CHARACTERS]


def is_session_id(text: str) -> bool:
    """Whether it has the shape of our own ids."""
    return _SHAPE.fullmatch(text) is not None


def is_alias(text: str) -> bool:
    """Whether it could be an id of a system that moved in: printable ASCII, at most 200 characters."""
    return not is_session_id(text) and _ALIAS_SHAPE.fullmatch(text) is not None
