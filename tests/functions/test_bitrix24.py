"""integrations/bitrix24: completed orders as deals, by event and by schedule, against a portal over HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest

from local.bitrix24 import Fault, Portal, running
from tessera.errors import Unavailable
from tessera.stores.attributes import encode
from tessera.stores.keys import outbox_key
from tessera.stores.outbox import CLAIM, GRACE
from tests.functions.conftest import Output
from tests.functions.service import Context, Service, sample
from tests.support.fakes import FailingStore, FakeClock

ORDER = {"amount": 4_900, "currency": "EUR", "email": "ada@example.org", "products": [{"title": "Kettle"}]}
MINUTE = Context(60_000)


@pytest.fixture
def shop(service: Service) -> Service:
    return service.another(BITRIX24="on")


@pytest.fixture
def portal(shop: Service) -> Iterator[Portal]:
    with running(Portal()) as portal:
        shop.webhook.address = portal.webhook
        yield portal


def complete(shop: Service, **order: Any) -> str:
    """Complete an order as a service does, and return its session."""
    owner = shop.create(kind="checkout", **{**ORDER, **order})
    for status in ("processing", "completed"):
        answer = shop.call("sessions/update", owner.id, token=shop.service_token(), body={"status": status})
        assert answer.status == 200, answer.text
    return owner.id


def hear(shop: Service, session_id: str) -> Any:
    event = sample("integrations/bitrix24") | {"detail": {"session": session_id}}
    return shop.handler("integrations/bitrix24")(event, MINUTE)


def scheduled(shop: Service, context: Context = MINUTE) -> Any:
    event = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
    return shop.handler("integrations/bitrix24")(event, context)


def item(shop: Service, session_id: str) -> Any:
    return shop.table.get(outbox_key(session_id))


# --- into the outbox and out to EventBridge ----------------------------------------------------------


def test_a_completed_order_is_told_of_through_the_stream(shop: Service, output: Output) -> None:
    session_id = complete(shop)
    keys = {"pk": encode(f"OUTBOX#{session_id}"), "sk": encode("ORDER")}
    record = {"eventName": "INSERT", "dynamodb": {"Keys": keys, "NewImage": keys, "SequenceNumber": "1"}}
    output.lines()
    assert shop.handler("insights/record")({"Records": [record]}, MINUTE) == {"batchItemFailures": []}
    assert (shop.events.told, shop.facts.lines) == ([session_id], [])
    assert output.metrics()["OrdersPublished"] == [1]


def test_facts_do_not_wait_for_events(shop: Service) -> None:
    """What EventBridge does not take the schedule finds."""
    session_id = complete(shop)
    order = {"pk": encode(f"OUTBOX#{session_id}"), "sk": encode("ORDER")}
    core = sample("insights/record")["Records"][0]
    told = {"eventName": "INSERT", "dynamodb": {"Keys": order, "NewImage": order, "SequenceNumber": "1"}}
    shop.events.down = True
    assert shop.handler("insights/record")({"Records": [told, core]}, MINUTE) == {"batchItemFailures": []}
    assert len(shop.facts.lines) == 1


def test_nothing_happens_while_it_is_off(service: Service) -> None:
    session_id = complete(service)
    assert item(service, session_id) is None
    found = service.call("sessions/get", session_id, token=service.service_token(), query={})
    assert found.json["status"] == "completed"


def test_a_form_that_is_finished_is_no_order(shop: Service) -> None:
    assert item(shop, complete(shop, amount=None, currency=None)) is None


# --- by event ----------------------------------------------------------------------------------------


def test_an_event_makes_the_deal(shop: Service, portal: Portal, output: Output) -> None:
    session_id = complete(shop, customer={"firstName": "Ada"})
    output.lines()
    assert hear(shop, session_id) == {"delivered": 1}
    (deal,) = portal.deals
    assert (deal["ORIGIN_ID"], deal["OPPORTUNITY"], deal["CURRENCY_ID"]) == (session_id, "49.00", "EUR")
    assert (deal["STAGE_ID"], deal["ASSIGNED_BY_ID"]) == ("NEW", 1)
    assert deal["COMMENTS"] == "Name: Ada<br>E-mail: ada@example.org<br>Kettle"
    assert item(shop, session_id)["dealId"] == deal["ID"]
    assert output.metrics()["DealsMade"] == [1]


def test_stage_and_user_are_settings(service: Service) -> None:
    shop = service.another(BITRIX24="on", BITRIX_DEAL_STAGE_ID="C5:NEW", BITRIX_ASSIGNED_BY_ID="7")
    with running(Portal()) as portal:
        shop.webhook.address = portal.webhook
        hear(shop, complete(shop))
        assert (portal.deals[0]["STAGE_ID"], portal.deals[0]["ASSIGNED_BY_ID"]) == ("C5:NEW", 7)


def test_an_event_that_comes_twice_makes_one(shop: Service, portal: Portal) -> None:
    session_id = complete(shop)
    assert [hear(shop, session_id) for _ in range(2)] == [{"delivered": 1}, {"nothing": 1}]
    assert portal.calls == ["crm.deal.add"]


def test_an_event_of_an_unknown_order_does_nothing(shop: Service, portal: Portal) -> None:
    assert hear(shop, sample("integrations/bitrix24")["detail"]["session"]) == {"nothing": 1}
    assert portal.calls == []


@pytest.mark.parametrize(
    ("fault", "outcome", "calls"),
    [
        ("limit", "busy", ["crm.deal.add"]),
        ("overload", "busy", ["crm.deal.add"]),
        ("refusal", "postponed", ["crm.deal.add"]),
        ("lost", "unknown", ["crm.deal.list", "crm.deal.add"]),
        ("vanished", "unknown", ["crm.deal.list"]),
        ("reset", "unknown", ["crm.deal.list"]),
        ("outage", "unknown", ["crm.deal.list"]),
        ("garbage", "unknown", ["crm.deal.list"]),
    ],
)
def test_whatever_befalls_a_call_there_is_one_deal(
    shop: Service, portal: Portal, fault: Fault, outcome: str, calls: list[str]
) -> None:
    session_id, clock = complete(shop), shop.clock
    portal.faults.append(fault)
    assert hear(shop, session_id) == {outcome: 1}
    clock.forward(ms=CLAIM)
    assert scheduled(shop) == {"delivered": 1, "lagSeconds": 0}
    assert portal.calls == ["crm.deal.add", *calls]
    assert [deal["ORIGIN_ID"] for deal in portal.deals] == [session_id]
    assert item(shop, session_id)["dealId"] == "1"


@pytest.mark.usefixtures("portal")
def test_a_failing_table_fails_the_event_and_loses_nothing(service: Service, clock: FakeClock) -> None:
    failing = FailingStore(service.table)
    shop = Service(clock, table=failing, environment={"BITRIX24": "on"}, webhook=service.webhook)
    session_id = complete(shop)
    failing.down = True
    with pytest.raises(Unavailable):
        hear(shop, session_id)
    failing.down = False
    clock.forward(ms=CLAIM)
    assert scheduled(shop)["delivered"] == 1


# --- by schedule -------------------------------------------------------------------------------------


def test_the_schedule_finds_what_no_event_came_for(shop: Service, portal: Portal, clock: FakeClock) -> None:
    for _ in range(3):
        complete(shop)
    assert scheduled(shop) == {"lagSeconds": 0}
    clock.forward(ms=GRACE)
    assert scheduled(shop) == {"delivered": 3, "lagSeconds": 0}
    assert len({deal["ORIGIN_ID"] for deal in portal.deals}) == 3
    assert scheduled(shop) == {"lagSeconds": 0}


def test_many_at_once_go_out_at_the_pace_of_the_portal(shop: Service, portal: Portal, clock: FakeClock) -> None:
    """Here the clock says when a call may go out; the portal counts by the real time, so it takes more at once."""
    for _ in range(53):
        complete(shop)
    clock.forward(ms=GRACE)
    began, portal.burst = clock.now, 60
    assert scheduled(shop)["delivered"] == 53
    assert clock.now - began == (53 - 50) * 500


def test_without_time_the_rest_waits_and_the_lag_says_how_long(
    shop: Service, portal: Portal, clock: FakeClock, output: Output
) -> None:
    complete(shop)
    clock.forward(ms=GRACE + 60_000)
    output.lines()
    assert scheduled(shop, Context(20_000)) == {"lagSeconds": 60}
    assert output.metrics()["CrmLagSeconds"] == [60]
    assert portal.calls == []


def test_an_outage_is_waited_for_behind_the_circuit_breaker(
    shop: Service, portal: Portal, clock: FakeClock, output: Output
) -> None:
    orders = [complete(shop) for _ in range(8)]
    clock.forward(ms=GRACE)
    portal.faults += ["lost"] * 5
    output.lines()
    ends = scheduled(shop)
    assert (ends["unknown"], ends["busy"], ends["lagSeconds"]) == (5, 1, GRACE // 1_000)
    metrics = output.metrics()
    assert (metrics["CircuitsOpened"], metrics["DealFailures"]) == ([1], [1] * 6)
    assert len(portal.calls) == 5
    for _ in range(3):
        clock.forward(ms=CLAIM)
        scheduled(shop)
    assert sorted(deal["ORIGIN_ID"] for deal in portal.deals) == sorted(orders)


def test_what_cannot_be_delivered_for_days_is_a_dead_letter(
    shop: Service, portal: Portal, clock: FakeClock, output: Output
) -> None:
    session_id = complete(shop)
    clock.forward(3 * 86_400 + 1)
    portal.faults.append("refusal")
    output.lines()
    assert scheduled(shop)["given up"] == 1
    (said,) = [line for line in output.logs() if line["message"] == "no deal yet"]
    assert (said["level"], said["reason"]) == ("ERROR", "ERROR_CORE")
    (letter,) = shop.letters.letters
    clock.forward(ms=CLAIM)
    assert scheduled(shop) == {"lagSeconds": 0}
    assert shop.handler("integrations/bitrix24")(letter, MINUTE) == {"delivered": 1}
    assert [deal["ORIGIN_ID"] for deal in portal.deals] == [session_id]


# --- the webhook -------------------------------------------------------------------------------------


def test_without_a_webhook_orders_wait_for_one(shop: Service, clock: FakeClock, output: Output) -> None:
    session_id = complete(shop)
    assert hear(shop, session_id) == {}
    clock.forward(ms=GRACE + 4_000_000)
    output.lines()
    assert scheduled(shop) == {"lagSeconds": 4_000}
    with running(Portal()) as portal:
        shop.webhook.address = portal.webhook
        assert scheduled(shop)["delivered"] == 1
        assert portal.deals


@pytest.mark.parametrize("fault", ["refusal", "garbage", "lost", None])
def test_no_log_has_the_webhook_or_anything_of_the_shopper(
    shop: Service, portal: Portal, capsys: pytest.CaptureFixture[str], fault: Fault | None
) -> None:
    session_id = complete(shop, customer={"firstName": "Ada"})
    if fault:
        portal.faults.append(fault)
    hear(shop, session_id)
    out, err = capsys.readouterr()
    for secret in (portal.key, portal.webhook, session_id, "ada@example.org", "Ada"):
        assert secret not in out + err
