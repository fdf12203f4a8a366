"""What is asked for again, after nobody knew what became of it."""

import pytest

from tessera_client import Problem, Unreachable
from tessera_client.repeats import Unsettled


def failing(unsettled: Unsettled, failure: Exception) -> list[str]:
    """Ask for something that fails; return the ids that it had."""
    with pytest.raises(type(failure)), unsettled.ids("pop", count=1) as ids:
        raise failure
    return ids


def test_a_request_whose_outcome_nobody_knows_keeps_its_ids() -> None:
    unsettled = Unsettled()
    first = failing(unsettled, Unreachable("no answer"))
    assert failing(unsettled, Unreachable("no answer")) == first


def test_a_request_that_was_done_and_whose_answer_is_gone_is_settled() -> None:
    """Else each further pop would be told again that the first one was done."""
    unsettled = Unsettled()
    first = failing(unsettled, Problem(409, {"type": "/problems/answer-not-kept"}))
    with unsettled.ids("pop", count=1) as ids:
        assert ids != first
