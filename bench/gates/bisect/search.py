"""`git bisect run` over a gate, in a worktree of its own.

The user's checkout is never touched: commits are checked out in a temporary worktree, which is
removed however this ends. Each is judged by its own gate with its own goldens, in a process of its
own (`bench.gates.bisect.step`).
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.base.errors import UserError
from bench.base.shell import shell_line
from bench.gates.bisect import step
from bench.gates.names import gate_name
from bench.timing.revision import checked_out

GATES = {
    "latency": ("latency",),
    "accuracy": ("gate",),
    "cost": ("cost",),
    "golden": ("golden",),
    "syncs": ("syncs",),
}
WRITES_RUNS = ("latency", "accuracy")  # gates with a --work-dir, which must not be the user's
GRACE_S = 20  # for an interrupted gate to remove what it made


@dataclass(frozen=True)
class Found:
    """What the search came to.

    Attributes:
        commits: the first bad one; or all that may be, where no verdict could tell them apart.
        command: runs the gate again on a commit that is checked out.
    """

    commits: tuple[str, ...]
    command: str


def bisect(repository: Path, good: str, bad: str, gate: str, options: Sequence[str]) -> Found:
    """Find the first commit behind `good`, up to `bad`, at which `gate` fails.

    Args:
        repository: a checkout of this project.
        good, bad: revisions; the first is an ancestor of the second.
        gate: one of GATES.
        options: more of the gate's own.

    Raises:
        UserError: if a revision does not exist or is no ancestor, if the gate is not green at
            `good` or not red at `bad`, or if git fails.
    """
    gate = gate_name(gate)
    if gate not in GATES:
        raise UserError(f"no gate {gate!r} to bisect: choose one of {', '.join(GATES)}")
    package = repository / "hybrid"
    if not (package / "__init__.py").is_file():
        raise UserError(f"{repository} is no checkout of this project: run this in its root")
    first, last = _commit(repository, good), _commit(repository, bad)
    steps = _git(repository, "rev-list", "--count", f"{first}..{last}")
    if first == last or not _is_ancestor(repository, first, last):
        raise UserError(f"{good} is no ancestor of {bad}: give an older, green commit first")
    command = [*GATES[gate], *(("--against", first) if gate == "latency" else ()), *options]
    shown = shell_line(["python", "-m", "bench", *command])
    with (
        tempfile.TemporaryDirectory(prefix="bench-bisect-") as folder,
        checked_out(last, package) as revision,
    ):
        checkout, work = revision.hybrid.parent, Path(folder)
        if gate in WRITES_RUNS and "--work-dir" not in options:
            command += ["--work-dir", str(work / "runs")]
        plan, log = work / "plan.json", work / "log.jsonl"
        content = {"python": sys.executable, "gate": command, "log": str(log)}
        plan.write_text(json.dumps(content), encoding="utf-8")
        run = [sys.executable, "-P", step.__file__, str(plan)]
        for commit, name, colour, code in (
            (first, good, "green", step.GOOD),
            (last, bad, "red", step.BAD),
        ):
            _git(checkout, "checkout", "--quiet", "--detach", commit)
            if _run(run, checkout) != code:
                raise _not_as_told(f"{name} ({commit[:10]})", colour, shown, log)
        if steps == "1":
            return Found((last,), shown)
        _git(checkout, "bisect", "start", last, first)
        ended = _run(["git", "bisect", "run", *run], checkout)
        return Found(_suspects(checkout, log, ended), shown)


def _not_as_told(where: str, colour: str, command: str, log: Path) -> UserError:
    answer = _judged(log)[-1]
    return UserError(
        f"{where} is not {colour}: `{command}` answers {answer['verdict']} there"
        f" ({answer['reason']}); give another commit"
    )


def _suspects(checkout: Path, log: Path, ended: int) -> tuple[str, ...]:
    """The first bad commit; or, between it and the last good one, those that were skipped."""
    if ended == 0:
        return (_git(checkout, "rev-parse", "refs/bisect/bad"),)
    judged = _judged(log)
    if ended != 2 or judged[-1]["verdict"] == "FOREIGN":
        raise UserError(f"git bisect run ended with {ended}: {judged[-1]['reason']}")
    goods = _git(checkout, "for-each-ref", "--format=%(objectname)", "refs/bisect/good-*").split()
    behind = _git(checkout, "rev-list", "--reverse", "refs/bisect/bad", "--not", *goods)
    return tuple(behind.split())


def _judged(log: Path) -> list[dict[str, str]]:
    """What each step wrote, in order."""
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def _run(command: list[str], checkout: Path) -> int:
    """Exit code. In a group of its own, so that all of it ends when this is interrupted."""
    # git's own story goes unread; each step writes its line to stderr.
    process = subprocess.Popen(
        command, cwd=checkout, stdout=subprocess.DEVNULL, env=_environment(), process_group=0
    )
    try:
        return process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        raise


def _commit(repository: Path, revision: str) -> str:
    try:
        return _git(repository, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    except UserError:
        raise UserError(f"no commit {revision!r} in {repository}: `git log` lists them") from None


def _is_ancestor(repository: Path, first: str, last: str) -> bool:
    command = ["git", "merge-base", "--is-ancestor", first, last]
    return subprocess.run(command, cwd=repository, check=False).returncode == 0


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "core.hooksPath=/dev/null", *arguments]
    ran = subprocess.run(
        command,
        env=_environment(),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if ran.returncode != 0:
        lines = ran.stderr.strip().splitlines() or ["no reason given"]
        raise UserError(f"git {arguments[0]} in {folder}: {lines[-1]}")
    return ran.stdout.strip()


def _environment() -> dict[str, str]:
    """Without what a git hook sets: it would point git at the user's checkout."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
