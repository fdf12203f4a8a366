"""Kinds: the contract's policies and flows, what a company may override, and where one may move in a flow."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import IllegalMove, Misconfigured
from tessera.model.kinds import DEFAULTS, Demand, Finish, Flow, Kind, Move, Step, kinds

MINUTE, HOUR, DAY = 60, 3_600, 86_400
FORM = Flow(steps=(1, 2, 3, 4), finish=Finish())
FUNNEL = Flow(
    steps=("checkout", "processing", "upsell-1", "upsell-2", "success"), guarded=True, paying="processing"
)
TOUR = {"idleSeconds": 60, "absoluteSeconds": 600}


@pytest.mark.parametrize(
    ("kind", "idle", "absolute"),
    [
        ("auth", 30 * MINUTE, 12 * HOUR),
        ("checkout", 24 * HOUR, 7 * DAY),
        ("form", 24 * HOUR, 30 * DAY),
        ("chat", 30 * DAY, 365 * DAY),
        ("configurator", 7 * DAY, 90 * DAY),
    ],
)
def test_the_kinds_have_the_timeouts_of_the_contract(kind: str, idle: int, absolute: int) -> None:
    assert (DEFAULTS[kind].idle_seconds, DEFAULTS[kind].absolute_seconds) == (idle, absolute)


def test_two_kinds_have_a_flow() -> None:
    assert DEFAULTS["form"].flow == FORM
    assert DEFAULTS["checkout"].flow == FUNNEL
    assert {name for name, kind in DEFAULTS.items() if kind.flow} == {"form", "checkout"}


def test_no_kind_is_cached_unless_somebody_says_so() -> None:
    assert all(kind.cache_seconds == 0 for kind in DEFAULTS.values())


def test_an_override_changes_what_it_names_and_leaves_the_rest() -> None:
    found = kinds({"chat": {"cacheSeconds": 2}})
    assert found["chat"] == DEFAULTS["chat"].model_copy(update={"cache_seconds": 2})
    assert {name: kind for name, kind in found.items() if name != "chat"} == {
        name: kind for name, kind in DEFAULTS.items() if name != "chat"
    }


def test_a_company_may_have_kinds_of_its_own() -> None:
    tour = {"idleSeconds": 60, "absoluteSeconds": 600, "flow": {"steps": ["a", "b"]}}
    assert kinds({"tour": tour})["tour"] == Kind(
        idle_seconds=60, absolute_seconds=600, flow=Flow(steps=("a", "b"))
    )


def test_a_company_declares_its_flows_in_full() -> None:
    declared = {
        "steps": ["cart", "pay", "offer", "thanks"],
        "guarded": False,
        "moves": [{"from": "cart", "to": "pay"}, {"from": "pay", "to": "cart"}],
        "demands": [{"to": "pay", "present": ["/email", "/data/draft/a~1b"]}],
        "paying": "pay",
        "finish": {"present": ["/customer/phone"], "buckets": ["draft", "sizes"], "result": "project"},
    }
    assert kinds({"tour": {**TOUR, "flow": declared}})["tour"].flow == Flow(
        steps=("cart", "pay", "offer", "thanks"),
        moves=(Move(origin="cart", to="pay"), Move(origin="pay", to="cart")),  # pyright: ignore[reportCallIssue] - by its name
        demands=(Demand(to="pay", present=("/email", "/data/draft/a~1b")),),
        paying="pay",
        finish=Finish(present=("/customer/phone",), buckets=("draft", "sizes"), result="project"),
    )


@pytest.mark.parametrize(
    "flow",
    [
        pytest.param({"steps": [1, 2], "moves": [{"from": 1, "to": 3}]}, id="a move to no step of it"),
        pytest.param({"steps": [1, 2], "moves": [{"from": "1", "to": 2}]}, id="a move from no step of it"),
        pytest.param({"steps": [1, 2], "demands": [{"to": 3, "present": ["/email"]}]}, id="a demand of no step"),
        pytest.param({"steps": [1, 2], "demands": [{"to": 2, "present": []}]}, id="a demand of nothing"),
        pytest.param({"steps": [1, 2], "demands": [{"to": 2, "present": ["email"]}]}, id="no pointer"),
        pytest.param({"steps": ["a", "b"], "paying": "c"}, id="a payment at no step of it"),
        pytest.param({"steps": ["a", "b"], "paying": "b"}, id="a payment that leads nowhere"),
        pytest.param({"steps": [1], "finish": {"buckets": ["a b"]}}, id="a bucket that cannot be"),
        pytest.param({"steps": [1], "finish": {"bucket": "a"}}, id="a misspelt name"),
        pytest.param({"steps": [1], "finish": {"buckets": ["result"]}}, id="a draft that is its own result"),
        pytest.param({"steps": ["a", "b", "a"]}, id="a step that comes twice"),
    ],
)
def test_a_flow_that_makes_no_sense_stops_the_start(flow: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match="tour"):
        kinds({"tour": {**TOUR, "flow": flow}})


def test_declared_moves_are_all_there_are() -> None:
    moves = (Move(origin=1, to=3), Move(origin=3, to=1))  # pyright: ignore[reportCallIssue] - by their names
    flow = Flow(steps=(1, 2, 3), moves=moves)
    assert [flow.allowed(step, [1, 2, 3]) for step in (None, 1, 2, 3)] == [[1], [3], [], [1]]


def test_offers_are_made_between_the_payment_and_the_end() -> None:
    assert [FUNNEL.offers_at(step) for step in FUNNEL.steps] == [False, False, True, True, False]
    assert not any(FORM.offers_at(step) for step in (None, 1, 4))
    assert not FUNNEL.offers_at("elsewhere")


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param({"tour": {"idleSeconds": 60}}, id="a new kind without all its times"),
        pytest.param({"chat": {"cacheSeconds": 3}}, id="reads older than two seconds"),
        pytest.param({"chat": {"idleSecond": 3}}, id="a misspelt name"),
        pytest.param({"chat": {"idleSeconds": 0}}, id="no idle timeout"),
        pytest.param({"chat": {"hotRetentionSeconds": -1}}, id="a negative time"),
        pytest.param({"auth": {"idleSeconds": 13 * HOUR}}, id="idle longer than absolute"),
        pytest.param({"form": {"flow": {"steps": []}}}, id="a flow without steps"),
    ],
)
def test_an_override_that_makes_no_sense_stops_the_start(overrides: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match=next(iter(overrides))):
        kinds(overrides)


@pytest.mark.parametrize("step", [0, 5, "1", True, 1.0, None])
def test_a_flow_has_its_own_steps_and_nothing_that_only_equals_them(step: Any) -> None:
    assert not FORM.has(step)
    assert FORM.has(1)


@given(
    current=st.sampled_from([None, 1, 2, 3, 4, 9]),
    wanted=st.sampled_from([1, 2, 3, 4]),
    completed=st.lists(st.sampled_from([1, 2, 3, 4]), unique=True),
)
def test_a_form_goes_one_step_forward_or_back_to_any_completed_one(
    current: int | None, wanted: int, completed: list[Step]
) -> None:
    known = current if current in FORM.steps else None
    forward = wanted == (known or 0) + 1
    back = known is not None and wanted < known and wanted in completed
    if forward or back or wanted == current:
        FORM.check_move(current, wanted, completed)
    else:
        with pytest.raises(IllegalMove) as refused:
            FORM.check_move(current, wanted, completed)
        assert wanted not in refused.value.members["allowed"]


@given(st.sampled_from(FUNNEL.steps), st.sampled_from(FUNNEL.steps), st.lists(st.sampled_from(FUNNEL.steps)))
def test_a_guarded_flow_only_goes_forward(current: Step, wanted: Step, completed: list[Step]) -> None:
    at, to = FUNNEL.steps.index(current), FUNNEL.steps.index(wanted)
    assert (wanted in FUNNEL.allowed(current, completed)) == (to == at + 1)
