"""A run's folder belongs to one process, from before anything in it moves until it is scored."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from bench.arms.models import Checkpoint, load_checkpoint, resolve_keep
from bench.arms.profiles import load_profile
from bench.base.errors import UserError
from bench.cli import main
from bench.evaluation.runs.evaluate import evaluate, infer_only, score_only
from bench.evaluation.runs.job import Job, Options, open_task
from bench.evaluation.runs.lock import locked
from bench.evaluation.runs.predictions import FILE, line
from bench.evaluation.runs.recording import RecordingAnswerer
from bench.tasks import Task

PROFILE = load_profile("tiny")
KEEP = resolve_keep("18", PROFILE)
OTHER = (
    "import sys, time; from pathlib import Path; from bench.evaluation.runs.lock import locked\n"
)
HOLD = f"{OTHER}with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
TAKE = f"{OTHER}with locked(Path(sys.argv[1])): pass"


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_checkpoint(PROFILE)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the folder of tiny_hybrid's run on tiny-mmbench."""
    folder = tmp_path / "tiny_hybrid" / "tiny-mmbench"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def asked(work_dir: Path, *, reuse: bool = False) -> tuple[Task, Options]:
    options = Options(work_dir, reuse, False, limit=2, batch_size=4)
    return open_task("tiny-mmbench", options), options


@pytest.mark.parametrize("reuse", [True, False])
def test_a_second_process_is_refused_before_it_touches_anything(
    checkpoint: Checkpoint, tmp_path: Path, held: subprocess.Popen[str], reuse: bool
) -> None:
    run = tmp_path / "tiny_hybrid" / "tiny-mmbench"
    run.mkdir()
    (run / FILE).write_text("answers of the first\n")
    before = files(tmp_path)
    task, options = asked(tmp_path, reuse=reuse)
    for way in (evaluate, infer_only):
        with pytest.raises(UserError, match=f"process {held.pid} on .* is writing this run"):
            way(checkpoint, Job(PROFILE, "hybrid", KEEP, task, options))
    with pytest.raises(UserError, match=f"process {held.pid} on .* is writing this run"):
        score_only(Job(PROFILE, "hybrid", KEEP, task, options))
    assert files(tmp_path) == before


def test_a_gate_is_refused_before_it_loads_a_model(
    tmp_path: Path,
    held: subprocess.Popen[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("bench.gates.quality.load_checkpoint", None)
    before = files(tmp_path)
    monkeypatch.setattr("sys.argv", ["bench", "gate", "--limit", "2", "--work-dir", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.count("\n") == 1
    assert f"process {held.pid}" in said
    assert files(tmp_path).keys() - before.keys() <= {  # locks of the others, nothing else
        "tiny_hybrid/.tiny-coco.lock",
        "tiny/.tiny-mmbench.lock",
        "tiny/.tiny-coco.lock",
    }


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_ends_with_its_process(
    checkpoint: Checkpoint, tmp_path: Path, held: subprocess.Popen[str], ending: signal.Signals
) -> None:
    held.send_signal(ending)
    held.wait()
    task, options = asked(tmp_path)
    folder, score = evaluate(checkpoint, Job(PROFILE, "hybrid", KEEP, task, options))
    assert score.samples == len(task.indices) and (folder / "scores.json").is_file()


def test_the_lock_is_held_while_the_run_goes_on_and_is_scored(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tiny_hybrid" / "tiny-mmbench"
    refused: list[int] = []

    def another(*_: object) -> None:
        taking = subprocess.run(
            [sys.executable, "-c", TAKE, str(folder)], check=False, capture_output=True
        )
        refused.append(taking.returncode)

    for place in ("bench.evaluation.runs.loop.demand_same", "bench.evaluation.runs.loop.seal"):
        monkeypatch.setattr(place, another)
    task, options = asked(tmp_path)
    monkeypatch.setattr(type(task), "write_official", another)
    evaluate(checkpoint, Job(PROFILE, "hybrid", KEEP, task, options))
    assert len(refused) == 3 and 0 not in refused
    another()
    assert refused[-1] == 0


def test_a_process_may_hold_a_folder_twice_and_a_fork_may_not(tmp_path: Path) -> None:
    folder = tmp_path / "model" / "data"
    with locked(folder), locked(folder):
        child = os.fork()
        if child == 0:
            try:
                with locked(folder):
                    os._exit(0)
            except UserError:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    with locked(folder):
        pass


def test_a_link_to_a_run_is_that_run(tmp_path: Path, held: subprocess.Popen[str]) -> None:
    there = tmp_path / "tiny_hybrid" / "tiny-mmbench"
    (tmp_path / "other" / "tiny_hybrid").mkdir(parents=True)
    (tmp_path / "whole").symlink_to(tmp_path)
    link = tmp_path / "other" / "tiny_hybrid" / "tiny-mmbench"
    link.symlink_to(there)
    for same in (link, tmp_path / "whole" / "tiny_hybrid" / "tiny-mmbench"):
        with pytest.raises(UserError, match="is writing this run"), ExitStack() as stack:
            stack.enter_context(locked(same))
    with locked(tmp_path / "tiny_hybrid" / "another"):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("bench.evaluation.runs.lock.fcntl.flock", flock)
    with (
        pytest.raises(UserError, match="its file system has no locks") as raised,
        locked(tmp_path / "model" / "data"),
    ):
        pass
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("what", ["removed", "moved", "other"])
def test_answers_of_another_run_are_not_reported(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """By hand, or where locks do nothing: the folder is not any more what this run wrote."""
    task, options = asked(tmp_path)
    folder = tmp_path / "tiny_hybrid" / "tiny-mmbench"
    answer = RecordingAnswerer.answer_recorded

    def disturbed(self: RecordingAnswerer, *arguments: object) -> object:
        if not (tmp_path / "kept").exists():
            folder.rename(tmp_path / "kept")
            if what != "removed":
                again = replace(options, reuse=True)
                infer_only(checkpoint, Job(PROFILE, "hybrid", KEEP, task, again))
            if what == "other":
                (folder / FILE).write_text("".join(line(i, "another") for i in task.indices))
        return answer(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(RecordingAnswerer, "answer_recorded", disturbed)
    if what == "moved":  # whoever wrote there answered the same
        assert infer_only(checkpoint, Job(PROFILE, "hybrid", KEEP, task, options))[0] == folder
        return
    with pytest.raises(UserError, match=r"lacks \d+ of 8 answers.*--reuse"):
        infer_only(checkpoint, Job(PROFILE, "hybrid", KEEP, task, options))
