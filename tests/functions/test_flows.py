"""Steps, checkouts, offers and the reconciler over HTTP, and what they leave in logs and metrics."""

import json
from typing import Any

import pytest

from tessera.http.named import session_of_body
from tessera.model.changes import Change
from tessera.stores.attributes import encode_item
from tessera.stores.keys import STEPS, charge_key, partition
from tests.functions.service import CSRF, Answer, Context, Owner, Service
from tests.support.fakes import FakeClock, InterruptedStore

TOUR = {
    "tour": {
        "idleSeconds": 3600,
        "absoluteSeconds": 86400,
        "flow": {
            "steps": ["cart", "address", "pay", "extras", "thanks"],
            "paying": "pay",
            "demands": [
                {"to": "address", "present": ["/email", "/data/draft/size", "/products/0/sku"]},
                {"to": "pay", "present": ["/customer/phone"]},
            ],
        },
    }
}
OFFERS = [{"offerId": "warranty", "amount": 990}, {"id": "wrap", "amount": 250, "currency": "USD"}]


@pytest.fixture
def buyer(service: Service) -> Owner:
    """Who holds a checkout with two offers."""
    owner = service.create(kind="checkout", email="ada@example.org")
    offer(service, owner, OFFERS)
    return owner


def offer(service: Service, owner: Owner, offers: Any) -> None:
    body = {"upsells": {"offers": offers}}
    assert service.call("sessions/update", owner.id, token=service.service_token(), body=body).status == 200


def advance(service: Service, owner: Owner, to: Any, **how: Any) -> Answer:
    return service.call("flows/advance", "me", **{"token": owner.token, "body": {"to": to}, **how})


def order(session_id: str = "me", **otherwise: Any) -> dict[str, Any]:
    """Return the body of a checkout; None leaves a member out."""
    products = [{"productId": "p-7", "quantity": 2}]
    body = {"sessionId": session_id, "products": products, "amount": 3998, "currency": "EUR"}
    return {k: v for k, v in (body | {"paymentToken": "tok_visa"} | otherwise).items() if v is not None}


def pay(service: Service, owner: Owner, *, how: Any = None, **otherwise: Any) -> Answer:
    return service.call("flows/checkout", **{"token": owner.token, "body": order(**otherwise), **(how or {})})


def decide(service: Service, owner: Owner, offer_id: str, decision: str = "accepted", **how: Any) -> Answer:
    body = {"sessionId": "me", "offerId": offer_id, "decision": decision}
    return service.call("flows/upsell", **{"token": owner.token, "body": body, **how})


def read(service: Service, owner: Owner) -> Any:
    return service.call("sessions/get", "me", token=owner.token, query={}).json


def steps(service: Service, session_id: str) -> list[Any]:
    return list(service.table.query(partition(session_id), STEPS))


def reconcile(service: Service, milliseconds: int = 300_000) -> Any:
    return service.handler("flows/reconcile")({}, Context(milliseconds))


# --- steps -------------------------------------------------------------------------------------------


def test_a_form_goes_on_and_back_each_with_its_event(service: Service, clock: FakeClock) -> None:
    owner = service.create(kind="form")
    clock.forward(60)
    answer = advance(service, owner, 2)
    assert answer.status == 200
    assert (answer.json["currentStep"], answer.json["completedSteps"], answer.json["version"]) == (2, [1], 2)
    assert answer.headers["ETag"] == '"2"'
    assert answer.json["expiresAt"] == "2026-11-21T10:04:20.000Z"
    assert advance(service, owner, 3).json["completedSteps"] == [1, 2]
    back = advance(service, owner, 1).json
    assert (back["currentStep"], back["completedSteps"]) == (1, [1, 2])
    assert [(item["name"], item["from"], item["to"]) for item in steps(service, owner.id)] == [
        ("moved", 1, 2),
        ("moved", 2, 3),
        ("moved", 3, 1),
    ]


@pytest.mark.parametrize("to", [1, 3])
def test_where_a_form_may_go(service: Service, to: int) -> None:
    owner = service.create(kind="form")
    advance(service, owner, 2)
    assert advance(service, owner, to).json["currentStep"] == to


@pytest.mark.parametrize("to", [4, 9, "2", "3", "done"])
def test_where_a_form_may_not_go(service: Service, to: Any) -> None:
    owner = service.create(kind="form")
    advance(service, owner, 2)
    answer = advance(service, owner, to)
    assert (answer.problem, answer.json["allowed"]) == ((409, "illegal-move"), [1, 3])
    assert read(service, owner)["currentStep"] == 2


def test_a_second_tap_moves_nothing(service: Service) -> None:
    owner = service.create(kind="form")
    assert advance(service, owner, 2).json == advance(service, owner, 2).json
    assert len(steps(service, owner.id)) == 1


