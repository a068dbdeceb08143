"""A revision's `hybrid` package, checked out into a git worktree of its own for a while."""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from types import FrameType

from bench.base.checkout import TRUSTED
from bench.base.errors import UserError

# Set by git for its hooks; they would turn the commands below to another checkout.
_HOOK_VARIABLES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")


@dataclass(frozen=True, kw_only=True)
class Revision:
    """name: as it was asked for. sha: of the commit; None for files as they lie here.
    hybrid: the folder of its package."""

    name: str
    sha: str | None
    hybrid: Path

    def __str__(self) -> str:
        if self.sha is None or self.sha.startswith(self.name):
            return self.name
        return f"{self.name} ({self.sha[:10]})"


def this_checkout() -> Revision:
    """The files that this process imports, committed or not."""
    import hybrid  # loads torch, which what else is here can do without

    return Revision(name="this checkout", sha=None, hybrid=Path(hybrid.__file__).parent)


@contextmanager
def checked_out(name: str, package: Path) -> Iterator[Revision]:
    """The revision `name` of the repository that `package` lies in, in a temporary worktree.

    The worktree is removed afterwards, also on Ctrl-C and SIGTERM. name: a branch, tag or commit,
    or relative to one, such as `HEAD~1`.

    Raises UserError outside a git checkout, for an unknown revision, and for one without `hybrid`.
    """
    top = _top(package)
    sha = _commit(name, top)
    folder = Path(mkdtemp(prefix="vlm-hybrid-base-"))
    worktree = folder / "worktree"
    try:
        with _terminated_like_interrupted():
            added = _git(top, "worktree", "add", "--detach", "--quiet", str(worktree), sha)
            if added.returncode != 0:
                raise UserError(f"git cannot check out {name}: {_last_line(added.stderr)}")
            checked = worktree / package.name
            if not (checked / "__init__.py").is_file():
                raise UserError(f"{name} has no package {package.name}: name a later revision")
            yield Revision(name=name, sha=sha, hybrid=checked)
    finally:
        _git(top, "worktree", "remove", "--force", "--force", str(worktree))
        shutil.rmtree(folder, ignore_errors=True)
        _git(top, "worktree", "prune")  # of one that was cut off before git had written it all


def _top(package: Path) -> Path:
    """The checkout's root."""
    try:
        found = _git(package, "rev-parse", "--show-toplevel")
    except FileNotFoundError:
        raise UserError(
            "git is not installed, and reading an earlier revision needs it: install git"
        ) from None
    top = Path(found.stdout.strip()).resolve()
    if found.returncode != 0 or top / package.name != package.resolve():
        raise UserError(
            f"{package} is not in the root of a git checkout, whose history this needs:"
            " run it in a clone of the repository"
        )
    return top


def _commit(name: str, top: Path) -> str:
    found = _git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if found.returncode != 0:
        raise UserError(
            f"no revision {name!r} here: give a branch, a tag or a commit, such as HEAD~1"
            " (in a shallow clone, fetch it first)"
        )
    return found.stdout.strip()


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in _HOOK_VARIABLES}
    return subprocess.run(
        ["git", "-C", str(folder), "-c", "core.hooksPath=/dev/null", "-c", TRUSTED, *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=environment,
        process_group=0,  # Ctrl-C must not cut off the cleaning up
        check=False,
    )


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it says no more"


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM, which CI sends to a cancelled job, unwinds the stack as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def unwind(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
