import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.base.errors import UserError
from bench.base.verdict import Outcome, Verdict
from bench.evaluation.statistics.breakdown import category_rows
from bench.gates.accuracy import accuracy_gate, floor_on

RECORDED = Path(__file__).parents[1] / "../shared/data/recorded-runs"


def runs(*, lost: int, gained: int, n: int, right: int) -> tuple[dict[int, bool], dict[int, bool]]:
    """Hits now and before: `right` of n were right before."""
    before = {question: question < right for question in range(n)}
    now = before | dict.fromkeys(range(lost), False)
    return now | dict.fromkeys(range(right, right + gained), True), before


def gate(
    now: Mapping[int, Any],
    before: Mapping[int, Any],
    *,
    margin: float | None = 0.03,
    floor: float | None = 0.1,
) -> tuple[Verdict, Verdict]:
    paired, absolute = accuracy_gate(
        hits=now, reference_hits=before, margin=margin, floor=floor, reproduce="nox -s accuracy"
    )
    return paired, absolute


@pytest.mark.parametrize("n", [100, 480, 1164])
def test_a_run_against_itself_passes(n: int) -> None:
    paired, _ = gate(*runs(lost=0, gained=0, n=n, right=n // 2))
    assert paired.outcome is Outcome.PASS
    assert paired.numbers["mcnemar_p_one_sided"] == 1


@pytest.mark.parametrize("lost", [0, 400])
def test_what_has_neither_margin_nor_floor_is_told_and_unsure(lost: int) -> None:
    verdicts = gate(*runs(lost=lost, gained=0, n=480, right=450), margin=None, floor=None)
    assert {verdict.outcome for verdict in verdicts} == {Outcome.UNSURE}
    paired, absolute = verdicts
    assert "no margin to judge it by" in paired.reason and f"lost {lost}" in paired.reason
    assert "no floor to judge it by" in absolute.reason
    for verdict in verdicts:
        assert "bound" not in verdict.numbers and "low" in verdict.numbers


def test_ten_agreeing_questions_prove_nothing_about_three_points() -> None:
    paired, _ = gate(*runs(lost=0, gained=0, n=10, right=5))
    assert paired.outcome is Outcome.UNSURE
    assert "more questions" in paired.reason


@pytest.mark.parametrize(
    ("margin", "outcome"),
    [
        (0.01, Outcome.FAIL),
        (0.03, Outcome.FAIL),
        (0.05, Outcome.FAIL),
        (0.054, Outcome.FAIL),
        (0.06, Outcome.UNSURE),
        (0.09, Outcome.UNSURE),
        (0.10, Outcome.PASS),
    ],
)
def test_the_recorded_pair_fails_at_every_margin_up_to_five_points(
    margin: float, outcome: Outcome
) -> None:
    paired, _ = gate(*runs(lost=125, gained=41, n=1164, right=731), margin=margin)
    assert paired.outcome is outcome
    assert (paired.numbers["lost"], paired.numbers["gained"]) == (125, 41)
    assert paired.numbers["value"] == pytest.approx(-84 / 1164)
    assert paired.numbers["mcnemar_p_one_sided"] == pytest.approx(2.25e-11, rel=0.01)


@pytest.mark.skipif(not RECORDED.is_dir(), reason="recorded runs are not beside the repository")
def test_the_recorded_files_give_these_counts() -> None:
    tasks = pytest.importorskip("bench.tasks")
    name = "MMBench_DEV_EN.xlsx"
    dense = tasks.score_file(RECORDED / "dense" / f"llava_v1.5_7b_{name}")
    hybrid = tasks.score_file(RECORDED / "hybrid" / f"llava_v1.5_7b_hybrid_{name}")
    paired, absolute = gate(hybrid.hits, dense.hits, margin=0.05, floor=0.553)
    assert (paired.numbers["lost"], paired.numbers["gained"]) == (125, 41)
    assert paired.outcome is Outcome.FAIL
    assert absolute.outcome is Outcome.PASS
    assert absolute.numbers["value"] == 0.5558419243986255


def test_better_than_the_reference_passes_however_much_changed() -> None:
    paired, _ = gate(*runs(lost=20, gained=60, n=480, right=300))
    assert paired.outcome is Outcome.PASS
    assert paired.numbers["low"] > 0  # type: ignore[operator]


def test_swapping_the_runs_turns_a_loss_into_a_gain() -> None:
    now, before = runs(lost=60, gained=20, n=480, right=300)
    assert gate(now, before)[0].outcome is Outcome.FAIL
    assert gate(before, now)[0].outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("right", "outcome"), [(55, Outcome.FAIL), (56, Outcome.PASS), (57, Outcome.PASS)]
)
def test_the_floor_is_compared_with_the_accuracy_itself(right: int, outcome: Outcome) -> None:
    _, absolute = gate(*runs(lost=0, gained=0, n=100, right=right), floor=0.56)
    assert absolute.outcome is outcome
    assert absolute.numbers["low"] < 0.56 < absolute.numbers["high"]  # type: ignore[operator]


def with_categories(**categories: range) -> dict[str, dict[int, str]]:
    return {"category": {i: name for name, members in categories.items() for i in members}}


def test_a_category_that_is_worse_is_named_and_the_margin_still_decides() -> None:
    now, before = runs(lost=12, gained=0, n=1164, right=1164)
    paired, _ = accuracy_gate(
        hits=now,
        reference_hits=before,
        margin=0.03,
        floor=0.1,
        reproduce="-",
        categories=with_categories(ocr=range(40), colour=range(40, 1164)),
    )
    assert paired.outcome is Outcome.PASS
    assert paired.reason.endswith("; significantly worse: ocr (Holm p = 0.00098 two-sided)")
    ocr, colour = category_rows(paired.numbers)
    assert (ocr.category, ocr.lost, ocr.n, ocr.worse) == ("ocr", 12, 40, True)
    assert (colour.category, colour.lost, colour.worse) == ("colour", 0, False)


def test_near_ties_are_told_apart_and_not_forgiven() -> None:
    now, before = runs(lost=60, gained=20, n=480, right=300)
    plain, _ = gate(now, before)
    ties: dict[int, bool | None] = {**dict.fromkeys(range(60), True), 0: False, 1: None}
    split, _ = accuracy_gate(
        hits=now,
        reference_hits=before,
        margin=0.03,
        floor=0.1,
        reproduce="-",
        near_ties={**ties, **dict.fromkeys(range(300, 320), False)},
    )
    assert split.outcome is plain.outcome is Outcome.FAIL
    assert "lost 60 (1 real + 58 near-tie + 1 of unrecorded margin), gained 20 (20 real" in (
        split.reason
    )
    names = ("lost_real", "lost_near_tie", "gained_real", "gained_near_tie", "margins_missing")
    assert [split.numbers[name] for name in names] == [1, 58, 20, 0, 1]
    assert plain.numbers.items() <= split.numbers.items()
    unrecorded, _ = accuracy_gate(
        hits=now, reference_hits=before, margin=0.03, floor=0.1, reproduce="-", near_ties={}
    )
    assert "lost 60 (margins not recorded), gained 20 (margins not" in unrecorded.reason


def test_the_floor_of_a_subset_is_the_recorded_score_on_it() -> None:
    recorded = {1: True, 2: False, 3: True, 4: False, 5: True}
    assert floor_on(recorded, [1, 2, 3]) == pytest.approx(2 / 3)
    with pytest.raises(UserError, match="lacks question 9"):
        floor_on(recorded, [1, 9])
    with pytest.raises(UserError, match="no questions"):
        floor_on(recorded, [])


@pytest.mark.parametrize(
    ("now", "before", "message"),
    [
        ({}, {1: True}, "run holds no questions"),
        ({1: True}, {}, "reference holds no questions"),
        ({1: True}, {1: True, 2: False}, "the run lacks question 2"),
        ({1: True, 7: True}, {1: True}, "the reference lacks question 7"),
        ({1: math.nan}, {1: True}, "question 1 of the run: hit is nan"),
        ({1: True}, {1: None}, "question 1 of the reference: hit is None"),
        ({1: 0.5}, {1: True}, "hit is 0.5"),
    ],
)
def test_runs_that_cannot_be_compared_are_an_error(
    now: Mapping[int, Any], before: Mapping[int, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        gate(now, before)


@pytest.mark.parametrize("setting", ["margin", "floor"])
@pytest.mark.parametrize("value", [math.nan, -0.1, 3.0])
def test_settings_that_are_no_share_are_an_error(setting: str, value: float) -> None:
    now, before = runs(lost=0, gained=0, n=100, right=50)
    with pytest.raises(UserError, match=f"accuracy {setting} is"):
        gate(now, before, **{setting: value})


def test_an_unsure_one_says_how_many_questions_would_tell() -> None:
    """As many, lost and gained at the same rates, do decide."""
    paired, _ = gate(*runs(lost=6, gained=4, n=200, right=100))
    assert paired.outcome is Outcome.UNSURE
    needed = int(paired.reason.partition("about ")[2].split()[0])
    more = needed // 200
    assert 2 <= more <= 10
    enough, _ = gate(*runs(lost=6 * more, gained=4 * more, n=200 * more, right=100 * more))
    assert enough.outcome is Outcome.PASS


def test_each_p_says_its_side() -> None:
    paired, _ = gate(*runs(lost=9, gained=1, n=400, right=200))
    assert "(McNemar p = 0.011 one-sided, 0.021 two-sided)" in paired.reason