@pytest.mark.parametrize("kind", ["auth", "chat", "configurator"])
def test_a_kind_without_steps_has_no_moves(service: Service, kind: str) -> None:
    answer = advance(service, service.create(kind=kind), 1)
    assert (answer.problem, answer.json["allowed"]) == ((409, "illegal-move"), [])


def test_a_guarded_flow_is_moved_by_services(service: Service, buyer: Owner) -> None:
    assert advance(service, buyer, "success").json["allowed"] == ["processing"]
    refused = advance(service, buyer, "processing")
    assert (refused.problem, refused.json["pointer"]) == ((403, "service-only"), "/to")
    body, token = {"to": "processing"}, service.service_token("sessions:write")
    moved = service.call("flows/advance", buyer.id, token=token, body=body)
    assert (moved.status, moved.json["currentStep"], moved.json["status"]) == (200, "processing", "pending")


def test_a_move_insists_on_a_version_if_asked_to(service: Service) -> None:
    owner = service.create(kind="form")
    assert advance(service, owner, 2, headers={"if-match": '"7"'}).problem == (412, "precondition-failed")
    assert advance(service, owner, 2, headers={"if-match": '"1"'}).status == 200


@pytest.mark.parametrize("to", [None, True, 1.5, "", -1, 1000, [], {}])
def test_a_step_is_a_text_or_a_number(service: Service, to: Any) -> None:
    answer = advance(service, service.create(kind="form"), to)
    assert answer.problem == (422, "invalid")
    assert answer.json["errors"][0]["pointer"] == "/to"


def test_a_flow_of_ones_own_says_what_is_missing(service: Service) -> None:
    shop = service.another(KINDS=json.dumps(TOUR))
    owner = shop.create(kind="tour", data={"draft": {"size": ""}}, products=[{"sku": "s"}])
    refused = advance(shop, owner, "address")
    assert refused.problem == (409, "demands-unmet")
    assert refused.json["missing"] == ["/email", "/data/draft/size"]
    assert read(shop, owner)["currentStep"] == "cart"
    other = shop.create(kind="tour", email="a@example.org", data={"draft": {"size": 7}}, products=[{"sku": "s"}])
    assert advance(shop, other, "address").json["currentStep"] == "address"
    assert pay(shop, other).json["missing"] == ["/customer/phone"]
    paid = pay(shop, other, customer={"phone": "+44 20"}).json
    assert (paid["status"], paid["currentStep"]) == ("completed", "extras")
    assert decide(shop, other, "none", "declined").json["currentStep"] == "thanks"


def test_what_a_step_demands_is_found_beside_more_data_than_an_answer_holds(service: Service) -> None:
    shop = service.another(KINDS=json.dumps(TOUR))
    owner = shop.create(kind="tour", email="a@example.org", data={"draft": {"size": 7}}, products=[{"sku": "s"}])
    for name in ("one", "two"):
        body = {"text": "x" * 600_000}
        saved = shop.call("data/save", "me", token=owner.token, body=body, **bucket(owner, name))
        assert saved.status == 200
    assert advance(shop, owner, "address").json["currentStep"] == "address"


def test_a_patch_that_moves_a_step_meets_its_demands_too(service: Service) -> None:
    """What it brings along is there; what lies in a bucket counts."""
    shop = service.another(KINDS=json.dumps(TOUR))
    owner = shop.create(kind="tour", data={"draft": {"size": 7}}, products=[{"sku": "s"}])

    def move(**with_it: Any) -> Answer:
        body = {"currentStep": "address", **with_it}
        return shop.call("sessions/update", "me", token=owner.token, body=body)

    assert move().problem == (409, "demands-unmet")
    assert move(products=None, email="a@example.org").json["missing"] == ["/products/0/sku"]
    assert move(email="").status == 422
    assert read(shop, owner)["version"] == 1
    assert move(email="a@example.org").json["currentStep"] == "address"
    again = shop.call("sessions/update", "me", token=owner.token, body={"currentStep": "address", "email": None})
    assert again.status == 200, "who stands there does not move"


def test_of_a_move_and_what_takes_its_ground_away_one_is_decided_anew(service: Service, clock: FakeClock) -> None:
    owner = service.another(KINDS=json.dumps(TOUR)).create(
        kind="tour", email="a@example.org", data={"draft": {"size": 7}}, products=[{"sku": "s"}]
    )

    def gone() -> None:
        assert service.call("data/remove", "me", token=owner.token, **bucket(owner, "draft")).status == 204

    table = InterruptedStore(service.table, "update", gone)
    late = Service(clock, service.secret, table, environment={"KINDS": json.dumps(TOUR)})
    answer = late.call("sessions/update", "me", token=owner.token, body={"currentStep": "address"})
    assert (answer.problem, answer.json["missing"]) == ((409, "demands-unmet"), ["/data/draft/size"])


