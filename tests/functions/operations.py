"""The operations by kind, as the sample events show them."""

from local.paths import EVENTS
from tests.functions.service import sample

NAMES = sorted(str(file.relative_to(EVENTS).with_suffix("")) for file in EVENTS.glob("*/*.json"))
HTTP = [name for name in NAMES if name not in ("lifecycle/cleanup", "tokens/authorize")]
WITH_BODY = [name for name in HTTP if "body" in sample(name)]
OPTIONAL = ("sessions/create", "tokens/refresh")
"""Those that answer callers without a token too, but hear what the authorizer says of one."""

PROTECTED = [name for name in HTTP if "authorizer" in sample(name)["requestContext"] and name not in OPTIONAL]
ON_A_SESSION = [name for name in PROTECTED if "pathParameters" in sample(name)]
BY_OWNER = [name for name in ON_A_SESSION if name != "sessions/login"]
