"""The table of docs/methods.md is made of what was recorded, and of nothing else."""

from dataclasses import replace

import pytest
import torch

from bench.arms.checkpoint.config import checked_config
from bench.arms.profiles import load_profile
from bench.cost.budget import Counted
from bench.report.sweep.grid import CHANCE, SMALLER, Asked, parse_averages, parse_methods
from bench.report.sweep.result import Sweep
from bench.report.sweep.run import chosen_cells
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
    tiny = load_profile("tiny")
    counted = Counted(checked_config(tiny.model.path), torch.float32)
    asked = Asked(methods=parse_methods("all"), averages=parse_averages(AVERAGES))
    cells, unreachable = chosen_cells(asked, counted, tiny)
    there = {(point.method, point.keep) for point in recorded.points}
    assert {(cell.method, str(cell.keep)) for cell in cells} <= there
    assert recorded.said[:1] == unreachable
    for point in recorded.points:
        assert point.dense or (point.chance is None) == (point.method in (CHANCE, SMALLER))
        assert point.cider is not None and point.flops is not None


def test_a_sweep_without_captions_has_a_table_too() -> None:
    page = written(PAGE.read_text(encoding="utf-8"), sweep())
    assert "300 questions, 0 images" in page