def test_a_checkout_is_where_the_flow_has_it(service: Service) -> None:
    shop = service.another(KINDS=json.dumps(TOUR))
    answer = pay(shop, shop.create(kind="tour"))
    assert (answer.problem, answer.json["allowed"]) == ((409, "illegal-move"), ["address"])


# --- the end of a form -------------------------------------------------------------------------------

FINISH = "POST /sessions/{sessionId}/finish"


def finish(service: Service, owner: Owner, *, buckets: list[str] | None = None, **how: Any) -> Answer:
    body = {} if buckets is None else {"buckets": buckets}
    return service.call("flows/advance", "me", route=FINISH, **{"token": owner.token, "body": body, **how})


def filled(service: Service, **data: Any) -> Owner:
    """Return who stands at the last step of a form with these buckets."""
    owner = service.create(kind="form", data=data)
    for step in (2, 3, 4):
        assert advance(service, owner, step).status == 200
    return owner


def data(service: Service, owner: Owner) -> Any:
    return service.call("sessions/get", "me", token=owner.token, query={"include": "data"}).json["data"]


def test_a_form_ends_in_its_result_and_the_draft_is_gone(service: Service) -> None:
    owner = filled(service, draft={"name": "Engine"}, sizes={"a": 1}, config={"colour": "blue"})
    answer = finish(service, owner, buckets=["draft", "sizes", "draft"])
    assert answer.status == 200
    assert (answer.json["currentStep"], answer.json["completedSteps"]) == (4, [1, 2, 3, 4])
    assert answer.json["status"] == "pending", "what is paid in the session is another matter"
    assert data(service, owner) == {
        "config": {"colour": "blue"},
        "result": {
            "finishedAt": answer.json["updatedAt"],
            "completedSteps": [1, 2, 3, 4],
            "data": {"draft": {"name": "Engine"}, "sizes": {"a": 1}},
        },
    }
    assert [item["name"] for item in steps(service, owner.id)][-1] == "finished"


def test_a_second_tap_finishes_nothing_and_the_flow_stays_where_it_is(service: Service) -> None:
    owner = filled(service, draft={"name": "Engine"})
    first = finish(service, owner).json
    assert finish(service, owner).json == first
    before = data(service, owner)
    refused = advance(service, owner, 1)
    assert (refused.problem, refused.json["allowed"]) == ((409, "illegal-move"), [])
    patched = service.call("sessions/update", "me", token=owner.token, body={"currentStep": 1})
    assert (patched.problem, patched.json["allowed"]) == ((409, "illegal-move"), [])
    saved = service.call("data/save", "me", token=owner.token, body={"late": True}, **bucket(owner, "draft"))
    assert saved.json["version"] > 1, "after that of the draft before it"
    assert data(service, owner) == before | {"draft": {"late": True}}


@pytest.mark.parametrize("then", [[], ["late"]])
def test_of_two_taps_at_once_both_get_the_end(service: Service, clock: FakeClock, then: list[str]) -> None:
    """The other one comes between the read of the session and that of its draft, a new one perhaps."""
    owner = filled(service, draft={"name": "Engine"})

    def meanwhile() -> None:
        assert finish(service, owner).status == 200
        for name in then:
            service.call("data/save", "me", token=owner.token, body={name: True}, **bucket(owner, "draft"))

    table = InterruptedStore(service.table, "get_many", meanwhile)
    answer = finish(Service(clock, service.secret, table), owner)
    assert answer.status == 200
    assert answer.json == read(service, owner)
    assert data(service, owner)["result"]["data"] == {"draft": {"name": "Engine"}}
    assert data(service, owner).get("draft", {}) == dict.fromkeys(then, True)


def bucket(owner: Owner, name: str) -> dict[str, Any]:
    """Return the parts of an event that name a bucket."""
    path = {"sessionId": owner.id, "bucket": name}
    return {"pathParameters": path, "rawPath": f"/sessions/{owner.id}/data/{name}"}


@pytest.mark.parametrize(
    ("at", "completed", "open_steps"), [(1, [], [1, 2, 3, 4]), (3, [1, 2], [3, 4]), (2, [1, 2, 3], [4])]
)
def test_all_steps_must_be_completed(
    service: Service, at: int, completed: list[int], open_steps: list[int]
) -> None:
    admin = service.service_token()
    made = {"kind": "form", "currentStep": at, "completedSteps": completed, "data": {"draft": {"a": 1}}}
    owner = Owner.of(service.call("sessions/create", token=admin, body=made))
    answer = finish(service, owner)
    assert (answer.problem, answer.json["steps"]) == ((409, "demands-unmet"), open_steps)
    assert data(service, owner) == {"draft": {"a": 1}}


