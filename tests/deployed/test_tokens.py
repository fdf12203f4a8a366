"""Tokens and cookies on the deployed system: design of the tokens as a whole, from outside."""

import base64
import hashlib
import hmac
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from local import keyring as keys
from local.stack import Stack
from tests.deployed.test_sessions import eventually
from tests.support.client import Caller, Opened, opened

ORIGIN = "http://localhost:3000"


def b64(data: bytes | dict[str, Any]) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, payload, _ = token.split(".")
    return tuple(json.loads(base64.urlsafe_b64decode(part + "==")) for part in (header, payload))  # type: ignore[return-value]


def crumb(session: Opened) -> str:
    return session.cookie.partition(";")[0]


def refreshed(anyone: Caller, token: str) -> Any:
    return anyone.post("/tokens/refresh", {"refreshToken": token})


class TestAccess:
    def test_others_verify_our_tokens_with_our_jwks(self, anyone: Caller) -> None:
        token = opened(anyone, email="ada@example.org").tokens["accessToken"]
        answer = anyone.get("/.well-known/jwks.json")
        assert answer.headers["cache-control"] == "public, max-age=3300"
        jwks = jwt.PyJWKSet.from_dict(answer.ok())
        header, payload = parts(token)
        verified = jwt.decode(token, jwks[header["kid"]].key, algorithms=["ES256"], audience="tessera")
        assert verified["exp"] - verified["iat"] == 900
        assert (header["typ"], header["alg"]) == ("at+jwt", "ES256")
        assert "ada@example.org" not in json.dumps(payload)
        assert all("d" not in key for key in answer.json["keys"])

    def test_every_forgery_is_401(self, anyone: Caller, stack: Stack) -> None:
        token = opened(anyone).tokens["accessToken"]
        header, payload = parts(token)
        public = anyone.get("/.well-known/jwks.json").ok()["keys"][0]
        own = ec.generate_private_key(ec.SECP256R1())

        def signed(**changes: Any) -> str:
            """Signed by us, with other claims: what only a mistake of ours could let through."""
            return mint(stack, payload | changes.pop("payload", {}), header | changes)

        def confused() -> str:
            """The public key as an HMAC secret."""
            body = f"{b64(header | {'alg': 'HS256'})}.{b64(payload)}"
            secret = json.dumps(public).encode()
            return f"{body}.{b64(hmac.new(secret, body.encode(), hashlib.sha256).digest())}"

        def by_another(**changes: Any) -> str:
            return jwt.encode(payload, own, algorithm="ES256", headers=header | changes)

        jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(own.public_key()))
        late = int(time.time()) - 3600
        forgeries = {
            "alg none": f"{b64(header | {'alg': 'none'})}.{b64(payload)}.",
            "alg NONE": f"{b64(header | {'alg': 'NONE'})}.{b64(payload)}.",
            "key confusion": confused(),
            "another's key under our kid": by_another(),
            "embedded key": by_another(kid="x", jwk=jwk),
            "jku": by_another(jku="http://127.0.0.1:1/"),
            "kid as a path": by_another(kid="../../x"),
            "tampered payload": ".".join((token.split(".")[0], b64(payload | {"epoch": 0}), token.split(".")[2])),
            "tampered signature": token[:-4] + ("AAAA" if not token.endswith("AAAA") else "BBBB"),
            "foreign audience": signed(payload={"aud": "elsewhere"}),
            "foreign issuer": signed(payload={"iss": "elsewhere"}),
            "another type": signed(typ="JWT"),
            "no expiry": signed(payload={"exp": None}),
            "expired": signed(payload={"iat": late, "exp": late + 900}),
            "not yet": signed(payload={"nbf": late + 10_000}),
            "cut": token.rsplit(".", 1)[0],
            "nonsense": "a.b.c",
            "long": "a" * 5_000,
        }  # fmt: skip
        for name, forged in forgeries.items():
            answer = anyone.having(forged).get("/sessions/me")
            assert answer.status == 401, name
            assert answer.problem in ("token-invalid", "token-expired"), name
        assert anyone.having(signed()).get("/sessions/me").status == 200, "the mint itself is good"

    def test_injection_into_the_header_is_401(self, anyone: Caller) -> None:
        token = opened(anyone).tokens["accessToken"]
        for value in (
            f"Basic {token}",
            f"Bearer {token}, Bearer {token}",
            f"Bearer {token} {token}",
            f"Bearer\t{token}",
            token,
            "Bearer",
            "bearer x",
            'Bearer {"sub": "me"}',
            "Bearer null",
        ):
            answer = anyone.get("/sessions/me", authorization=value)
            assert (answer.status, answer.problem) == (401, "token-invalid"), value[:20]

    def test_no_token_is_401_on_every_route_that_is_not_public(self, anyone: Caller) -> None:
        public = {"/health", "/openapi.json", "/.well-known/jwks.json"}
        answered = {("post", "/sessions"), ("post", "/tokens/refresh")}
        for path, operations in anyone.get("/openapi.json").ok()["paths"].items():
            for method in operations.keys() & {"get", "put", "post", "patch", "delete"}:
                if path in public or (method, path) in answered:
                    continue
                answer = anyone(method.upper(), path.replace("{sessionId}", "me"), {})
                assert (answer.status, answer.problem) == (401, "token-missing"), path

    def test_a_service_needs_the_scope(self, anyone: Caller, stack: Stack) -> None:
        session = opened(anyone)
        reader = anyone.having(keys.token(stack.clients, stack.deployed(), ["sessions:read"]))
        assert reader.get(f"/sessions/{session.id}").status == 200
        for answer in (
            reader.patch(f"/sessions/{session.id}", {}),
            reader.post(f"/sessions/{session.id}/login", {"customerId": "c"}),
            reader.delete(f"/sessions/{session.id}"),
            reader.get("/metrics"),
            session.holder.get("/metrics"),
            session.holder.post("/sessions/me/login", {"customerId": "c"}),
        ):
            assert (answer.status, answer.problem) == (403, "scope-missing")

    def test_a_rotation_of_the_keys_logs_nobody_out(self, anyone: Caller, stack: Stack) -> None:
        session = opened(anyone)
        kid = keys.rotate(stack.clients, stack.deployed())
        after = mint(stack, parts(session.tokens["accessToken"])[1], {"typ": "at+jwt"}, newest=True)
        assert parts(after)[0]["kid"] == kid
        newcomer = anyone.having(after)
        eventually(lambda: newcomer.get("/sessions/me").status == 200, 15)  # the authorizer asks once in 10 s
        assert session.holder.get("/sessions/me").status == 200
        assert anyone.get("/sessions/me", cookie=crumb(session)).status == 200
        assert refreshed(anyone, session.tokens["refreshToken"]).status == 200


