"""What a sheet can't hold costs neither score nor verdict, and is said in one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.base.errors import UserError
from bench.evaluation.comparison.side import load_side, run_side
from bench.evaluation.runs.loop import write_score
from bench.evaluation.runs.predictions import FILE, SEAL, line, seal
from bench.tasks import Task, load_task
from bench.tasks.tables.xlsx import LONGEST_CELL, read_xlsx
from tests.commands import Typed
from tests.task_files import MMBENCH_COLUMNS, picture, rotations, write_mmbench, write_tsv

LONG = "x" * (LONGEST_CELL + 1)
GROWING = "\x07" * (LONGEST_CELL // 7 + 1)  # fits, and no more once it is escaped


def questions(folder: Path, **cells: Any) -> Task:
    return load_task(write_mmbench(folder / "a.tsv", rotations(7, ("yes", "no"), **cells)))


def captions(folder: Path, **cells: Any) -> Task:
    rows = [
        {"index": i, "answer": json.dumps([f"a {name}", f"one {name}"]), "image": picture(name)}
        for i, name in enumerate(("red", "green", "blue"))
    ]
    return load_task(write_tsv(folder / "a.tsv", [row | cells for row in rows]))


def finish(folder: Path, task: Task, answers: list[str]) -> dict[str, object]:
    """Score a run of these answers; returns its scores.json."""
    predictions = dict(zip(task.indices, answers, strict=True))
    (folder / FILE).write_text("".join(line(i, text) for i, text in predictions.items()))
    document = {
        "model": "m",
        "config": {},
        "data": {"name": task.name, "hash": task.data_hash},
        "asked": {"data": task.table.source, "prompt": "vlmevalkit"},
        "samples": len(answers),
    }
    (folder / "run.json").write_text(json.dumps(document))
    seal(folder)
    write_score(folder, task, "m", predictions)
    scores: dict[str, object] = json.loads((folder / "scores.json").read_text())
    return scores


@pytest.mark.parametrize("text", [LONG, GROWING], ids=["long", "growing"])
def test_a_column_that_nobody_asks_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    task = questions(tmp_path, comment=text, source="a book")
    assert finish(tmp_path, task, ["B", "A"])["value"] == 1.0
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "without the column 'comment'" in said
    columns = read_xlsx(tmp_path / "m_a.xlsx").columns
    assert "comment" not in columns and {"source", "prediction", "split"} < set(columns)
    assert load_side(str(tmp_path)).hits == run_side(tmp_path, task).hits == {7: True}


def test_a_column_whose_name_is_too_long_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (row, other) = rotations(7, ("yes", "no"))
    path = write_tsv(tmp_path / "a.tsv", [row | {LONG: "1"}, other], [*MMBENCH_COLUMNS, LONG])
    assert finish(tmp_path, load_task(path), ["B", "A"])["value"] == 1.0
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "its name is longer" in said and len(said) < 500
    assert (tmp_path / "m_a.xlsx").is_file()


@pytest.mark.parametrize(
    ("cells", "answers", "named"),
    [
        ({"hint": LONG}, ["B", "A"], "hint|index 7 it has 32768"),
        ({}, ["B", LONG], "prediction|index 1000007 it has 32768"),
    ],
)
def test_a_sheet_whose_asked_cell_does_not_fit_is_not_written(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    cells: dict[str, object],
    answers: list[str],
    named: str,
) -> None:
    task = questions(tmp_path, **cells)
    (tmp_path / "m_a.xlsx").write_text("of an earlier scoring")
    scores = finish(tmp_path, task, answers)
    assert scores["samples"] == 2 and (tmp_path / "m_a_acc.csv").is_file()
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "m_a.xlsx is not written" in said
    assert named.partition("|")[2] in said
    assert not (tmp_path / "m_a.xlsx").exists()
    assert run_side(tmp_path, task).answers == dict(zip(task.indices, answers, strict=True))


def test_captions_keep_their_score_without_a_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = captions(tmp_path, comment=LONG)
    finish(tmp_path, task, ["a red", "a green", "a " + "blue " * LONGEST_CELL])
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "m_a.xlsx is not written" in said
    assert (tmp_path / "m_a_score.json").is_file() and not (tmp_path / "m_a.xlsx").exists()
    side = run_side(tmp_path, task)
    assert side.kind == "coco" and len(side.values) == 3
    finish(tmp_path, task, ["a red", "a green", "a blue"])
    assert "without the column 'comment'" in capsys.readouterr().err
    assert read_xlsx(tmp_path / "m_a.xlsx").columns == ("answer", "question", "prediction")


def test_a_gate_s_side_is_what_was_answered_whatever_the_sheet_says(tmp_path: Path) -> None:
    task = questions(tmp_path)
    finish(tmp_path, task, ["B", "A"])
    (tmp_path / "m_a.xlsx").write_text("no workbook")
    assert run_side(tmp_path, task).hits == {7: True}
    (tmp_path / FILE).write_text(line(7, "B"))
    with pytest.raises(UserError, match="is not what the run wrote"):
        run_side(tmp_path, task)
    (tmp_path / SEAL).unlink()
    with pytest.raises(UserError, match=f"holds scores.json and no {SEAL}"):
        run_side(tmp_path, task)


def test_a_disk_that_is_full_at_the_sheet_leaves_the_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bench.tasks.tables.export.write_xlsx", full)
    with pytest.raises(UserError, match="No space left on device"):
        finish(tmp_path, questions(tmp_path), ["B", "A"])
    assert json.loads((tmp_path / "scores.json").read_text())["value"] == 1.0


@pytest.mark.parametrize("kind", ["questions", "captions"])
def test_a_run_without_a_sheet_is_scored_compared_and_kept(
    tmp_path: Path, typed: Typed, kind: str
) -> None:
    with_sheet, without = tmp_path / "with", tmp_path / "without"
    for folder in (with_sheet, without):
        folder.mkdir()
        if kind == "questions":
            finish(folder, questions(tmp_path), ["B", "A" if folder == with_sheet else LONG])
        else:
            last = "a blue" if folder == with_sheet else "a " + "blue " * LONGEST_CELL
            finish(folder, captions(tmp_path), ["a red", "a green", last])
    assert (with_sheet / "m_a.xlsx").is_file() and not list(without.glob("*.xlsx"))
    score, difference = ("0.0000", "1 lost") if kind == "questions" else ("CIDEr", "CIDEr")
    scored = typed("score", str(without))
    assert scored.code == 0 and score in scored.out
    compared = typed("compare", str(with_sheet), str(without), "--no-pictures")
    assert compared.code == 0 and difference in compared.out
    kept = str(tmp_path / "kept")
    added = typed("reference", "add", str(without), "--name", "long", "--references", kept)
    assert (added.code, added.out) == (0, f"written to {kept}/long.csv\n")


@pytest.mark.parametrize("command", [("compare", "."), ("reference", "add")])
def test_without_a_sheet_and_without_data_it_is_said_what_is_missing(
    tmp_path: Path, typed: Typed, command: tuple[str, ...]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    finish(run, questions(tmp_path), ["B", LONG])
    (tmp_path / "a.tsv").unlink()
    ended = typed(*(str(run) if word == "." else word for word in command), str(run))
    last = ended.err.splitlines()[-1]
    assert ended.code == 2 and last.startswith(
        f"error: {run} has no .xlsx, as when a cell is longer"
    )
    assert "so its data are needed" in last and "a.tsv" in last
    scored = typed("score", str(run))
    assert scored.code == 2 and "a.tsv" in scored.err


def test_other_data_in_the_place_of_a_run_s_are_told(tmp_path: Path, typed: Typed) -> None:
    run = tmp_path / "run"
    run.mkdir()
    finish(run, questions(tmp_path), ["B", LONG])
    questions(tmp_path, comment="other")
    ended = typed("reference", "add", str(run))
    assert ended.code == 2 and "put them back, or run again without --reuse" in ended.err