def test_who_has_gone_back_may_finish_too(service: Service) -> None:
    owner = filled(service, draft={"a": 1})
    body = {"completedSteps": [1, 2, 3, 4], "currentStep": 2}
    assert service.call("sessions/update", "me", token=owner.token, body=body).status == 200
    assert finish(service, owner).json["currentStep"] == 2


@pytest.mark.parametrize("draft", [None, {}])
def test_an_empty_draft_is_not_finished(service: Service, draft: Any) -> None:
    owner = filled(service, **({} if draft is None else {"draft": draft}))
    answer = finish(service, owner)
    assert (answer.problem, answer.json["missing"]) == ((409, "demands-unmet"), ["/data/draft"])


@pytest.mark.parametrize("kind", ["auth", "checkout"])
def test_what_has_no_end_is_not_finished(service: Service, kind: str) -> None:
    answer = finish(service, service.create(kind=kind))
    assert (answer.problem, answer.json["allowed"]) == ((409, "illegal-move"), [])


def test_a_result_overwrites_nothing(service: Service) -> None:
    owner = filled(service, draft={"a": 1}, result={"mine": True})
    assert finish(service, owner).problem == (409, "conflict")
    assert data(service, owner) == {"draft": {"a": 1}, "result": {"mine": True}}


def test_a_result_takes_the_place_of_what_has_expired(service: Service, clock: FakeClock) -> None:
    owner = filled(service, draft={"a": 1})
    saved = service.call(
        "data/save",
        "me",
        token=owner.token,
        body={"mine": True},
        query={"ttlSeconds": "10"},
        **bucket(owner, "result"),
    )
    assert saved.status == 200
    clock.forward(10)
    assert finish(service, owner).status == 200
    assert data(service, owner)["result"]["data"] == {"draft": {"a": 1}}
    loaded = service.call("data/load", "me", token=owner.token, **bucket(owner, "result"))
    assert loaded.json["version"] > saved.json["version"]


def test_a_draft_that_fits_no_item_is_not_finished(service: Service) -> None:
    parts = {name: {"text": "x" * 120_000} for name in ("a", "b", "c")}
    owner = filled(service, a=parts["a"])
    for name in ("b", "c"):
        saved = service.call("data/save", "me", token=owner.token, body=parts[name], **bucket(owner, name))
        assert saved.status == 200
    assert finish(service, owner, buckets=[*parts]).problem == (413, "content-too-large")
    assert data(service, owner) == parts
    assert finish(service, owner, buckets=["a", "b"]).status == 200


def test_an_own_flow_demands_more_of_its_end(service: Service) -> None:
    flow = {"steps": [1], "finish": {"present": ["/email", "/data/terms/agreed"], "buckets": ["terms"]}}
    shop = service.another(KINDS=json.dumps({"survey": {**TOUR["tour"], "flow": flow}}))
    owner = shop.create(kind="survey", data={"terms": {"agreed": False}})
    assert finish(shop, owner).json["missing"] == ["/email"]
    assert shop.call("sessions/update", "me", token=owner.token, body={"email": "a@example.org"}).status == 200
    assert finish(shop, owner).status == 200
    assert data(shop, owner)["result"]["data"] == {"terms": {"agreed": False}}


# --- the checkout ------------------------------------------------------------------------------------


def test_an_order_is_paid_and_counted(service: Service, buyer: Owner, output: Any) -> None:
    output.lines()
    answer = pay(service, buyer, customer={"firstName": "Ada"})
    assert answer.status == 200
    session = answer.json
    assert (session["status"], session["currentStep"]) == ("completed", "upsell-1")
    assert (session["amount"], session["currency"], session["customer"]["firstName"]) == (3998, "EUR", "Ada")
    assert session["transactionId"].startswith("txn_")
    assert session["vaultId"].startswith("vault_")
    assert session == read(service, buyer)
    assert answer.headers["ETag"] == f'"{session["version"]}"'
    assert output.metrics()["SessionsCompleted"] == [1]


def test_a_cookie_pays_too(service: Service, buyer: Owner) -> None:
    answer = service.call("flows/checkout", cookie=buyer.cookie, headers=CSRF, body=order())
    assert answer.json["status"] == "completed"
    assert service.call("flows/checkout", cookie=buyer.cookie, body=order()).problem == (403, "cross-site-request")


