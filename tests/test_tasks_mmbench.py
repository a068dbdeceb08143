"""MMBench: the exact prompt, the circular score, and questions that make no sense."""

import csv
import json
import math
from pathlib import Path

import pytest

from bench.base.errors import UserError
from bench.tasks import load_task, standard_error
from tests.task_files import rotations, write_mmbench

SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives"
    " helpful, detailed, and polite answers to the human's questions. "
)


def test_the_prompt_is_vlmevalkits_to_the_space(tmp_path: Path) -> None:
    path = write_mmbench(
        tmp_path / "a.tsv",
        rotations(7, ("up", "down"), hint="Look.\nTwice."),
        rotations(8, ("up", "down", "left")),
    )
    prompts = {s.index: s.prompt for s in load_task(path).samples}
    tail = "Answer with the option's letter from the given choices directly. ASSISTANT: "
    assert prompts[7] == (
        f"{SYSTEM}USER:  <image> Look.\nTwice.\nWhat is 7?\nA. up\nB. down\n{tail}"
    )
    assert prompts[1_000_008] == (
        f"{SYSTEM}USER:  <image> What is 8?\nA. left\nB. up\nC. down\n{tail}"
    )


def test_chinese_anywhere_switches_the_instruction(tmp_path: Path) -> None:
    path = write_mmbench(tmp_path / "a.tsv", rotations(7, ("up", "上")))
    for sample in load_task(path).samples:
        assert sample.prompt.endswith("\n请直接回答选项字母。 ASSISTANT: ")


def test_text_that_stands_for_a_second_image_is_refused(tmp_path: Path) -> None:
    path = write_mmbench(tmp_path / "a.tsv", rotations(7, question="What is in <image>?"))
    with pytest.raises(UserError, match=r"a\.tsv: row with index 7: its text contains <image>"):
        load_task(path)


def test_an_unknown_prompt_is_refused_by_name(tmp_path: Path) -> None:
    path = write_mmbench(tmp_path / "a.tsv", rotations(7))
    with pytest.raises(UserError, match="unknown prompt 'chatml'; choose one of vlmevalkit"):
        load_task(path, prompt="chatml")


def test_a_question_counts_only_if_every_rotation_is_right(tmp_path: Path) -> None:
    rows = [*rotations(7), *rotations(8), *rotations(9, ("yes", "no"), category="ocr")]
    task = load_task(write_mmbench(tmp_path / "a.tsv", rows))
    right = {int(str(row["index"])): str(row["answer"]) for row in rows}
    assert task.score(right).value == 1.0

    wrong_last = right | {3_000_008: "A" if right[3_000_008] != "A" else "B"}
    score = task.score(wrong_last)
    assert score.hits == {7: True, 8: False, 9: True}
    assert score.value == 2 / 3
    assert score.metrics["vanilla accuracy"].value == 1.0
    assert score.metrics["row accuracy"].value == 9 / 10
    assert score.unreadable == 0
    found = {name: (m.value, m.count) for name, m in score.categories["category"].items()}
    assert found == {"object_localization": (0.5, 2), "ocr": (1.0, 1)}

    unreadable = task.score(right | {7: "I can't tell"})
    assert unreadable.hits[7] is False and unreadable.unreadable == 1


def test_rescoring_by_another_matcher_says_so(tmp_path: Path) -> None:
    rows = rotations(7)
    path = write_mmbench(tmp_path / "a.tsv", rows)
    wordy = {
        int(str(r["index"])): f"{r['answer']}. it hops around a lot all day long" for r in rows
    }
    old, new = (
        load_task(path, matcher=m).score(wordy)
        for m in ("vlmevalkit-2025-04", "vlmevalkit-2026-06")
    )
    assert (old.value, new.value, new.unreadable) == (1.0, 0.0, 4)
    assert old.recipe == {"prompt": "vlmevalkit", "matcher": "vlmevalkit-2025-04"}
    assert new.recipe["matcher"] == "vlmevalkit-2026-06"


