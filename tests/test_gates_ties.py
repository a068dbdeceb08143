"""A flip that rounding explains is a near-tie; one that it doesn't explain is not."""

import pytest

from bench.evaluation.runs.margins import Tops
from bench.evaluation.statistics.ties import (
    EPSILON,
    SPACINGS,
    Flips,
    count_flips,
    flip_is_near_tie,
    is_near_tie,
)

HALF = EPSILON["float16"]
BAND = SPACINGS * HALF * 20.0  # for logits of 20: 0.313


def tops(letter: int, margin: float, *, top: float = 20.0) -> Tops:
    """An answer of one letter and the end token."""
    return Tops((letter, 2), ((top, top - margin), (30.0, 5.0)))


def test_the_band_is_that_of_rounding_in_the_type_of_the_run() -> None:
    assert pytest.approx(0.3125) == BAND
    assert SPACINGS * EPSILON["float32"] * 20 < 4e-5
    assert SPACINGS * EPSILON["bfloat16"] * 20 == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("before", "after", "near"),
    [
        (BAND / 2, BAND / 2, True),
        (BAND / 2, BAND / 2 * 1.01, False),
        (0.0, BAND, True),
        (5.0, 0.0, False),  # the first arm was sure, so the second one's doubt excuses nothing
        (0.0, 5.0, False),
    ],
)
def test_both_margins_together_must_lie_within_rounding(
    before: float, after: float, near: bool
) -> None:
    assert is_near_tie(tops(7, before), tops(8, after), HALF) is near
    assert is_near_tie(tops(8, after), tops(7, before), HALF) is near


def test_only_the_first_token_that_differs_decides() -> None:
    one = Tops((5, 7, 2), ((20.0, 19.99), (20.0, 12.0), (20.0, 19.99)))
    two = Tops((5, 8, 9, 2), ((20.0, 19.99), (20.0, 11.0), (20.0, 19.99), (20.0, 1.0)))
    assert is_near_tie(one, two, HALF) is False
    ended = Tops((5, 2), ((20.0, 19.99), (20.0, 19.95)))  # ends where the other goes on
    went_on = Tops((5, 7, 2), ((20.0, 10.0), (20.0, 19.95), (20.0, 1.0)))
    assert is_near_tie(ended, went_on, HALF) is True


def test_answers_that_differ_behind_what_was_recorded_are_not_judged() -> None:
    assert is_near_tie(tops(7, 0.0), tops(7, 0.0), HALF) is None


def test_a_question_is_a_near_tie_only_if_each_of_its_flipped_rows_is() -> None:
    before = {1: tops(7, 0.01), 2: tops(7, 0.01), 3: tops(7, 4.0)}
    after = {1: tops(8, 0.01), 2: tops(8, 0.02), 3: tops(8, 3.0)}
    assert flip_is_near_tie([1, 2], before, after, HALF) is True
    assert flip_is_near_tie([1, 3], before, after, HALF) is False
    assert flip_is_near_tie([1, 4], before, after, HALF) is None
    assert flip_is_near_tie([3, 4], before, after, HALF) is False  # the third settles it
    assert flip_is_near_tie([], before, after, HALF) is None


@pytest.mark.parametrize(
    ("near_ties", "flips", "said"),
    [
        ([True, False, False], Flips(real=2, near_tie=1, missing=0), "2 real + 1 near-tie"),
        ([None, None], Flips(real=0, near_tie=0, missing=2), "margins not recorded"),
        (
            [True, False, None],
            Flips(real=1, near_tie=1, missing=1),
            "1 real + 1 near-tie + 1 of unrecorded margin",
        ),
    ],
)
def test_flips_are_counted_by_kind(near_ties: list[bool | None], flips: Flips, said: str) -> None:
    assert count_flips(near_ties) == flips
    assert flips.said() == said
