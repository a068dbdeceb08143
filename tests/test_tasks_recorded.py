"""Two real VLMEvalKit runs of LLaVA-1.5-7B score to every digit of what was recorded."""

import csv
import json
from pathlib import Path

import pytest

from bench.base.errors import UserError
from bench.tasks import Score, comparable, read_predictions, score_file
from tests.task_files import RECORDED, needs_recorded

pytestmark = needs_recorded

RUNS = {"dense": "llava_v1.5_7b", "hybrid": "llava_v1.5_7b_hybrid"}


def recorded(run: str, ending: str) -> Path:
    return RECORDED / run / f"{RUNS[run]}_{ending}"


@pytest.mark.parametrize(
    ("run", "value", "circular", "vanilla", "rows", "unreadable"),
    [
        ("dense", 0.6280068728522337, 731, 850, 3133, 81),
        ("hybrid", 0.5558419243986255, 647, 801, 2943, 1),
    ],
)
def test_mmbench_reproduces(
    run: str, value: float, circular: int, vanilla: int, rows: int, unreadable: int
) -> None:
    score = score_file(recorded(run, "MMBench_DEV_EN.xlsx"))
    assert score.value == value == circular / 1164
    assert sum(score.hits.values()) == circular and len(score.hits) == 1164
    assert score.metrics["vanilla accuracy"].value == vanilla / 1164
    assert score.metrics["row accuracy"].value == rows / 4329
    assert score.samples == 4329 and score.unreadable == unreadable


@pytest.mark.parametrize("run", RUNS)
def test_mmbench_files_are_vlmevalkits_byte_for_byte(run: str, tmp_path: Path) -> None:
    source = recorded(run, "MMBench_DEV_EN.xlsx")
    task, predictions = read_predictions(source)
    score = task.score(predictions)
    sheet, accuracy = task.write_official(tmp_path, source.stem, predictions, score)
    assert accuracy.name == recorded(run, "MMBench_DEV_EN_acc.csv").name
    assert accuracy.read_bytes() == recorded(run, "MMBench_DEV_EN_acc.csv").read_bytes()
    again, read = read_predictions(sheet)
    assert read == predictions and again.data_hash == task.data_hash


@pytest.mark.parametrize("run", RUNS)
def test_mmbench_categories_reproduce(run: str) -> None:
    score = score_file(recorded(run, "MMBench_DEV_EN.xlsx"))
    with recorded(run, "MMBench_DEV_EN_acc.csv").open() as file:
        (row,) = csv.DictReader(file)
    categories = score.categories["category"]
    assert len(categories) == 20 and len(score.categories["l2-category"]) == 6
    assert {name: str(metric.value) for name, metric in categories.items()} == {
        name: text for name, text in row.items() if name in categories
    }
    assert sum(metric.count for metric in categories.values()) == 1164


def test_mmbench_pairs_by_question() -> None:
    dense, hybrid = (score_file(recorded(run, "MMBench_DEV_EN.xlsx")).hits for run in RUNS)
    assert dense.keys() == hybrid.keys()
    assert sum(dense[q] and not hybrid[q] for q in dense) == 125
    assert sum(hybrid[q] and not dense[q] for q in dense) == 41


def test_newer_matchers_read_one_letter_answers_alike() -> None:
    path = recorded("dense", "MMBench_DEV_EN.xlsx")
    scores = [score_file(path, matcher=m) for m in ("vlmevalkit-2026-06", "lmms-2024")]
    assert [score.value for score in scores] == [0.6280068728522337] * 2


@pytest.fixture
def captions(scored_once: None) -> dict[str, Score]:
    return {run: score_file(recorded(run, "COCO_VAL.xlsx")) for run in RUNS}


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_coco_reproduces(run: str, captions: dict[str, Score]) -> None:
    score = captions[run]
    wanted = json.loads(recorded(run, "COCO_VAL_score.json").read_text())
    found = {name: metric.value * 100 for name, metric in score.metrics.items()}
    assert [found.pop(f"BLEU-{n}") for n in range(1, 5)] == wanted.pop("Bleu")
    assert found == wanted
    assert len(score.values) == 5000 and score.value * 100 == wanted["CIDEr"]


@pytest.mark.slow
def test_coco_runs_of_different_prompts_have_different_recipes(captions: dict[str, Score]) -> None:
    assert captions["dense"].recipe == {"prompt": "vlmevalkit", "tokeniser": "raw"}
    assert captions["hybrid"].recipe == {"prompt": "recorded-hybrid", "tokeniser": "raw"}
    with pytest.raises(
        UserError, match=r"prompt vlmevalkit.* does not compare with .*recorded-hyb"
    ):
        comparable(captions["dense"], captions["hybrid"])