class TestRefresh:
    def test_twenty_tabs_at_once_log_nobody_out(self, anyone: Caller) -> None:
        session = opened(anyone)
        with ThreadPoolExecutor(20) as pool:
            answers = [*pool.map(lambda _: refreshed(anyone, session.tokens["refreshToken"]), range(20))]
        assert {answer.status for answer in answers} == {200}
        assert len({answer.json["refreshToken"] for answer in answers}) == 1
        for answer in answers[:3]:
            assert anyone.having(answer.json["accessToken"]).get("/sessions/me").status == 200
        assert refreshed(anyone, answers[0].json["refreshToken"]).status == 200

    def test_reuse_after_the_grace_revokes_the_family(self, anyone: Caller, table: Any) -> None:
        session = opened(anyone)
        successor = refreshed(anyone, session.tokens["refreshToken"]).ok()
        long_ago = {"L": [{"N": str(int(time.time() * 1000) - 31_000)}]}
        table.client.update_item(
            TableName=table.name,
            Key={"pk": {"S": f"SESSION#{session.id}"}, "sk": {"S": "CORE"}},
            UpdateExpression="SET rotatedAt = :long_ago",
            ExpressionAttributeValues={":long_ago": long_ago},
        )
        assert refreshed(anyone, session.tokens["refreshToken"]).problem == "token-revoked"
        assert refreshed(anyone, successor["refreshToken"]).problem == "token-revoked"
        assert anyone.having(successor["accessToken"]).get("/sessions/me").problem == "token-revoked"
        assert anyone.get("/sessions/me", cookie=crumb(session)).problem == "token-revoked"

    def test_a_made_up_token_revokes_nothing(self, anyone: Caller) -> None:
        session = opened(anyone)
        for made_up in (f"{session.id}.0.{'A' * 43}", f"{session.id}.7.{'A' * 43}", session.id, "x", ""):
            assert refreshed(anyone, made_up).status == 401
        assert refreshed(anyone, session.tokens["refreshToken"]).status == 200

    def test_no_secret_is_stored_in_the_clear(self, anyone: Caller, table: Any) -> None:
        session = opened(anyone)
        key = str(uuid4())
        anyone.post("/sessions", {"email": "sealed@example.org"}, idempotency_key=key).ok(201)
        kept = str(table.all())
        assert session.tokens["refreshToken"] not in kept
        assert session.tokens["refreshToken"].rpartition(".")[2] not in kept
        assert kept.count("sealed@example.org") == 1, "once in the session, never in the idempotency record"
        assert "eyJhbGciOiJFUzI1NiI" not in kept, "no access token"
        assert key not in kept


