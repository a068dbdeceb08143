import math

import pytest

from bench.base.errors import UserError
from bench.base.verdict import Outcome, Verdict, decide, exit_code


def verdict(outcome: Outcome, **numbers: float | str) -> Verdict:
    return Verdict(
        gate="some/gate", outcome=outcome, reason="why", reproduce="nox", numbers=numbers
    )


PASS, FAIL, UNSURE = (verdict(outcome) for outcome in (Outcome.PASS, Outcome.FAIL, Outcome.UNSURE))


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([PASS], 0),
        ([PASS, PASS], 0),
        ([PASS, UNSURE], 3),
        ([UNSURE, FAIL], 1),
        ([FAIL, PASS, UNSURE], 1),
    ],
)
def test_one_failure_outweighs_doubt_and_doubt_outweighs_success(
    verdicts: list[Verdict], code: int
) -> None:
    assert exit_code(verdicts) == code


def test_no_verdicts_is_an_error_and_not_a_success() -> None:
    with pytest.raises(UserError, match="no gate was measured"):
        exit_code([])


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_nothing_passes_on_a_number_that_was_not_measured(number: float) -> None:
    with pytest.raises(UserError, match="some/gate: value"):
        verdict(Outcome.PASS, value=number)


def test_an_unsure_gate_may_have_an_unbounded_interval() -> None:
    assert verdict(Outcome.UNSURE, high=math.inf).numbers["high"] == math.inf


def test_a_reason_is_one_line() -> None:
    with pytest.raises(ValueError, match="more than one line"):
        Verdict(gate="g", outcome=Outcome.FAIL, reason="a\nb", reproduce="nox")


def test_an_interval_on_neither_side_of_its_bound_is_unsure() -> None:
    assert decide(passes=True, fails=False) is Outcome.PASS
    assert decide(passes=False, fails=True) is Outcome.FAIL
    assert decide(passes=False, fails=False) is Outcome.UNSURE
