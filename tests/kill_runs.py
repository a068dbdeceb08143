"""Kill a run N times, continue it each time, compare with one left alone.

    python -m tests.kill_runs 50

Every second kill falls at a random moment, every other one right after an answer was written.
The model is loaded once, and each attempt is a fork, so that moments fall into the run itself
and not into its imports. A run that ends before its moment is begun anew.
"""

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.arms.models import load_checkpoint, resolve_keep
from bench.arms.profiles import load_profile
from bench.evaluation.runs.evaluate import evaluate
from bench.evaluation.runs.job import Job, Options, open_task
from bench.evaluation.runs.predictions import FILE, read_predictions

QUESTIONS, BATCH = 12, 3


def main(kills: int, folder: Path) -> str:
    """Raises AssertionError where a continued run differs; returns what happened, in a line."""
    profile = load_profile("tiny")
    checkpoint, keep = load_checkpoint(profile), resolve_keep(None, profile)

    def attempt(work_dir: Path) -> Path:
        options = Options(work_dir, True, False, limit=QUESTIONS, batch_size=BATCH)
        task = open_task("tiny-mmbench", options)
        return evaluate(checkpoint, Job(profile, "hybrid", keep, task, options))[0]

    undisturbed = attempt(folder / "undisturbed")
    started = time.monotonic()
    attempt(folder / "timed")
    seconds = time.monotonic() - started
    draw = random.Random(0)
    killed = finished = partial = 0
    broken = folder / "broken"
    run = broken / undisturbed.relative_to(folder / "undisturbed")
    while killed < kills:
        child = os.fork()
        if child == 0:
            attempt(broken)
            os._exit(0)
        if killed % 2:
            time.sleep(draw.random() * seconds * 0.4)  # several kills before a run is through
        else:
            _wait_for_growth(run / FILE, seconds)
        os.kill(child, signal.SIGKILL)
        if os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            killed += 1
            partial += _size(run / FILE) > 0 and not (run / "scores.json").is_file()
        else:
            finished += 1
            _compare(run, undisturbed)
            shutil.rmtree(broken)
    attempt(broken)
    _compare(run, undisturbed)
    assert partial, "no kill fell between the first and the last answer"
    return f"{killed} kills, {partial} amid the answers, {finished + 1} runs compared: all equal"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _wait_for_growth(path: Path, seconds: float) -> None:
    before, until = _size(path), time.monotonic() + seconds
    while _size(path) == before and time.monotonic() < until:
        time.sleep(0.0002)


def _compare(run: Path, undisturbed: Path) -> None:
    for name in (FILE, "scores.json"):
        assert (run / name).read_bytes() == (undisturbed / name).read_bytes(), name
    lines = (run / FILE).read_bytes().splitlines()
    known = range(10**8)
    assert len(read_predictions(run / FILE, known)) == len(lines)  # it refuses repetitions


def command(arguments: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        print(main(int(arguments[0]), Path(folder)))


if __name__ == "__main__":
    command(sys.argv[1:])