class TestCookie:
    def test_it_opens_the_session_but_changes_nothing_from_elsewhere(self, anyone: Caller) -> None:
        session = opened(anyone)
        browser = anyone.having(cookie=crumb(session))
        assert browser.get("/sessions/me").ok()["id"] == session.id
        for headers in (
            {},
            {"x_tessera_csrf": "1"},
            {"origin": ORIGIN},
            {"origin": ORIGIN, "x_tessera_csrf": ""},
            {"origin": "https://evil.example", "x_tessera_csrf": "1"},
            {"origin": "null", "x_tessera_csrf": "1"},
            {"origin": "http://localhost.evil.example:3000", "x_tessera_csrf": "1"},
        ):
            answer = browser.patch("/sessions/me", {"cartId": "x"}, **headers)
            assert (answer.status, answer.problem) == (403, "cross-site-request"), headers
        changed = browser.patch("/sessions/me", {"cartId": "x"}, origin=ORIGIN, x_tessera_csrf="1")
        assert changed.ok()["cartId"] == "x"
        assert changed.headers["access-control-allow-origin"] == ORIGIN
        assert changed.headers["access-control-allow-credentials"] == "true"

    def test_it_refreshes_without_showing_the_token_to_scripts(self, anyone: Caller) -> None:
        session = opened(anyone)
        browser = anyone.having(cookie=crumb(session), origin=ORIGIN, x_tessera_csrf="1")
        answer = browser.post("/tokens/refresh", {})
        assert answer.status == 200
        renewed = answer.headers["set-cookie"].partition(";")[0]
        assert anyone.get("/sessions/me", cookie=renewed).status == 200
        assert anyone.having(cookie=crumb(session)).post("/tokens/refresh", {}).problem == "cross-site-request"

    def test_a_forged_cookie_is_nobody(self, anyone: Caller) -> None:
        cookie = crumb(opened(anyone))
        for forged in (cookie[:-6] + "AAAAAA", "__Host-tessera=x", "__Host-tessera="):
            answer = anyone.get("/sessions/me", cookie=forged)
            assert (answer.status, answer.problem) == (401, "token-invalid")

    @pytest.mark.parametrize(
        ("origin", "passes"), [("http://localhost:49152", True), ("https://evil.example", False)]
    )
    def test_a_preflight_passes_for_an_allowed_origin(self, anyone: Caller, origin: str, passes: bool) -> None:
        """Locally at any port of this machine, so that a page may be served anywhere on it."""
        answer = anyone("OPTIONS", "/sessions/me", origin=origin, access_control_request_method="PATCH")
        assert (answer.status == 204) == passes
        assert (answer.headers.get("access-control-allow-origin") == origin) == passes

    def test_a_page_of_another_origin_plants_no_cookie(self, anyone: Caller) -> None:
        answer = anyone.post("/sessions", {}, origin="https://evil.example")
        assert "set-cookie" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


