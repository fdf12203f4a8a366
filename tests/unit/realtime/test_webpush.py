"""A push is encrypted as RFC 8291 has it, to the letter of its own example."""

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt import PyJWK

from tessera.errors import Misconfigured
from tessera.realtime.webpush import Vapid, encrypted, new_vapid, padless, unpadded
from tests.support.fakes import START

PLAIN = b"When I grow up, I want to be a watermelon"
PUBLIC = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
OURS = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
MADE = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz"
    "AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def test_the_example_of_the_rfc() -> None:
    key = ec.derive_private_key(int.from_bytes(unpadded(OURS)), ec.SECP256R1())
    body = encrypted(PLAIN, PUBLIC, AUTH, random=lambda _: unpadded(SALT), new_key=lambda: key)
    assert padless(body) == MADE


def test_no_push_is_like_another() -> None:
    assert encrypted(PLAIN, PUBLIC, AUTH) != encrypted(PLAIN, PUBLIC, AUTH)


def test_a_push_service_can_tell_who_sends() -> None:
    document = new_vapid()
    vapid = Vapid(json.dumps(document), "mailto:push@example.org")
    headers = vapid.headers("https://push.example:8443/abc?d", START)
    scheme, token, key = headers["Authorization"].replace("t=", "").replace("k=", "").replace(",", "").split()
    assert (scheme, key) == ("vapid", vapid.public)
    public = {name: value for name, value in document["vapid"].items() if name != "d"}
    claims = jwt.decode(
        token, PyJWK(public, "ES256").key, algorithms=["ES256"], options={"verify_aud": False, "verify_exp": False}
    )
    twelve_hours = START // 1_000 + 43_200
    assert claims == {"aud": "https://push.example:8443", "exp": twelve_hours, "sub": "mailto:push@example.org"}


@pytest.mark.parametrize("document", ["{}", "", '{"vapid": {}}', "[]"])
def test_there_is_no_default_key(document: str) -> None:
    with pytest.raises(Misconfigured):
        Vapid(document, "")
