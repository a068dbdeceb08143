"""Flips by category: the numbers are the paired ones, and many categories don't cry wolf."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.evaluation.statistics.breakdown import (
    CATEGORY_COLUMNS,
    CategoryRow,
    breakdown,
    category_cells,
    category_numbers,
    category_rows,
    holm,
    said_worse,
)
from bench.evaluation.statistics.paired import Pairs, difference_interval, two_sided_mcnemar_p

TRUE = dict.fromkeys(range(60), True)
NAMES = {question: ("ocr", "colour", "place")[question // 20] for question in range(60)}


def test_holm_adjusts_as_in_a_worked_example() -> None:
    # 4 * 0.005, 3 * 0.01, 2 * 0.03, then 0.04 raised to what came before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for p, a in zip(p_values, adjusted, strict=True):
        assert p <= a <= min(1.0, len(p_values) * p)
    for (p, a), (q, b) in itertools.combinations(zip(p_values, adjusted, strict=True), 2):
        assert a <= b if p <= q else b <= a


def test_a_row_holds_the_paired_numbers_of_its_category() -> None:
    now = TRUE | dict.fromkeys(range(8), False) | {20: False}
    before = TRUE | {21: False}
    rows = {row.category: row for row in breakdown({"category": NAMES}, before, now)}
    ocr, colour, place = rows["ocr"], rows["colour"], rows["place"]
    assert (ocr.n, ocr.lost, ocr.gained, ocr.difference) == (20, 8, 0, -0.4)
    assert (ocr.before, ocr.after) == (1.0, 0.6)
    assert (ocr.low, ocr.high) == difference_interval(Pairs(lost=8, gained=0, n=20))
    assert ocr.p_two_sided == two_sided_mcnemar_p(Pairs(lost=8, gained=0, n=20)) == 2 / 2**8
    assert ocr.holm_p_two_sided == pytest.approx(3 * ocr.p_two_sided)
    assert (colour.lost, colour.gained, colour.p_two_sided) == (1, 1, 1.0)
    assert (place.lost, place.gained, place.holm_p_two_sided) == (0, 0, 1.0)


def test_the_category_that_is_worse_is_named_and_the_better_one_is_not() -> None:
    now = TRUE | dict.fromkeys(range(9), False)
    before = TRUE | dict.fromkeys(range(20, 29), False)
    rows = breakdown({"category": NAMES}, before, now)
    assert said_worse(rows) == "significantly worse: ocr (Holm p = 0.012 two-sided)"
    assert [row.category for row in rows if row.holm_p_two_sided < 0.05] == ["colour", "ocr"]
    assert said_worse(breakdown({"category": NAMES}, TRUE, TRUE)) == ""


def test_five_lost_of_five_is_not_significant_among_three_categories() -> None:
    rows = breakdown({"category": NAMES}, TRUE, TRUE | dict.fromkeys(range(5), False))
    assert rows[0].p_two_sided == pytest.approx(0.0625) and not rows[0].worse


def rows_of(*losses: int) -> list[CategoryRow]:
    """Of categories a, b, ... of 20 questions each, those that lost so many."""
    names = {q: "abcdefghij"[q // 20] for q in range(20 * len(losses))}
    true = dict.fromkeys(names, True)
    lost = [20 * place + i for place, number in enumerate(losses) for i in range(number)]
    return breakdown({"category": names}, true, true | dict.fromkeys(lost, False))


@pytest.mark.parametrize(
    ("losses", "named"),
    [
        ((6, 0, 0), ""),  # p = 2 / 2**6 = 0.031, of three categories 0.094
        ((6,), "a"),  # the same p among itself alone
        ((8, 7, 6), "abc"),  # 3 * 0.008, 2 * 0.016, 0.031: Bonferroni would name a and b only
        ((7, 7, 7), "abc"),  # equal ones share the strictest: 3 * 0.016 = 0.047
        ((7, 7, 7, 0), ""),  # 4 * 0.016 = 0.062
        ((6, 6, 9), "c"),  # 3 * 0.004, then 2 * 0.031 for both
        ((0, 6, 0, 10), "d"),
    ],
)
def test_worse_is_decided_by_holm_and_not_by_p(losses: tuple[int, ...], named: str) -> None:
    rows = rows_of(*losses)
    assert sorted(row.category for row in rows if row.worse) == [*named]
    for row in rows:
        assert row.worse == (f"{row.category} (Holm" in said_worse(rows))


def test_a_category_that_p_alone_would_name_is_not_named() -> None:
    [row] = [row for row in rows_of(6, 0, 0) if row.lost]
    assert row.p_two_sided < 0.05 <= row.holm_p_two_sided
    assert not row.worse and said_worse([row]) == ""


def test_what_is_exactly_at_the_level_is_not_significant() -> None:
    [row] = rows_of(6)
    assert [replace(row, holm_p_two_sided=p).worse for p in (0.04999, 0.05, 0.05001)] == [
        True,
        False,
        False,
    ]


def test_levels_are_families_of_their_own_and_most_flips_come_first() -> None:
    level = dict.fromkeys(range(60), "whole")
    now = TRUE | dict.fromkeys(range(7), False) | {40: False}
    rows = breakdown({"l2-category": level, "category": NAMES}, TRUE, now)
    assert [row.category for row in rows] == ["whole", "ocr", "place", "colour"]
    assert rows[0].holm_p_two_sided == rows[0].p_two_sided  # one category, nothing to adjust for


def test_numbers_of_a_verdict_give_the_rows_back() -> None:
    names = {question: f"a/b ({name})" for question, name in NAMES.items()}
    rows = breakdown({"l2-category": names, "category": NAMES}, TRUE, TRUE | {3: False, 30: False})
    numbers: dict[str, float | str] = {"value": 0.5, "must_be": ">", **category_numbers(rows)}
    assert category_rows(numbers) == rows
    assert category_rows({"value": 0.5}) == []
    assert all(len(category_cells(row)) == len(CATEGORY_COLUMNS) for row in rows)


def test_without_a_change_a_warning_comes_in_fewer_than_one_run_of_twenty() -> None:
    generator = np.random.default_rng(3)
    levels = {"category": {question: str(question % 20) for question in range(1164)}}
    true = dict.fromkeys(range(1164), True)
    warned = 0
    for _ in range(40):
        kinds = generator.choice(3, size=1164, p=[0.04, 0.04, 0.92])
        now = true | dict.fromkeys(np.flatnonzero(kinds == 0).tolist(), False)
        before = true | dict.fromkeys(np.flatnonzero(kinds == 1).tolist(), False)
        warned += bool(said_worse(breakdown(levels, before, now)))
    assert warned <= 3  # 2.5% of 40 is one
