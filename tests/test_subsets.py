"""Subsets are named by files, and the shipped ones are made again from the recorded run."""

import random
from collections import Counter
from pathlib import Path

import pytest

from bench.base.errors import UserError
from bench.tasks import load_task
from bench.tasks.subsets import load_subset, names, simple, stratified
from bench.tasks.subsets.__main__ import coco_500, mmbench_300
from bench.tasks.tables.xlsx import read_xlsx
from tests.task_files import RECORDED, needs_recorded, rotations, write_mmbench

MMBENCH = RECORDED / "dense" / "llava_v1.5_7b_MMBench_DEV_EN.xlsx"
COCO = RECORDED / "dense" / "llava_v1.5_7b_COCO_VAL.xlsx"
SHIPPED = Path(__file__).parents[1] / "bench" / "tasks" / "subsets"


def test_a_file_holds_an_index_a_line_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_text("# chosen by hand\n\n241\n 7 # the hard one\n")
    assert load_subset(str(path)) == (241, 7)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("7\nseven\n", "line 2: 'seven' is not an index"),
        ("7\n-1\n", "line 2: '-1' is not an index"),
        ("7\n²\n", "line 2: '²' is not an index"),
        ("7\n8\n7\n", "line 3: index 7 stood on line 1"),
        ("# nothing\n", "names no index"),
    ],
)
def test_a_damaged_subset_is_named_by_line(tmp_path: Path, content: str, named: str) -> None:
    path = tmp_path / "mine.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=named):
        load_subset(str(path))


def test_an_unknown_subset_names_what_there_is() -> None:
    with pytest.raises(UserError, match=r"no subset 'mmbench-3000'.*coco-500 or mmbench-300"):
        load_subset("mmbench-3000")


def test_strata_get_their_shares_whatever_the_order() -> None:
    categories = {index: "abc"[min(index // 50, 2)] for index in range(200)}  # 50, 50, 100
    chosen = stratified(categories, 42)
    assert Counter(categories[index] for index in chosen) == {"a": 11, "b": 10, "c": 21}
    shuffled = list(categories)
    random.Random(1).shuffle(shuffled)
    assert stratified({index: categories[index] for index in shuffled}, 42) == chosen
    assert simple(shuffled, 42) == simple(range(200), 42)


def test_a_subset_takes_whole_groups(tmp_path: Path) -> None:
    data = write_mmbench(tmp_path / "a.tsv", rotations(7), rotations(8), rotations(9))
    task = load_task(data, subset=load_subset(str(subset_of(tmp_path, 9, 7))))
    assert {index % 1_000_000 for index in task.indices} == {7, 9}
    assert len(task.indices) == 8


def subset_of(folder: Path, *indices: int) -> Path:
    path = folder / "subset.txt"
    path.write_text("".join(f"{index}\n" for index in indices))
    return path


def test_the_shipped_subsets_hold_what_their_names_say() -> None:
    assert {name: len(load_subset(name)) for name in names()} == {
        "coco-500": 500,
        "mmbench-300": 300,
    }


@needs_recorded
def test_the_shipped_mmbench_subset_is_the_recorded_runs_stratified_by_category() -> None:
    assert (SHIPPED / "mmbench-300.txt").read_text() == mmbench_300(MMBENCH)
    table = read_xlsx(MMBENCH)
    first = [index for index in table.rows if index < 1_000_000]
    everywhere = Counter(table.cell(index, "category") for index in first)
    chosen = Counter(table.cell(index, "category") for index in load_subset("mmbench-300"))
    for category, count in everywhere.items():
        assert abs(chosen[category] - 300 * count / len(first)) < 1


@needs_recorded
def test_the_shipped_coco_subset_is_drawn_from_the_recorded_runs_indices() -> None:
    assert (SHIPPED / "coco-500.txt").read_text() == coco_500(COCO)
