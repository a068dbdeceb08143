"""torchrun: shards answered by real processes, merged to what one process writes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RUN = ("-m", "bench", "run", "--data", "tiny-mmbench", "--model", "tiny_hybrid", "--mode", "all")
FOLDER = Path("tiny_hybrid") / "tiny-mmbench"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def torchrun(ranks: int, *arguments: str) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    return [sys.executable, *launcher, *RUN, *arguments]


def finish(command: list[str]) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rank_of(pid: int) -> str | None:
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next((v[5:].decode() for v in environment if v.startswith(b"RANK=")), None)


def kill_rank_1_amid_its_answers(launcher: subprocess.Popen[bytes], part: Path) -> None:
    deadline = time.monotonic() + 300  # two ranks may share one busy core
    while not (part.is_file() and part.stat().st_size):
        assert launcher.poll() is None and time.monotonic() < deadline, "rank 1 wrote nothing"
        time.sleep(0.002)
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    (pid,) = [int(child) for child in children if rank_of(int(child)) == "1"]
    os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_three_ranks_finish_what_two_with_a_dead_one_left_as_one_process_would_have(
    tmp_path: Path,
) -> None:
    single, broken = tmp_path / "single", tmp_path / "broken"
    arguments = ("--limit", "12", "--batch-size", "1", "--work-dir")
    finish([sys.executable, *RUN, *arguments, str(single)])
    with subprocess.Popen(
        torchrun(2, *arguments, str(broken)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
    ) as launcher:
        kill_rank_1_amid_its_answers(launcher, broken / FOLDER / "predictions.rank-1.jsonl")
    assert launcher.returncode != 0
    assert not (broken / FOLDER / "scores.json").exists()
    printed = finish(torchrun(3, *arguments, str(broken), "--reuse"))
    assert printed.count("written to") == 1

    names = {path.name for path in (single / FOLDER).iterdir()}
    assert {path.name for path in (broken / FOLDER).iterdir()} == names
    for name in ("predictions.jsonl", "scores.json"):
        written = (broken / FOLDER / name).read_bytes()
        assert written == (single / FOLDER / name).read_bytes()
