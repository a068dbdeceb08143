"""A small sweep of the tiny model, end to end: what is finished is not done again."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.arms.checkpoint.config import checked_config
from bench.arms.profiles import load_profile
from bench.base.errors import UserError
from bench.cost.budget import Counted
from bench.evaluation.runs.job import Options
from bench.report.plots.sweep import OVER, accuracy_over, latency_over
from bench.report.sweep.grid import (
    Asked,
    Cell,
    parse_averages,
    parse_budgets,
    parse_grid,
    parse_methods,
)
from bench.report.sweep.page import write_sweep
from bench.report.sweep.result import Sweep, table
from bench.report.sweep.run import Timed, average, chosen_cells, plain_cells, run_sweep
from hybrid import Keep
from hybrid.methods import METHODS
from tests.commands import Typed
from tests.reports import sweep

TINY = load_profile("tiny")


def sweep_of(asked: Asked, folder: Path) -> Sweep:
    options = Options(folder, reuse=False, verbose=False, limit=12)
    return run_sweep(TINY, asked, options, Timed(1, 8), captions=False)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sweep]:
    folder = tmp_path_factory.mktemp("sweep")
    return folder, run(folder, keep="1,36", reuse=False)


def run(folder: Path, *, keep: str, reuse: bool, batch: int = 1) -> Sweep:
    options = Options(folder, reuse, verbose=False, limit=6)
    asked = Asked(cells=parse_grid(keep, "on"))
    return run_sweep(TINY, asked, options, Timed(batch, 8), captions=False)


def test_fewer_tokens_answer_worse_and_each_point_has_its_intervals(
    swept: tuple[Path, Sweep],
) -> None:
    dense, one, many = swept[1].points
    assert (dense.tokens, one.tokens, many.tokens) == (144, 1, 36)
    assert (dense.dense, dense.ratio, dense.difference) == (True, 1.0, 0.0)
    assert one.accuracy < many.accuracy == dense.accuracy == 1.0
    for point in (one, many):
        assert point.ratio_low <= point.ratio <= point.ratio_high
        assert point.difference_low <= point.difference <= point.difference_high
        assert point.accuracy_low <= point.accuracy <= point.accuracy_high


def test_reuse_answers_and_times_nothing_again(swept: tuple[Path, Sweep]) -> None:
    folder, first = swept
    files = [folder / "latency.json", *folder.glob("*/*/*/predictions.jsonl")]
    before = {path: path.stat().st_mtime_ns for path in files}
    assert len(before) == 4
    assert run(folder, keep="1,36", reuse=True) == first
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_timings_of_another_grid_are_not_reused(swept: tuple[Path, Sweep]) -> None:
    with pytest.raises(UserError, match="timings of another grid or model"):
        run(swept[0], keep="36", reuse=True)


def test_methods_stand_beside_chance_and_a_smaller_image_at_as_many_tokens_a_layer(
    tmp_path: Path,
) -> None:
    asked = Asked(methods=["divprune", "dart"], keeps=[Keep(count=9)])
    found = sweep_of(asked, tmp_path)
    points = {(p.method, p.keep): p for p in found.points}
    dense, dart, divprune = found.points[0], points["dart", "9"], points["divprune", "9"]
    # Five layers, of which dart's first two see all 144.
    assert (dense.average, dart.average, divprune.average) == (144.0, 63.0, 9.0)
    assert dense.flops and dart.flops and divprune.flops
    assert dense.flops > dart.flops > divprune.flops
    assert dense.cache_bytes > dart.cache_bytes > divprune.cache_bytes
    assert divprune.chance and divprune.smaller and dart.chance and dart.smaller
    assert (divprune.chance.keep, divprune.smaller.keep) == ("9", "9")
    assert (dart.chance.keep, dart.smaller.keep) == ("63", "64")
    for method, beside, plain in (
        (divprune, divprune.chance, "random-tokens"),
        (dart, dart.smaller, "downsample"),
    ):
        other = points[plain, beside.keep]
        assert beside.difference == pytest.approx(method.accuracy - other.accuracy)
        assert other.chance is None and other.smaller is None
        assert beside.difference_low <= beside.difference <= beside.difference_high
    assert divprune.chance.is_beaten
    chance, smaller = found.said
    assert chance.startswith("not shown to be better than as many tokens by chance") and (
        "divprune" not in chance
    )
    assert smaller.startswith("not shown to be better than a smaller image (downsample): ")
    assert Sweep.load(tmp_path / "sweep.json") == found


def test_what_a_method_has_to_beat_has_as_many_tokens_a_layer() -> None:
    beside = plain_cells(Cell(Keep(count=9), False, "dart"), 63.2)
    assert [(cell.arm, cell.keep) for cell in beside] == [
        ("random-tokens", Keep(count=63)),
        ("downsample", Keep(count=64)),
    ]
    assert not any(plain_cells(cell, 63.2) for cell in (*beside, Cell(Keep(count=9), True)))


def test_methods_meet_at_as_many_tokens_a_layer_and_who_cannot_is_named() -> None:
    counted = Counted(checked_config(TINY.model.path), torch.float32)
    methods = ["visionzip", "feather", "fastv", "pyramiddrop", "grid"]
    asked = Asked(methods=methods, averages=[60.0, 18.0])
    cells, said = chosen_cells(asked, counted, TINY)
    found = {(cell.arm, average(counted, TINY, cell)): str(cell.keep) for cell in cells}
    assert set(found) == {
        ("visionzip", 60.0),
        ("fastv", 60.0),
        ("feather", 60.0),
        ("pyramiddrop", 58.8),
        ("grid", 36.0),
        ("visionzip", 18.0),
        ("grid", 16.0),
    }
    assert found["visionzip", 60.0] == "60" and found["pyramiddrop", 58.8] == "0.48"
    [line] = said
    assert line.endswith("in tokens a layer: feather 30.0, fastv 58.2, pyramiddrop 29.6")
    with pytest.raises(UserError, match=r"nothing to sweep: .*feather 30\.0"):
        chosen_cells(Asked(methods=["feather"], averages=[4.0]), counted, TINY)


def test_tables_hold_what_was_found_and_leave_out_what_was_not(tmp_path: Path) -> None:
    found = replace(sweep(), points=[replace(point, cider=None) for point in sweep().points])
    columns, rows = table(found)
    assert "CIDEr" not in columns and "against chance" not in columns
    assert all(len(row) == len(columns) for row in rows) and len(rows) == len(found.points)
    write_sweep(tmp_path, found, "flops")
    with (tmp_path / "sweep.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [float(row["accuracy"]) for row in read] == [p.accuracy for p in found.points]
    assert [int(row["flops"]) for row in read] == [p.flops for p in found.points]
    lines = (tmp_path / "sweep.md").read_text().splitlines()
    assert len(lines) == 2 + len(rows) and lines[0].count("|") == len(columns) + 1


@pytest.mark.parametrize("over", OVER)
def test_each_budget_can_be_drawn_over_with_dense_and_what_is_to_beat_marked(over: str) -> None:
    points = [
        replace(sweep().points[1 + i], method=name)
        for i, name in enumerate(("random-tokens", "downsample", "divprune"))
    ]
    found = replace(sweep(), points=[sweep().points[0], *points])
    for figure in (accuracy_over(found, over), latency_over(found, over)):
        [axis] = figure.axes
        _, labels = axis.get_legend_handles_labels()
        assert labels == ["divprune", "random-tokens", "downsample", "dense"]
        [dense] = [line for line in axis.containers if line.get_label() == "dense"]
        assert list(dense[0].get_xdata()) == [OVER[over].of(found.points[0])]


def test_what_cannot_be_counted_is_not_drawn_and_said() -> None:
    found = replace(sweep(), points=[replace(p, flops=None) for p in sweep().points])
    [axis] = accuracy_over(found, "flops").figure.axes
    assert not axis.containers
    assert "not counted" in table(found)[1][0]


@pytest.mark.parametrize(
    ("parse", "text", "line"),
    [
        (parse_budgets, "none", "each must be a budget"),
        (parse_methods, "best", "no arm 'best': .* tome,"),
        (parse_methods, "dymu", "choose from all, fastv, hybrid, tome,"),
        (parse_methods, "grid,grid", "grid stands there twice"),
        (parse_averages, "0", "give visual tokens a layer"),
        (parse_averages, "9,nan", "give visual tokens a layer"),
        (parse_averages, "", "at least one value"),
    ],
)
def test_methods_need_names_and_budgets(parse: Any, text: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        parse(text)


def test_all_methods_that_ship_have_one_word() -> None:
    assert set(METHODS) < set(parse_methods("all"))


def test_more_prompts_than_there_are_can_not_be_timed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--batch 99999: tiny-mmbench has 1920 prompts"):
        run(tmp_path, keep="36", reuse=False, batch=99999)


@pytest.mark.parametrize("arguments", [["--keep", "18,abc"], ["--merge", ""]])
def test_a_grid_that_is_none_exits_with_2_and_one_line(
    arguments: list[str], tmp_path: Path, typed: Typed
) -> None:
    done = typed("sweep", *arguments, "--work-dir", str(tmp_path))
    assert done.code == 2
    assert done.err.startswith("error: --") and done.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
