"""Arms that run in processes of their own: one revision's hybrid each.

Both sides of a comparison run so, the head's too: a fresh process each, started the same way, with
one `hybrid` first on its import path and this harness behind it.

A process lays out its memory once, and for as long as it lives that can make it a percent or so
faster than another that runs the same code. So each side has several processes, which take turns
from block to block: what is peculiar to one of them becomes noise between blocks, and shows in the
interval.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import chain, cycle, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.base.errors import UserError
from bench.timing.conditions import Conditions
from bench.timing.interleave import Arm, Call
from bench.timing.revision import Revision

_LAST_CALL_S = 10  # for a worker that is told to end while it still works


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a worker builds. thresholds, keep, weights: as on the command line. arm: of
    `bench.arms.models`."""

    profile: str
    thresholds: str | None
    keep: str
    arm: str
    batches: Sequence[int]
    weights: str = "checkpoint"


class Worker:
    """A running process with one arm at each batch size.

    path: a folder that holds the revision's `hybrid` and nothing else. Close the worker; it ends by
    itself if this process dies.
    """

    def __init__(self, revision: Revision, path: Path, job: Job) -> None:
        self.revision = revision
        self._process = subprocess.Popen(
            # -P: what lies in the working directory is not imported.
            [sys.executable, "-P", "-m", "bench.timing.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env=_environment(path),
            process_group=0,  # Ctrl-C is for this process, which ends the worker
        )
        self._send(asdict(job))

    def wait_until_ready(self) -> None:
        """Raises UserError if the revision's `hybrid` can't be driven, or is not what runs."""
        loaded, wanted = self._receive()["hybrid"], self.revision.hybrid.resolve()
        if Path(loaded) != wanted:
            raise UserError(
                f"Python imported hybrid from {loaded}, not from {wanted}: clear what puts it"
                " first on the import path, such as a sitecustomize.py"
            )

    def call(self, batch: int) -> Call:
        """One timed call, on the cores that this process is pinned to."""
        answer = self._ask("call", batch)
        stored = answer["conditions"]
        return Call(answer["seconds"], stored and Conditions.from_json(stored))

    def peak_bytes(self, batch: int) -> int:
        """As `bench.timing.memory.peak_bytes`."""
        return int(self._ask("peak", batch)["peak"])

    def close(self) -> None:
        """Ends the process, by force if it does not end by itself."""
        assert self._process.stdin and self._process.stdout
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_LAST_CALL_S)
        finally:
            self._process.stdout.close()
            self._process.kill()
            self._process.wait()

    def _ask(self, do: str, batch: int) -> Mapping[str, Any]:
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        self._send({"do": do, "batch": batch, "cores": cores})
        return self._receive()

    def _send(self, request: Mapping[str, Any]) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None

    def _receive(self) -> Mapping[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise self._died()
        answer: Mapping[str, Any] = json.loads(line)
        if "error" in answer:
            raise UserError(
                f"the hybrid of {self.revision} cannot be timed by this harness"
                f" ({answer['error']}): mend it, or compare with another revision"
            )
        return answer

    def _died(self) -> UserError:
        code = self._process.wait()
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        return UserError(
            f"the process that timed the hybrid of {self.revision} ended ({how}):"
            " see its messages above, and whether memory ran out"
        )


@dataclass(frozen=True)
class Pool:
    """One revision's workers, at least one."""

    workers: Sequence[Worker]

    def arm(self, batch: int) -> Arm:
        """Both calls of a block go to one worker, those of the next block to the next one."""
        turns = chain.from_iterable(repeat(worker, 2) for worker in cycle(self.workers))
        return lambda watch: watch.adopt(next(turns).call(batch))

    def peak_bytes(self, batch: int) -> int:
        """As `bench.timing.memory.peak_bytes`."""
        return self.workers[0].peak_bytes(batch)


@contextmanager
def pools(revisions: Mapping[str, Revision], job: Job, processes: int) -> Iterator[dict[str, Pool]]:
    """Name -> `processes` workers of that revision, warm and ready. They start side by side.

    Raises UserError if a revision can't be driven.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="vlm-hybrid-")))
        started: dict[str, Pool] = {}
        for number, (name, revision) in enumerate(revisions.items()):
            path = folder / str(number)  # equally long for all: it ends up in their memory
            path.mkdir()
            (path / "hybrid").symlink_to(revision.hybrid.resolve(), target_is_directory=True)
            workers = []
            for _ in range(processes):
                workers.append(Worker(revision, path, job))
                stack.callback(workers[-1].close)
            started[name] = Pool(workers)
        for pool in started.values():
            for worker in pool.workers:
                worker.wait_until_ready()
        yield started


def _environment(path: Path) -> dict[str, str]:
    """`path` and this harness come first on the import path; sets iterate alike everywhere."""
    harness = Path(__file__).resolve().parents[2]
    given = os.environ.get("PYTHONPATH")
    folders = [str(path), str(harness), *([given] if given else [])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(folders),
        "PYTHONHASHSEED": "0",
    }
