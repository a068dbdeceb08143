"""Ctrl-C: one line that says what is left, and exit code 130."""

from pathlib import Path

import pytest

from bench.cli import main
from bench.evaluation.runs.recording import RecordingAnswerer


def interrupted(command: str, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr("sys.argv", ["bench", *command.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def ctrl_c(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_run_says_where_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(RecordingAnswerer, "answer_recorded", ctrl_c)
    command = f"run --data tiny-mmbench --model tiny_hybrid --limit 2 --work-dir {tmp_path}"
    assert interrupted(command, monkeypatch) == 130
    folder = tmp_path / "tiny_hybrid" / "tiny-mmbench"
    said = capsys.readouterr().err
    assert said == f"interrupted: {folder} keeps its answers, continue with --reuse\n"


def test_what_keeps_nothing_says_that(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.gates.cost.cost_gate", ctrl_c)
    assert interrupted("cost", monkeypatch) == 130
    assert capsys.readouterr().err == "interrupted: nothing was judged, run it again\n"
