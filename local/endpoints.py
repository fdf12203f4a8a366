"""Where a running stack is reached: `.tessera/endpoints.json`."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from local.trouble import Trouble

_NAMES = {"admin_token": "adminToken"}
_NAMES_HERE = {name: ours for ours, name in _NAMES.items()}


@dataclass(frozen=True)
class Endpoints:
    """Addresses of a deployed stack."""

    http: str
    websocket: str
    aws: str
    region: str
    table: str
    bucket: str
    admin_token: str

    def write(self, file: Path) -> None:
        """Write them to `file`, readable by this user only: it holds a token."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(
            json.dumps({_NAMES.get(name, name): value for name, value in asdict(self).items()}, indent=2)
        )

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read what `write` wrote. Raises Trouble when nothing runs."""
        if not file.exists():
            raise Trouble("nothing runs here: start it with `make up`")
        record: dict[str, str] = json.loads(file.read_text())
        return cls(**{_NAMES_HERE.get(name, name): value for name, value in record.items()})
