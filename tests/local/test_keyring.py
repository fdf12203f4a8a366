"""Service tokens are made for scopes that there are."""

from argparse import Namespace

import pytest

from local import commands, keyring
from local.trouble import Trouble
from tessera.model.caller import Scope


@pytest.mark.parametrize(
    "text", ["sessions:read sessions:write", "sessions:read,sessions:write", " sessions:read, sessions:write "]
)
def test_scopes_have_blanks_or_commas_between_them(text: str) -> None:
    assert keyring.scopes(text) == [Scope.SESSIONS_READ, Scope.SESSIONS_WRITE]


@pytest.mark.parametrize("text", ["session:read", "admin sessions:reed", "ADMIN", ""])
def test_an_unknown_scope_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(Trouble, match=", ".join(Scope)):
        commands.token(Namespace(scopes=text, stage=None))


def test_the_refusal_names_the_unknown_ones_alone() -> None:
    with pytest.raises(Trouble, match=r"^unknown: sessions:reed;"):
        keyring.scopes("admin sessions:reed")