def test_a_declined_order_has_failed_and_is_counted(service: Service, buyer: Owner, output: Any) -> None:
    output.lines()
    assert pay(service, buyer, paymentToken="tok_declined").json["status"] == "failed"
    assert output.metrics()["CheckoutsFailed"] == [1]
    assert pay(service, buyer).json["status"] == "failed"


def test_the_same_again_is_the_same_and_another_is_refused(service: Service, buyer: Owner) -> None:
    first = pay(service, buyer).json
    assert [pay(service, buyer).json, pay(service, buyer, paymentToken="tok_other").json] == [first, first]
    refused = pay(service, buyer, amount=1)
    assert refused.problem == (409, "other-checkout")


@pytest.mark.parametrize(
    ("otherwise", "pointer"),
    [
        ({"sessionId": None}, "/sessionId"),
        ({"session_id": ""}, "/sessionId"),
        ({"products": None}, "/products"),
        ({"products": []}, "/products"),
        ({"products": [7]}, "/products/0"),
        ({"amount": 0}, "/amount"),
        ({"amount": 39.98}, "/amount"),
        ({"amount": "3998"}, "/amount"),
        ({"amount": 10**15}, "/amount"),
        ({"currency": "eur"}, "/currency"),
        ({"paymentToken": ""}, "/paymentToken"),
        ({"paymentToken": "x" * 8_193}, "/paymentToken"),
        ({"vaultId": "v"}, ""),
        ({"status": "completed"}, "/status"),
        ({"transactionId": "t"}, "/transactionId"),
        ({"customer": {"customerId": ""}}, "/customer/customerId"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_order_is_named_and_changes_nothing(
    service: Service, buyer: Owner, otherwise: Any, pointer: str
) -> None:
    before = read(service, buyer)
    body = order() | {k: v for k, v in otherwise.items() if v is not None}
    body = {k: v for k, v in body.items() if otherwise.get(k, ...) is not None}
    if "session_id" in body:
        body["sessionId"] = body.pop("session_id")
    answer = service.call("flows/checkout", token=buyer.token, body=body)
    assert answer.problem == (422, "invalid")
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
    assert "tok_visa" not in answer.text
    assert read(service, buyer) == before


def test_a_browser_names_no_customer_and_no_foreign_vault(service: Service, buyer: Owner) -> None:
    for wrong, pointer in (
        ({"customer": {"customerId": "c-1"}}, "/customer/customerId"),
        ({"paymentToken": None, "vaultId": "vault_of_another"}, "/vaultId"),
    ):
        answer = pay(service, buyer, **wrong)
        assert (answer.problem, answer.json["pointer"]) == ((403, "service-only"), pointer)
    token = service.service_token("sessions:write")
    how = {"token": token, "body": order(buyer.id, paymentToken=None, vaultId="vault_7")}
    assert service.call("flows/checkout", **how).json["vaultId"] == "vault_7"


def test_a_service_links_no_customer_by_a_checkout(service: Service, buyer: Owner) -> None:
    body, token = order(buyer.id, customer={"customerId": "c-1"}), service.service_token()
    refused = service.call("flows/checkout", token=token, body=body)
    assert refused.json["errors"][0]["pointer"] == "/customer/customerId"
    owner = service.login(buyer, "c-1")
    assert service.call("flows/checkout", token=token, body=body).json["status"] == "completed"
    assert read(service, owner)["customer"]["customerId"] == "c-1"


@pytest.mark.parametrize("operation", ["sessions/update", "flows/checkout"])
def test_a_customer_goes_back_as_it_was_read(service: Service, buyer: Owner, operation: str) -> None:
    """A page that has read a session shows its customer, link and all, and sends it back with what was typed."""

    def send(owner: Owner, customer: Any) -> Answer:
        if operation == "flows/checkout":
            return pay(service, owner, customer=customer)
        return service.call("sessions/update", "me", token=owner.token, body={"customer": customer})

    service.call("sessions/update", "me", token=buyer.token, body={"customer": {"vip": True}})
    assert send(buyer, read(service, buyer)["customer"] | {"phone": "1"}).status == 200
    known = {"customerId": None, "firstName": None, "lastName": None, "phone": "1", "vip": True}
    assert read(service, buyer)["customer"] == known
    linked = service.login(service.create(kind="checkout"), "c-1")
    for named in (None, "c-1", "c-2"):
        assert send(linked, {"customerId": named}).problem == (403, "service-only")
    assert read(service, linked)["customer"]["customerId"] == "c-1"


def test_there_must_be_something_to_charge(service: Service, buyer: Owner) -> None:
    refused = pay(service, buyer, paymentToken=None)
    assert (refused.problem, refused.json["missing"]) == ((409, "demands-unmet"), ["/vaultId"])


def test_a_session_pays_for_itself_alone(service: Service, buyer: Owner) -> None:
    other = service.create(kind="checkout")
    for session_id in (other.id, "nonsense", "a/b"):
        assert pay(service, buyer, session_id=session_id).problem == (403, "not-yours")
        body = {"sessionId": session_id, "offerId": "o", "decision": "declined"}
        assert service.call("flows/upsell", token=buyer.token, body=body).problem == (403, "not-yours")
    assert pay(service, buyer, session_id=buyer.id).status == 200


def test_without_a_provider_nothing_is_begun(service: Service, buyer: Owner) -> None:
    nobody = service.another(PAYMENT_PROVIDER="")
    answer = pay(nobody, buyer)
    assert answer.problem == (503, "no-payment-provider")
    assert read(nobody, buyer)["status"] == "pending"
    assert reconcile(nobody) == dict.fromkeys(["settled", "flagged", "dropped", "postponed", "lagSeconds"], 0)


def test_a_provider_of_ones_own_is_named_by_its_factory(service: Service, buyer: Owner) -> None:
    own = service.another(PAYMENT_PROVIDER="tests.functions.acme:provider")
    paid = pay(own, buyer).json
    assert (paid["status"], paid["transactionId"]) == ("completed", "acme-EUR-3998")
    for wrong in ("tests.functions.acme:nobody", "no_such_module:provider"):
        other = service.create(kind="checkout")
        assert pay(service.another(PAYMENT_PROVIDER=wrong), other).problem == (500, "internal-error")
        assert read(service, other)["status"] == "pending"


def test_while_the_provider_is_down_nothing_is_begun(
    service: Service, buyer: Owner, clock: FakeClock, output: Any
) -> None:
    """Five customers wait for it; who comes then is told to come again, and reads that nothing has happened."""
    down = service.another(PAYMENT_PROVIDER="tests.functions.acme:down")
    for _ in range(5):
        assert pay(down, service.create(kind="checkout")).json["status"] == "processing"
    before = read(service, buyer)
    output.lines()
    for shop in (down, service):
        answer = pay(shop, buyer)
        assert (answer.problem, int(answer.headers["Retry-After"]) > 0) == ((503, "circuit-open"), True)
        assert (read(service, buyer), steps(service, buyer.id)) == (before, [])
    clock.forward(30)
    assert pay(service, buyer).json["status"] == "completed"
    told = [line for line in output.logs() if line["message"] == "circuit"]
    assert [(line["circuit"], line["state"]) for line in told] == [
        ("payments-charge", "HALF_OPEN"),
        ("payments-charge", "CLOSED"),
    ]


def test_the_outage_of_a_provider_is_told(service: Service, output: Any) -> None:
    down = service.another(PAYMENT_PROVIDER="tests.functions.acme:down")
    for _ in range(5):
        pay(down, service.create(kind="checkout"))
    assert output.metrics()["CircuitsOpened"] == [1]
    shown = service.call("operations/metrics", token=service.service_token()).text
    assert 'tessera_circuits_opened_total{circuit="payments-charge"} 1' in shown


def test_what_is_being_paid_is_not_changed(service: Service, buyer: Owner) -> None:
    pay(service, buyer, paymentToken="tok_timeout")
    for wanted in ({"amount": 1}, {"products": []}, {"currency": "USD"}):
        answer = service.call("sessions/update", "me", token=buyer.token, body=wanted)
        assert answer.problem == (409, "payment-in-progress")
        assert answer.headers["Retry-After"] == "2"
    assert service.call("sessions/update", "me", token=buyer.token, body={"cartId": "c"}).status == 200


@pytest.mark.parametrize("card", ["tok_visa", "tok_declined"])
def test_what_was_checked_out_is_no_browser_s_to_change(service: Service, buyer: Owner, card: str) -> None:
    """Nor is the price of an offer, which is in the currency of the order."""
    ended = pay(service, buyer, paymentToken=card).json
    for wanted in ({"amount": 1}, {"products": None}, {"currency": "VND"}, {"currency": "VND", "cartId": "c"}):
        answer = service.call("sessions/update", "me", token=buyer.token, body=wanted)
        assert answer.problem == (409, "other-checkout")
    assert read(service, buyer) == ended
    told = {name: ended[name] for name in ("products", "amount", "currency")} | {"cartId": "c"}
    assert service.call("sessions/update", "me", token=buyer.token, body=told).status == 200
    corrected = service.call("sessions/update", buyer.id, token=service.service_token(), body={"amount": 3500})
    assert corrected.json["amount"] == 3500


def test_the_answer_to_a_service_lies_with_the_session_that_it_names(service: Service, buyer: Owner) -> None:
    """Where an erasure finds it."""

    class Sent:
        graph = service.graph

        def __init__(self, body: str | None) -> None:
            self.event = {"body": body}

    bodies = [json.dumps({"sessionId": buyer.id}), '{"sessionId": "me"}', '{"sessionId": 7}', "[]", "{", None]
    found = [session_of_body(Sent(body)).session_id for body in bodies]  # pyright: ignore[reportArgumentType]
    assert found == [buyer.id, "", "", "", "", ""]


# --- offers ------------------------------------------------------------------------------------------


def test_offers_lead_through_the_funnel(service: Service, buyer: Owner) -> None:
    pay(service, buyer)
    accepted = decide(service, buyer, "warranty")
    assert accepted.status == 200
    assert (accepted.json["currentStep"], accepted.json["upsells"]["accepted"]) == ("upsell-2", ["warranty"])
    assert decide(service, buyer, "warranty").json == accepted.json
    ended = decide(service, buyer, "wrap", "declined").json
    assert (ended["currentStep"], ended["upsells"]["declined"]) == ("success", ["wrap"])
    assert ended["completedSteps"] == ["checkout", "processing", "upsell-1", "upsell-2"]
    refused = decide(service, buyer, "warranty", "declined")
    assert (refused.problem, refused.json["decision"]) == ((409, "offer-decided"), "accepted")


def test_offers_wait_for_the_checkout(service: Service, buyer: Owner) -> None:
    answer = decide(service, buyer, "warranty")
    assert (answer.problem, answer.json["allowed"]) == ((409, "illegal-move"), ["processing"])


def test_an_offer_that_no_service_made_is_not_accepted(service: Service, buyer: Owner) -> None:
    pay(service, buyer)
    answer = decide(service, buyer, "yacht")
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == ((422, "invalid"), "/offerId")
    assert decide(service, buyer, "yacht", "declined").json["currentStep"] == "upsell-2"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"offerId": "o", "decision": "accepted"}, "/sessionId"),
        ({"sessionId": "me", "decision": "accepted"}, "/offerId"),
        ({"sessionId": "me", "offerId": "", "decision": "accepted"}, "/offerId"),
        ({"sessionId": "me", "offerId": "o"}, "/decision"),
        ({"sessionId": "me", "offerId": "o", "decision": "maybe"}, "/decision"),
        ({"sessionId": "me", "offerId": "o", "decision": "accepted", "amount": 1}, "/amount"),
    ],
    ids=str,
)
def test_a_wrong_decision_is_named(service: Service, buyer: Owner, body: Any, pointer: str) -> None:
    answer = service.call("flows/upsell", token=buyer.token, body=body)
    assert answer.problem == (422, "invalid")
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]