class TestRevocation:
    @pytest.fixture
    def three(self, admin: Caller) -> list[Opened]:
        customer = {"customerId": f"c-{uuid4()}"}
        return [opened(admin, customer=customer) for _ in range(3)]

    def test_login_kills_every_older_token_and_cookie(self, anyone: Caller, admin: Caller) -> None:
        guest = opened(anyone, kind="checkout", metadata={"kept": True})
        customer = f"c-{uuid4()}"
        answer = admin.post(
            f"/sessions/{guest.id}/login", {"customerId": customer, "claims": {"aal": 2, "roles": ["buyer"]}}
        )
        after = answer.ok()
        assert after["session"]["id"] == guest.id
        assert after["session"]["customer"]["customerId"] == customer
        assert after["session"]["metadata"] == {"kept": True}
        assert parts(after["tokens"]["accessToken"])[1]["claims"] == {"aal": 2, "roles": ["buyer"]}
        assert guest.holder.get("/sessions/me").problem == "token-revoked"
        assert anyone.get("/sessions/me", cookie=crumb(guest)).problem == "token-revoked"
        assert refreshed(anyone, guest.tokens["refreshToken"]).problem == "token-revoked"
        assert anyone.having(after["tokens"]["accessToken"]).get("/sessions/me").status == 200
        claims = parts(refreshed(anyone, after["tokens"]["refreshToken"]).ok()["accessToken"])[1]["claims"]
        assert claims == {"aal": 2, "roles": ["buyer"]}

    def test_this_logs_out_here_alone(self, three: list[Opened]) -> None:
        here, *others = three
        answer = here.holder.post("/tokens/revoke", {"scope": "this"})
        assert answer.ok() == {"revoked": 1}
        assert "max-age=0" in answer.headers["set-cookie"].lower()
        assert here.holder.get("/sessions/me").status == 401
        assert [other.holder.get("/sessions/me").status for other in others] == [200, 200]

    def test_others_logs_out_everywhere_else(self, anyone: Caller, three: list[Opened]) -> None:
        here, *others = three
        assert here.holder.post("/tokens/revoke", {"scope": "others"}).ok() == {"revoked": 2}
        assert here.holder.get("/sessions/me").status == 200
        for other in others:
            assert other.holder.get("/sessions/me").problem == "token-revoked"
            assert refreshed(anyone, other.tokens["refreshToken"]).status == 401

    def test_all_logs_out_everywhere(self, three: list[Opened]) -> None:
        assert three[0].holder.post("/tokens/revoke", {"scope": "all"}).ok() == {"revoked": 3}
        assert {session.holder.get("/sessions/me").status for session in three} == {401}


def mint(stack: Stack, payload: dict[str, Any], header: dict[str, Any], *, newest: bool = False) -> str:
    """A token by the deployed key: the one that signs now, or the newest one."""
    deployed = stack.deployed()
    secret = stack.clients.secretsmanager.get_secret_value(SecretId=deployed.outputs["KeysSecret"])
    ring = json.loads(secret["SecretString"])["signing"]
    key = ring[0] if newest else next(key for key in ring if key["kid"] == header["kid"])
    claims = {name: value for name, value in payload.items() if value is not None}
    signing = jwt.PyJWK(key["jwk"], "ES256").key
    return jwt.encode(claims, signing, algorithm="ES256", headers=header | {"kid": key["kid"]})
