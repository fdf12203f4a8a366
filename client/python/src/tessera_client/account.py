"""Who calls: the tokens, which are renewed while others use them, and how the service is reached."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import TypedDict

from tessera_client.retry import Retry


@dataclass(frozen=True)
class Tokens:
    """An access token, and the refresh token that renews it once; a service token has none."""

    access: str | None = field(default=None, repr=False)
    refresh: str | None = field(default=None, repr=False)


class How(TypedDict, total=False):
    """How to call: seconds for each try, tries and patience, and who is told of tokens that were renewed."""

    timeout: float
    retry: Retry
    on_refresh: Callable[[Tokens], object]


class Account:
    """The tokens of one caller, shared by all its threads and tasks, and by both kinds of client."""

    def __init__(
        self,
        tokens: Tokens,
        *,
        timeout: float = 10.0,
        retry: Retry | None = None,
        on_refresh: Callable[[Tokens], object] | None = None,
    ) -> None:
        self.timeout = timeout
        self.retry = retry or Retry()
        self._tokens = tokens
        self._on_refresh = on_refresh
        self._lock = Lock()

    @property
    def tokens(self) -> Tokens:
        """The tokens of the moment."""
        return self._tokens

    def renew(self, used: Tokens, renewed: Tokens) -> None:
        """Replace the tokens that were used; a later answer to an earlier refresh replaces nothing.

        Two tasks refresh at once; the service gives both the same successor. The first one is kept and told to
        `on_refresh`; the second one finds other tokens than it used.
        """
        with self._lock:
            if self._tokens != used:
                return
            self._tokens = renewed
        if self._on_refresh is not None:
            self._on_refresh(renewed)