# --- the reconciler ----------------------------------------------------------------------------------


def test_it_finishes_what_nobody_has_heard_of(
    service: Service, buyer: Owner, clock: FakeClock, output: Any
) -> None:
    waiting = pay(service, buyer, paymentToken="tok_timeout").json
    assert (waiting["status"], waiting["transactionId"]) == ("processing", None)
    assert reconcile(service)["settled"] == 0
    clock.forward(60)
    output.lines()
    assert reconcile(service) == {"settled": 1, "flagged": 0, "dropped": 0, "postponed": 0, "lagSeconds": 0}
    metrics = output.metrics()
    assert (metrics["PaymentsReconciled"], metrics["PaymentLagSeconds"]) == ([1], [0])
    assert metrics["SessionsCompleted"] == [1]
    assert read(service, buyer)["status"] == "completed"


def test_it_flags_what_was_paid_for_a_session_that_is_gone(
    service: Service, buyer: Owner, clock: FakeClock, output: Any
) -> None:
    pay(service, buyer, paymentToken="tok_timeout")
    assert service.call("sessions/delete", "me", token=buyer.token).status == 204
    clock.forward(60)
    output.lines()
    assert reconcile(service)["flagged"] == 1
    lines = output.lines()
    (flagged,) = [line for line in lines if line.get("message") == "payment flagged"]
    assert flagged["transaction"].startswith("txn_")
    assert buyer.id not in json.dumps(lines)
    assert [line["PaymentsFlagged"] for line in lines if "PaymentsFlagged" in line] == [[1]]


