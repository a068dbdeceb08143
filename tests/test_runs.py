"""A run writes each answer as it comes, and continues after any interruption."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.base.errors import UserError
from bench.cli import main
from bench.evaluation.runs.predictions import read_predictions
from tests.commands import Typed

RUN = ("run", "--data", "tiny-mmbench", "--model", "tiny_hybrid", "--limit", "12")
KNOWN = frozenset(range(10))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work_dir = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["bench", *RUN, "--work-dir", str(work_dir), "--batch-size", "4"])
        with pytest.raises(SystemExit) as ended:
            main()
    assert not ended.value.code
    return work_dir / "tiny_hybrid" / "tiny-mmbench"


def test_a_run_leaves_predictions_scores_and_what_exactly_ran(undisturbed: Path) -> None:
    names = {path.name for path in undisturbed.iterdir()}
    assert {"predictions.jsonl", "run.json", "scores.json"} <= names
    assert "tiny_hybrid_tiny-mmbench.xlsx" in names
    assert "tiny_hybrid_tiny-mmbench_acc.csv" in names
    document = json.loads((undisturbed / "run.json").read_text())
    assert document["config"]["keep"] == "18"
    assert document["data"]["weights"].startswith("sha256:")
    assert document["data"]["processor"].startswith("sha256:")


@pytest.mark.slow
def test_killed_again_and_again_and_continued_it_ends_with_the_same_answers() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "tests.kill_runs", "6"], check=False, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert "6 kills" in process.stdout


def test_another_configuration_is_not_continued(undisturbed: Path, typed: Typed) -> None:
    work_dir = str(undisturbed.parents[1])
    code, _, err = typed(*RUN, "--work-dir", work_dir, "--reuse", "--keep", "9")
    assert code == 2
    assert "another config" in err and err.count("\n") == 1


def test_nonsense_in_fastv_k_ends_before_anything_is_written(
    tmp_path: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTV_K", "36.5")
    code, _, err = typed(*RUN, "--work-dir", str(tmp_path / "out"))
    assert code == 2
    assert err == (
        "error: FASTV_K='36.5' is not a whole number of visual tokens to keep (36), "
        "a share to remove strictly between 0 and 1 (0.7), or none\n"
    )
    assert not (tmp_path / "out").exists()


def test_an_unknown_model_names_what_there_is(tmp_path: Path, typed: Typed) -> None:
    unknown = ("run", "--data", "tiny-mmbench", "--model", "gpt")
    code, _, err = typed(*unknown, "--work-dir", str(tmp_path))
    assert code == 2
    assert "no model 'gpt'" in err and "tiny" in err


def line(index: int, prediction: str = "A") -> str:
    return json.dumps({"index": index, "prediction": prediction}) + "\n"


def test_a_torn_last_line_is_dropped_and_cut_off_the_file(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text(line(0) + line(1) + '{"index": 2, "pred')
    assert read_predictions(path, KNOWN) == {0: "A", 1: "A"}
    assert path.read_text() == line(0) + line(1)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (line(0) + "rubbish\n" + line(1), "line 2 is damaged"),
        (line(0) + line(0), "line 2 answers sample 0 a second time"),
        (line(0) + line(99), "line 2 answers sample 99, which is not in the data"),
        (line(0) + '{"index": 1}\n', "line 2 is damaged"),
        ('[1, "A"]\n', "line 1 is damaged"),
    ],
)
def test_damaged_predictions_are_named_and_never_skipped(
    tmp_path: Path, content: str, named: str
) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text(content)
    with pytest.raises(UserError, match=named):
        read_predictions(path, KNOWN)


def test_a_damaged_image_is_found_before_anything_is_written(tmp_path: Path, typed: Typed) -> None:
    rubbish = "QUJD" * 100  # base64, but no image
    data = tmp_path / "bad.tsv"
    header = "index\tquestion\tA\tB\tanswer\tcategory\timage\tl2-category\tsplit"
    data.write_text(f"{header}\n1\tq?\tx\ty\tA\tc\t{rubbish}\tl\tdev\n")
    out = tmp_path / "out"
    code, _, err = typed("run", "--data", str(data), "--model", "tiny", "--work-dir", str(out))
    assert code == 2
    assert "row with index 1" in err and err.count("\n") == 1
    assert not out.exists()
