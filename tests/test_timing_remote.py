"""Revisions are timed in processes of their own, which leave nothing behind, however they end."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.base.errors import UserError
from bench.timing.clock import HostClock
from bench.timing.interleave import Call, measure
from bench.timing.remote import Job, Pool, Worker, pools
from bench.timing.revision import Revision, this_checkout

JOB = Job(profile="tiny", thresholds=None, keep="18", arm="hybrid", batches=[1])


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """Two processes with the hybrid that the tests import."""
    with pools({"hybrid": this_checkout()}, JOB, processes=2) as ready:
        yield ready["hybrid"]


def ids(pool: Pool) -> list[int]:
    return [worker._process.pid for worker in pool.workers]


def test_an_arm_in_another_process_is_timed_there(pool: Pool) -> None:
    samples = measure({"hybrid": pool.arm(1)}, blocks=2, clock=HostClock(), threads=1, warmup=0)
    prefill, answer = samples.seconds("hybrid", "prefill"), samples.seconds("hybrid", "answer")
    assert (prefill > 0).all()
    assert (prefill < answer).all()
    there, _ = samples.conditions[0]["hybrid"]
    assert there.cores == 1
    assert there.cpu_s > 0.5 * prefill[0, 0]  # the work was counted where it was done


def test_workers_take_turns_block_by_block(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Worker] = []
    call = Worker.call

    def noted(worker: Worker, batch: int) -> Call:
        called.append(worker)
        return call(worker, batch)

    monkeypatch.setattr(Worker, "call", noted)
    measure({"hybrid": pool.arm(1)}, blocks=4, clock=HostClock(), threads=1, warmup=0)
    first, second = pool.workers
    assert called == [first, first, second, second] * 2


def test_its_peak_holds_the_weights_and_more(pool: Pool) -> None:
    weights = sum(
        path.stat().st_size
        for path in (Path(__file__).parents[1] / "bench/fixture/model").glob("*.safetensors")
    )
    assert weights < pool.peak_bytes(1) < 10 * weights


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="pinning is Linux's")
def test_it_runs_on_the_cores_that_the_measurement_is_pinned_to(pool: Pool) -> None:
    before = os.sched_getaffinity(0)
    core = {max(before)}
    os.sched_setaffinity(0, core)
    try:
        pool.workers[0].call(1)
    finally:
        os.sched_setaffinity(0, before)
    assert os.sched_getaffinity(ids(pool)[0]) == core


def test_another_folder_s_hybrid_is_timed_and_its_death_is_one_line_and_no_zombie(
    tmp_path: Path,
) -> None:
    copy = Path(shutil.copytree(this_checkout().hybrid, tmp_path / "hybrid"))
    fast = Revision(name="fast", sha="0" * 40, hybrid=copy)
    with pools({"base": fast}, JOB, 1) as ready:  # which checks what was imported
        (worker,) = ready["base"].workers
        assert worker.call(1).seconds["answer"] > 0
        os.kill(worker._process.pid, signal.SIGKILL)
        with pytest.raises(UserError, match=r"hybrid of fast \(0000000000\) ended \(SIGKILL\)"):
            worker.call(1)
    with pytest.raises(ChildProcessError):
        os.waitpid(worker._process.pid, os.WNOHANG)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('too\\nold')\n", "RuntimeError: too old"),
        ("HybridLlava = None\n", "ImportError: cannot import name"),
        ("def broken(:\n", "SyntaxError"),
    ],
)
def test_a_revision_that_this_harness_cannot_drive_is_one_line(
    tmp_path: Path, source: str, reason: str
) -> None:
    package = tmp_path / "hybrid"
    package.mkdir()
    (package / "__init__.py").write_text(source)
    old = Revision(name="v0", sha=None, hybrid=package)
    with (
        pytest.raises(UserError, match="hybrid of v0 cannot be timed by this harness") as error,
        pools({"base": old}, JOB, 1),
    ):
        pass
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
