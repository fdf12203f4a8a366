"""A session with all of its parts is one answer, whatever anybody has filled them with."""

import json

from tests.functions.service import Service
from tests.functions.talking import append, said

LAMBDA = 6 * 1024 * 1024
QUOTES = '"' * 8_000
"""Two bytes each in JSON, and four where that stands in the JSON of Lambda's answer."""


def test_all_parts_of_a_session_fit_one_answer(service: Service) -> None:
    data = {"bucket": {"quotes": QUOTES * 10}}
    owner = service.create(kind="chat", metadata={"quotes": QUOTES * 5}, data=data)
    for _ in range(20):
        assert append(service, owner, said(QUOTES * 30)).status == 201
    assert service.call("activity/cart", "me", token=owner.token, body={"cartId": "c"}).status == 200
    for number in range(10):
        actions = [{"action": "item_added", "details": {"quotes": QUOTES, "n": number}}] * 10
        route = "POST /sessions/{sessionId}/cart/actions"
        answer = service.call("activity/cart", "me", token=owner.token, route=route, body={"actions": actions})
        assert answer.status == 201
        views = [{"productId": f"p-{number}", "quotes": QUOTES}]
        assert service.call("activity/views", "me", token=owner.token, body={"views": views}).status == 200

    answer = service.call("sessions/get", "me", token=owner.token, query={"include": "data,messages,activity"})
    assert len(json.dumps(answer.text)) < LAMBDA - 100_000
    parts = answer.json
    assert [message["seq"] for message in parts["messages"]] == [19, 20]
    assert 50 < len(parts["activity"]["cartActions"]) < 100
    assert parts["activity"]["cartActions"][0]["details"]["n"] == 9
    assert len(parts["activity"]["views"]) == 10
