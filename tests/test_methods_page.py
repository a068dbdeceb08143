"""The table of docs/methods.md is made of what was recorded, and of nothing else."""

from dataclasses import replace

import pytest

from bench.report.sweep.grid import CHANCE, SMALLER, parse_methods
from bench.report.sweep.result import Sweep
from sessions.methods import AVERAGES, PAGE, RECORD, written
from tests.reports import sweep


@pytest.fixture(scope="module")
def recorded() -> Sweep:
    return Sweep.load(RECORD)


def test_the_page_says_what_was_recorded(recorded: Sweep) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert written(page, recorded) == page, "run nox -s methods, or undo the edit of its table"
    changed = replace(recorded, points=[replace(p, flops=1) for p in recorded.points])
    assert written(page, changed) != page


def test_every_method_is_recorded_at_each_average_or_said_not_to_reach_it(
    recorded: Sweep,
) -> None:
    """All questions and images, and beside each method the plain ways to as many tokens."""
    assert (recorded.questions, recorded.images, recorded.batch) == (480, 240, 8)
    methods = {point.method for point in recorded.points if point.method}
    [unreachable] = [line for line in recorded.said if line.startswith("not at every average")]
    for name in parse_methods("all"):
        assert name in methods or f" {name} " in unreachable, name
        reached = {
            wanted
            for wanted in map(float, AVERAGES.split(","))
            if any(
                p.method == name and 0.75 * wanted < p.average <= wanted for p in recorded.points
            )
        }
        assert len(reached) == 4 or f" {name} " in unreachable, name
    for point in recorded.points:
        assert point.dense or (point.chance is None) == (point.method in (CHANCE, SMALLER))
        assert point.cider is not None and point.flops is not None


def test_a_sweep_without_captions_has_a_table_too() -> None:
    page = written(PAGE.read_text(encoding="utf-8"), sweep())
    assert "300 questions, 0 images" in page
