"""A small sweep of the tiny model, end to end: what is finished is not done again."""

from pathlib import Path

import pytest

from bench.arms.profiles import load_profile
from bench.base.errors import UserError
from bench.evaluation.runs.job import Options
from bench.report.sweep.grid import parse_grid, parse_methods
from bench.report.sweep.result import Sweep
from bench.report.sweep.run import Timed, run_sweep
from tests.commands import Typed


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sweep]:
    folder = tmp_path_factory.mktemp("sweep")
    return folder, run(folder, keep="1,36", reuse=False)


def run(folder: Path, *, keep: str, reuse: bool, batch: int = 1) -> Sweep:
    options = Options(folder, reuse, verbose=False, limit=6)
    cells = parse_grid(keep, "on")
    return run_sweep(load_profile("tiny"), cells, options, Timed(batch, 8), captions=False)


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


def test_methods_stand_beside_chance_and_are_told_apart_in_words(tmp_path: Path) -> None:
    cells = parse_methods("9", "divprune,pyramiddrop")
    assert [cell.arm for cell in cells] == ["random-tokens", "divprune", "pyramiddrop"]
    options = Options(tmp_path, reuse=False, verbose=False, limit=12)
    found = run_sweep(load_profile("tiny"), cells, options, Timed(1, 8), captions=False)
    dense, chance, divprune, pyramid = found.points
    assert (dense.average, chance.average, divprune.average) == (None, 9.0, 9.0)
    assert pyramid.average is not None and 9 < pyramid.average < 144
    assert chance.accuracy < divprune.accuracy
    assert found.said[0].startswith("divprune at 9 is better than random-tokens: +")
    assert len(found.said) == 2 and Sweep.load(tmp_path / "sweep.json") == found


@pytest.mark.parametrize(
    ("keep", "methods", "line"),
    [
        ("none", "divprune", "each is a budget"),
        ("9", "best", "no arm 'best': .* tome,"),
        ("9", "dense", "choose from tome,"),
    ],
)
def test_methods_need_names_and_budgets(keep: str, methods: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        parse_methods(keep, methods)


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
