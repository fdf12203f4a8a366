"""The key ring of a deployed stack: the first one, rotation, service tokens.

Works on the embedded AWS and on the real one alike; no key ever touches the disk of this machine.
"""

import json
from collections.abc import Iterable

from local.clients import Clients
from local.deployed import Deployed
from local.trouble import Trouble
from tessera.model.caller import Scope
from tessera.model.clock import DAY_SECONDS, system_clock
from tessera.realtime.webpush import new_vapid
from tessera.tokens.access import AccessTokens
from tessera.tokens.keyring import Keys, new_ring, rotated

_AUTHORIZER = "TokensAuthorizeFunction"


def ensure(clients: Clients, deployed: Deployed) -> bool:
    """Put a first ring, and a key for pushes, where there is none yet; say whether a ring was put."""
    push = deployed.outputs["PushKeysSecret"]
    if "vapid" not in json.loads(clients.secretsmanager.get_secret_value(SecretId=push)["SecretString"]):
        clients.secretsmanager.put_secret_value(SecretId=push, SecretString=json.dumps(new_vapid()))
    if "signing" in json.loads(_read(clients, deployed)):
        return False
    _write(clients, deployed, new_ring(system_clock()))
    return True


def rotate(clients: Clients, deployed: Deployed) -> str:
    """Add new keys; return the id of the one that will sign. Older ones verify until they drop out."""
    ring = rotated(json.loads(_read(clients, deployed)), system_clock())
    _write(clients, deployed, ring)
    return ring["signing"][0]["kid"]


def scopes(text: str) -> list[Scope]:
    """Read scopes with blanks or commas between them. Raises Trouble when one is unknown, or none is there."""
    wanted = text.replace(",", " ").split()
    unknown = [name for name in wanted if name not in [*Scope]]
    if unknown or not wanted:
        wrong = f"unknown: {', '.join(unknown)}" if unknown else "no scope"
        raise Trouble(f"{wrong}; the scopes are {', '.join(Scope)}")
    return [Scope(name) for name in wanted]


def token(clients: Clients, deployed: Deployed, scopes: Iterable[str], lifetime: int = 30 * DAY_SECONDS) -> str:
    """Mint a service token that the deployed functions accept, for `lifetime` seconds."""
    function = clients.functions.get_function_configuration(FunctionName=deployed.resources[_AUTHORIZER])
    variables = function.get("Environment", {}).get("Variables", {})
    keys = Keys(lambda _fresh: _read(clients, deployed), system_clock)
    tokens = AccessTokens(keys, variables["ISSUER"], variables["AUDIENCE"], system_clock)
    return tokens.for_service("make-token", scopes, lifetime)


def _read(clients: Clients, deployed: Deployed) -> str:
    return clients.secretsmanager.get_secret_value(SecretId=deployed.outputs["KeysSecret"])["SecretString"]


def _write(clients: Clients, deployed: Deployed, ring: object) -> None:
    clients.secretsmanager.put_secret_value(SecretId=deployed.outputs["KeysSecret"], SecretString=json.dumps(ring))
