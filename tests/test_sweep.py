"""A sweep: its grid, its front, its file, and labels that do not stand on each other."""

import json
import math
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from bench.base.errors import UserError
from bench.report.plots.labels import place_labels
from bench.report.plots.style import new_figure, styled
from bench.report.sweep.grid import parse_grid
from bench.report.sweep.page import write_sweep
from bench.report.sweep.result import Sweep, pareto_front, point_cells, saved_sweep
from hybrid.config import ConfigError
from tests.reports import point, sweep


def test_a_grid_is_every_pair_and_knows_the_arm_that_does_it() -> None:
    cells = parse_grid("18, 0.5,none", "on,off")
    assert [(cell.name, cell.arm) for cell in cells] == [
        ("keep-18-merge-on", "hybrid"),
        ("keep-0.5-merge-on", "hybrid"),
        ("keep-none-merge-on", "dymu"),
        ("keep-18-merge-off", "fastv"),
        ("keep-0.5-merge-off", "fastv"),
        ("keep-none-merge-off", "off"),
    ]


@pytest.mark.parametrize(
    ("keep", "merge", "said"),
    [
        ("", "on", "--keep ''"),
        ("18,,36", "on", "--keep"),
        ("18,36,18", "on", "18 stands there twice"),
        ("18", "", "--merge ''"),
        ("18", "on,maybe", "--merge 'maybe'"),
        ("18", "on,on", "on stands there twice"),
    ],
)
def test_a_grid_that_is_none_is_one_line_that_says_which_option(
    keep: str, merge: str, said: str
) -> None:
    with pytest.raises(UserError) as caught:
        parse_grid(keep, merge)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", ["0", "nan", "36.5", "-3", "1.0", "18,abc"])
def test_a_keep_that_is_none_is_refused_as_everywhere(keep: str) -> None:
    with pytest.raises(ConfigError, match="--keep="):
        parse_grid(keep, "on")


def test_the_front_holds_what_no_other_point_beats() -> None:
    best, fast = point("a", True, 36, 0.9, 0.8), point("b", True, 18, 0.8, 0.5)
    beaten, twin = point("c", True, 36, 0.8, 0.6), point("d", False, 18, 0.8, 0.5)
    assert pareto_front([best, beaten, fast, twin]) == [fast, twin, best]
    assert pareto_front([beaten]) == [beaten]


def test_dense_is_in_the_table_without_a_difference_to_itself() -> None:
    dense, other = sweep().points[:2]
    assert point_cells(dense, on_front=True)[:3] == ["front", "dense", ""]
    assert point_cells(other, on_front=False)[1:4] == ["36", "off", ""]
    assert point_cells(other, on_front=False)[10] == "-0.0740"


def test_a_sweep_is_read_back_as_it_was_saved_with_intervals_without_an_end(
    tmp_path: Path,
) -> None:
    endless = replace(sweep().points[1], ratio_high=math.inf)
    saved = replace(sweep(), points=[sweep().points[0], endless])
    saved.save(tmp_path / "sweep.json")
    assert saved_sweep(tmp_path) == saved
    assert saved_sweep(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("key", "value"), [("accuracy", math.nan), ("accuracy", 1.5), ("ratio", 0.0), ("ratio", None)]
)
def test_a_sweep_with_numbers_that_cannot_be_is_refused(
    tmp_path: Path, key: str, value: float | None
) -> None:
    path = tmp_path / "sweep.json"
    sweep().save(path)
    document = json.loads(path.read_text())
    document["points"][1][key] = value
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"no sweep .* run python -m bench sweep"):
        Sweep.load(path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"points": []}'])
def test_a_file_that_is_no_sweep_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(UserError, match=r"sweep.json: no sweep"):
        saved_sweep(tmp_path)


def test_page_and_pictures_are_written_with_every_point(tmp_path: Path) -> None:
    written = write_sweep(tmp_path, sweep())
    html, svg, png = written[:3]
    assert html.read_text().count("<tr>") == 1 + len(sweep().points)
    assert svg.read_bytes().startswith(b"<?xml") and b"dense" in svg.read_bytes()
    assert png.read_bytes().startswith(b"\x89PNG")
    again = [path.read_bytes() for path in write_sweep(tmp_path / "again", sweep())]
    assert again == [path.read_bytes() for path in written]


def test_labels_of_points_in_a_heap_do_not_stand_on_each_other() -> None:
    points = [(1 + 0.01 * (n % 3), 1 + 0.01 * (n // 3)) for n in range(9)]
    with styled():
        figure, (axis,) = new_figure(4)
        axis.scatter(*zip(*points, strict=True))
        axis.set_xlim(0.5, 1.5)
        axis.set_ylim(0.5, 1.5)
        boxes = place_labels(figure, axis, points, [f"label {n}" for n in range(9)])
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
