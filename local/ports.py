"""Loopback ports."""

import socket

from local.trouble import Trouble

HOST = "127.0.0.1"
DEFAULT = 4566
"""Where `make dev` listens unless TESSERA_PORT says otherwise; the port AWS emulators are known for."""


def free() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def require_free(port: int) -> None:
    """Raise Trouble when something listens on `port` already."""
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            raise Trouble(
                f"port {port} is taken by another program. Stop it, or choose another port:\n"
                f"  TESSERA_PORT={port + 1} make dev"
            )
