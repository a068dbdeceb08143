"""Files of a run that say two things, nothing, or no number are one line, whoever reads them."""

import json
from pathlib import Path

import pytest

from bench.base.errors import UserError
from bench.evaluation.comparison.side import load_side
from bench.evaluation.runs.identity import RUN_FILE, demand_same, read_document
from bench.evaluation.runs.margins import read_margins
from bench.evaluation.runs.predictions import FILE, read_predictions
from bench.evaluation.runs.status import find_runs
from bench.report.kept import _values
from tests.compare_runs import run_folder

KNOWN = frozenset(range(10))
DEEP = "[" * 100_000
LINES = [
    '{"index": 5, "prediction": null}',
    '{"index": 5, "prediction": {"text": "A"}}',
    '{"index": 5, "prediction": ["A"]}',
    '{"index": 5, "prediction": 1}',
    '{"index": 5, "prediction": "\\ud800"}',
    '{"index": 5.9, "prediction": "A"}',
    '{"index": 5.0, "prediction": "A"}',
    '{"index": "5", "prediction": "A"}',
    '{"index": true, "prediction": "A"}',
    '{"index": 1e999, "prediction": "A"}',
    '{"index": NaN, "prediction": "A"}',
    '{"index": 5, "index": 6, "prediction": "A"}',
    '{"index": 5, "prediction": "A", "prediction": "B"}',
    '{"index": 5, "prediction": "A", "more": ' + DEEP,
    DEEP,
    "null",
]
DOCUMENTS = ["null", "[]", DEEP, '{"a": ' + DEEP, '{"model": "a", "model": "b"}', '{"a": 1e999}']
SHORT = [text[:30] for text in LINES]


def one_line(caught: pytest.ExceptionInfo[UserError]) -> bool:
    return "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("text", LINES, ids=SHORT)
def test_a_line_that_is_no_answer_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / FILE
    path.write_text('{"index": 1, "prediction": "A"}\n' + text + "\n")
    with pytest.raises(UserError, match="line 2 is damaged") as caught:
        read_predictions(path, KNOWN)
    assert one_line(caught)


@pytest.mark.parametrize("text", LINES[5:], ids=SHORT[5:])
def test_status_names_a_line_without_a_whole_index(tmp_path: Path, text: str) -> None:
    document = {"model": "m", "data": {"name": "d"}, "config": {}}
    (tmp_path / RUN_FILE).write_text(json.dumps(document | {"samples": 9, "answered_before": 0}))
    (tmp_path / FILE).write_text(text + "\n")
    with pytest.raises(UserError, match="damaged line") as caught:
        find_runs(tmp_path)
    assert one_line(caught)


@pytest.mark.parametrize("text", [*DOCUMENTS, "\ufeff\ufeff{}"], ids=lambda text: text[:30])
def test_a_damaged_run_json_is_one_line_to_all_readers(tmp_path: Path, text: str) -> None:
    folder = run_folder(tmp_path / "run", "AA")
    (folder / RUN_FILE).write_text(text)
    for read in (
        lambda: read_document(folder / RUN_FILE),
        lambda: demand_same(folder, {"model": "m"}, ("model",)),
        lambda: find_runs(folder),
        lambda: load_side(str(folder)),
    ):
        with pytest.raises(UserError, match=r"run\.json is damaged") as caught:
            read()
        assert one_line(caught)


@pytest.mark.parametrize(
    "text",
    [*DOCUMENTS, '{"values": []}', '{"values": {"1": ' + "9" * 400 + "}}", '{"values": {"x": 1}}'],
    ids=lambda text: text[:30],
)
def test_a_damaged_scores_json_is_one_line_to_all_readers(tmp_path: Path, text: str) -> None:
    (tmp_path / "scores.json").write_text(text)
    if text != '{"model": "a", "model": "b"}':
        with pytest.raises(UserError, match=r"scores\.json can't be read"):
            _values(tmp_path)
    (tmp_path / RUN_FILE).write_text('{"model": "m"}')
    with pytest.raises(UserError) as caught:
        load_side(str(tmp_path))
    assert one_line(caught)


@pytest.mark.parametrize(
    "changed",
    [
        {"index": 1.5},
        {"index": "1"},
        {"ids": [1.5]},
        {"ids": [True]},
        {"ids": None},
        {"logits": [[10**400, 1]]},
        {"logits": [[None, 1]]},
    ],
    ids=str,
)
def test_margins_that_are_no_numbers_are_named(tmp_path: Path, changed: dict[str, object]) -> None:
    row: dict[str, object] = {"index": 1, "ids": [7], "logits": [[2.0, 1.0]]}
    path = tmp_path / "margins.jsonl"
    path.write_text(json.dumps(row) + "\n")
    assert read_margins(tmp_path, KNOWN)[1].ids == (7,)
    path.write_text(json.dumps(row | changed) + "\n")
    with pytest.raises(UserError, match="line 1 is damaged"):
        read_margins(tmp_path, KNOWN)