def test_it_tells_how_long_the_oldest_waits(service: Service, buyer: Owner, clock: FakeClock) -> None:
    down = service.another(PAYMENT_PROVIDER="tests.functions.acme:down")
    assert pay(down, buyer).json["status"] == "processing"
    clock.forward(90)
    assert reconcile(down)["lagSeconds"] == 90
    clock.forward(90)
    assert (reconcile(down)["postponed"], reconcile(down)["postponed"]) == (1, 0)
    clock.forward(300)
    assert reconcile(service)["settled"] == 1


def test_it_stops_in_time(service: Service, buyer: Owner, clock: FakeClock) -> None:
    pay(service, buyer, paymentToken="tok_timeout")
    clock.forward(100)
    told = reconcile(service, 29_000)
    assert (told["settled"], told["lagSeconds"]) == (0, 40)
    assert reconcile(service, 31_000)["settled"] == 1


def test_one_that_cannot_be_read_holds_up_no_other(
    service: Service, buyer: Owner, clock: FakeClock, output: Any
) -> None:
    other = service.create(kind="checkout")
    for owner in (buyer, other):
        pay(service, owner, paymentToken="tok_timeout")
    key = charge_key(other.id, None)
    service.table.update(key, Change({("at",): None}, frozenset({("currency",)})))
    clock.forward(60)
    output.lines()
    told = reconcile(service)
    assert (told["settled"], told["postponed"]) == (1, 1)
    assert [line["message"] for line in output.logs() if line["level"] == "ERROR"] == ["poisoned charge"]
    assert reconcile(service)["postponed"] == 0


