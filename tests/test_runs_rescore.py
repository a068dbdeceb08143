"""A run's folder, copied or not: no rate that is none, and a score by what its run.json says."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.arms.models import Checkpoint, load_checkpoint, resolve_keep
from bench.arms.profiles import load_profile
from bench.cli import main
from bench.evaluation.runs.evaluate import infer_only
from bench.evaluation.runs.job import Job, Options, open_task
from bench.evaluation.runs.predictions import FILE, SEAL
from bench.evaluation.runs.status import find_runs
from bench.tasks.load import FIXTURE_DATA

PROFILE = load_profile("tiny")
KEEP = resolve_keep("18", PROFILE)
Scored = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_checkpoint(PROFILE)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Scored:
    """`python -m bench score ..`: its exit code and both outputs."""

    def score(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["bench", "score", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return score


def run(checkpoint: Checkpoint, work_dir: Path, data: str = "tiny-mmbench") -> Path:
    options = Options(work_dir, False, False, limit=2, batch_size=4)
    task = open_task(data, options)
    return infer_only(checkpoint, Job(PROFILE, "hybrid", KEEP, task, options))[0]


def test_a_copy_shows_no_rate_and_one_that_keeps_the_times_does(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = run(checkpoint, tmp_path / "out")
    (status,) = find_runs(folder)
    assert status.rate is not None and status.last_write is not None
    shutil.copytree(folder, tmp_path / "kept")
    assert find_runs(tmp_path / "kept")[0].rate == status.rate
    later = status.last_write.timestamp() + 86_400
    copied = tmp_path / "copied"
    shutil.copytree(folder, copied)
    for place, file in enumerate(sorted(copied.iterdir())):
        os.utime(file, (later, later + place * 1e-6))
    (status,) = find_runs(copied)
    assert (status.rate, status.last_write, status.complete) == (None, None, True)
    assert "/s" not in status.text() and "files do not tell" in status.text()
    document = json.loads((folder / "run.json").read_text())
    del document["started"]  # of an older version
    (folder / "run.json").write_text(json.dumps(document))
    assert find_runs(folder)[0].rate is None


def test_answers_are_scored_by_the_run_json_beside_them(
    checkpoint: Checkpoint, tmp_path: Path, scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run(checkpoint, tmp_path / "out")
    code, out, err = scored(folder / FILE)
    assert code == 0, err
    assert "circular accuracy" in out and scored(folder)[0] == 0
    whole = (folder / FILE).read_text()
    (folder / FILE).write_text(whole[: whole.rindex("{")])
    code, _, err = scored(folder / FILE)
    assert code == 2 and "is not what the run wrote" in err
    (folder / SEAL).unlink()
    code, _, err = scored(folder / FILE)
    assert code == 2 and "has 7 of 8 answers" in err and err.count("\n") == 1
    (folder / "run.json").write_text("{}")
    code, _, err = scored(folder / FILE)
    assert code == 2 and "--data" in err and err.count("\n") == 1


def test_a_file_of_data_is_found_from_elsewhere_and_must_be_the_same(
    checkpoint: Checkpoint, tmp_path: Path, scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (FIXTURE_DATA / "tiny-mmbench.tsv").read_text()
    Path("mine.tsv").write_text(text)
    folder = run(checkpoint, tmp_path / "out", "mine.tsv")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, _, err = scored(folder / FILE)
    assert code == 0, err
    head, *rows = text.splitlines()
    more = [f"{head}\tnote", *(f"{row}\tchanged" for row in rows)]
    (tmp_path / "mine.tsv").write_text("\n".join(more) + "\n")
    code, _, err = scored(folder / FILE)
    assert code == 2 and "does not hold the data" in err and err.count("\n") == 1
    (tmp_path / "mine.tsv").unlink()
    code, _, err = scored(folder / FILE)
    assert code == 2 and "mine.tsv" in err and err.count("\n") == 1
