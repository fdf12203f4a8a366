"""The operations by kind, as the sample events show them."""

from local.paths import EVENTS
from tests.functions.service import sample

NAMES = sorted(str(file.relative_to(EVENTS).with_suffix("")) for file in EVENTS.glob("*/*.json"))
HTTP = [name for name in NAMES if "routeKey" in sample(name) and name != "tokens/authorize"]
WITH_BODY = [name for name in HTTP if "body" in sample(name)]
LIMITED = [name for name in HTTP if "authorizer" in sample(name)["requestContext"]]
"""Those that know who calls, and count it."""

OPTIONAL = "sessions/create"
"""Answers callers without a token too, but hears what the authorizer says of one."""

PROTECTED = [name for name in LIMITED if name != OPTIONAL]
ON_A_SESSION = [name for name in PROTECTED if "sessionId" in sample(name).get("pathParameters", {})]
BY_OWNER = [name for name in ON_A_SESSION if name != "sessions/login"]