# --- for analysis ------------------------------------------------------------------------------------


def test_events_become_facts_without_anything_personal(service: Service, buyer: Owner) -> None:
    pay(service, buyer, customer={"firstName": "Ada"})
    decide(service, buyer, "warranty")
    records = [
        {
            "eventName": "INSERT",
            "dynamodb": {"SequenceNumber": str(number), "NewImage": encode_item(item)},
        }
        for number, item in enumerate(steps(service, buyer.id))
    ]
    answer = service.handler("insights/record")({"Records": records}, Context())
    assert answer == {"batchItemFailures": []}
    facts = [json.loads(line) for line in service.facts.lines]
    assert [(fact["fact"], fact["name"]) for fact in facts] == [
        ("step", "checkout_begun"),
        ("step", "checkout_completed"),
        ("step", "upsell_begun"),
        ("step", "upsell_accepted"),
    ]
    assert json.loads(facts[1]["details"]) == {
        "kind": "checkout",
        "from": "processing",
        "to": "upsell-1",
        "amount": 3998,
        "currency": "EUR",
    }
    assert json.loads(facts[3]["details"])["offer"] == "warranty"
    assert [word for word in (buyer.id, "Ada", "ada@example.org") if word in "".join(service.facts.lines)] == []


# --- what may not be seen ----------------------------------------------------------------------------


def test_means_of_payment_are_nowhere_in_clear(service: Service, clock: FakeClock, output: Any) -> None:
    """In no answer, no log and no item, neither while the charge is open nor after it."""
    owner = service.create(kind="checkout")
    secret = "tok_4242424242424242_timeout"
    answers = [pay(service, owner, paymentToken=secret), pay(service, owner, paymentToken=secret)]
    items = list(service.table.query(f"CHARGE#{owner.id}"))
    assert len(items) == 1
    clock.forward(60)
    reconcile(service)
    items += [*service.table.query(partition(owner.id)), *service.table.query(f"CHARGE#{owner.id}")]
    shown = [answer.text for answer in answers] + [json.dumps(items), json.dumps(output.lines())]
    assert [text for text in shown if "4242424242424242" in text] == []


def test_a_session_is_a_checkout_a_chat_and_a_form_at_once(service: Service) -> None:
    """None of them knows of the others: whatever one does, the others stay as they were."""
    owner = service.create(kind="form", data={"draft": {"name": "Engine"}}, cartId="cart-1")
    offer(service, owner, OFFERS)
    message = {"role": "user", "content": "Which size?"}

    def say() -> int:
        said = service.call("conversations/append", "me", token=owner.token, body={"messages": [message]})
        return said.json["lastSeq"]

    assert say() == 1
    assert advance(service, owner, 2).json["status"] == "pending"
    assert pay(service, owner).json["currentStep"] == 2
    assert say() == 2
    assert advance(service, owner, 3).json["status"] == "completed"
    assert decide(service, owner, "warranty").json["currentStep"] == 3
    assert advance(service, owner, 4).json["upsells"]["accepted"] == ["warranty"]
    query = {"include": "data,messages,activity"}
    whole = service.call("sessions/get", "me", token=owner.token, query=query).json
    assert (whole["kind"], whole["status"], whole["currentStep"]) == ("form", "completed", 4)
    assert (whole["completedSteps"], whole["data"]) == ([1, 2, 3], {"draft": {"name": "Engine"}})
    assert [said["seq"] for said in whole["messages"]] == [1, 2]
    assert finish(service, owner).json["transactionId"] == whole["transactionId"]
    assert say() == 3
    assert decide(service, owner, "wrap", "declined").json["completedSteps"] == [1, 2, 3, 4]