def test_standard_errors_are_clustered_by_question() -> None:
    values = [1.0, 0.0, 1.0, 1.0]
    assert standard_error(values) == pytest.approx(math.sqrt(0.75 / 3 / 4))
    # copies add nothing: the error of twice the same answers is that of once
    doubled = [value for value in values for _ in range(2)]
    clusters = [index // 2 for index in range(8)]
    assert standard_error(doubled, clusters) == pytest.approx(standard_error(values))
    naive = standard_error(doubled)
    assert naive is not None and naive < 0.75 * math.sqrt(0.75 / 3 / 4) * 2 / math.sqrt(2)
    assert standard_error([1.0, 1.0], ["one", "one"]) is None


def test_four_options_with_three_rotations_are_real_and_pass(tmp_path: Path) -> None:
    rows = rotations(7, turns=3)
    assert [row["D"] for row in rows] == ["dog"] * 3
    assert len(load_task(write_mmbench(tmp_path / "a.tsv", rows)).samples) == 3


def test_two_options_with_the_same_text_are_real_and_pass(tmp_path: Path) -> None:
    rows = rotations(7, ("left", "crash", "left", "both"))
    assert len(load_task(write_mmbench(tmp_path / "a.tsv", rows)).samples) == 4


@pytest.mark.parametrize(
    ("row", "cells", "parts"),
    [
        (0, {"answer": "E"}, ["index 7", "answer 'E' is not one of its options A, B, C, D"]),
        (0, {"answer": ""}, ["index 7", "answer cell is empty"]),
        (1, {"answer": "b"}, ["index 1000007", "'b' is not one of"]),
        (0, {"question": ""}, ["index 7", "question cell is empty"]),
        (2, {"category": ""}, ["index 2000007", "category cell is empty"]),
        (0, {"split": "dev\n8\tWhat?"}, ["index 7", "split spans lines", "never closed"]),
        (1, {"D": "fish"}, ["index 1000007", "not those of row 7"]),
        (1, {"D": ""}, ["index 1000007", "not those of row 7"]),
        (1, {"answer": "B"}, ["index 1000007", "answer B is 'teddy bear'", "row 7", "'rabbit'"]),
        (0, {"index": 4_000_007}, ["index 4000007", "row 7 of its circular group is missing"]),
        (2, {"index": 5_000_007}, ["index 5000007", "row 2000007 of its circular group"]),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    tmp_path: Path, row: int, cells: dict[str, object], parts: list[str]
) -> None:
    rows = rotations(7, image=rotations(7)[0]["image"])
    rows[row] |= cells
    path = write_mmbench(tmp_path / "a.tsv", rows)
    with pytest.raises(UserError) as error:
        load_task(path)
    for part in (str(path), *parts):
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_a_row_that_repeats_a_rotation_is_refused(tmp_path: Path) -> None:
    rows = rotations(7)
    rows[2] |= {key: rows[1][key] for key in ("A", "B", "C", "D", "answer")}
    path = write_mmbench(tmp_path / "a.tsv", rows)
    with pytest.raises(UserError, match="index 2000007: its options stand as in another row of 7"):
        load_task(path)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({1_000_007: None}, "1 of 4 rows have no prediction, the first is index 1000007"),
        ({99: "A"}, "1 predictions are for rows that the data doesn't have, the first is index 99"),
    ],
)
def test_missing_and_foreign_predictions_are_refused(
    tmp_path: Path, change: dict[int, str | None], part: str
) -> None:
    task = load_task(write_mmbench(tmp_path / "a.tsv", rotations(7)))
    predictions = dict.fromkeys(task.indices, "A") | change
    given = {index: text for index, text in predictions.items() if text is not None}
    with pytest.raises(UserError, match=part):
        task.score(given)


def test_the_accuracy_file_has_a_row_for_each_split_and_vlmevalkits_names(tmp_path: Path) -> None:
    questions = [
        rotations(7),
        rotations(8, category="ocr", split="test"),
        rotations(9, category="action", l2="logic_reasoning"),
    ]
    rows = [row for rows in questions for row in rows]
    task = load_task(write_mmbench(tmp_path / "a.tsv", rows))
    predictions = {int(str(row["index"])): str(row["answer"]) for row in rows} | {9: "none"}
    score = task.score(predictions)
    _, accuracy = task.write_official(tmp_path / "out", "m_a", predictions, score)
    assert accuracy == tmp_path / "out" / "m_a_acc.csv"
    header, *lines = csv.reader(accuracy.read_text().splitlines())
    assert header == ["split", "Overall", "FP-S", "LR", "action", "object_localization", "ocr"]
    assert lines == [
        ["dev", "0.5", "1.0", "0.0", "0.0", "1.0", ""],
        ["test", "1.0", "1.0", "", "", "", "1.0"],
    ]
    assert all(
        cell.startswith('"') for cell in accuracy.read_text().replace("\n", ",").split(",")[:-1]
    )


def test_a_score_is_plain_json(tmp_path: Path) -> None:
    task = load_task(write_mmbench(tmp_path / "a.tsv", rotations(7), rotations(8)))
    document = json.loads(json.dumps(task.score(dict.fromkeys(task.indices, "B")).to_json()))
    assert document["headline"] == "circular accuracy"
    assert document["value"] == document["metrics"]["circular accuracy"]["value"] == 0.0
    assert document["values"] == {"7": 0.0, "8": 0.0}
    assert document["samples"] == 8
    assert document["metrics"]["row accuracy"] == {
        "value": 0.25,
        "standard_error": 0.0,
        "count": 8,
    }
