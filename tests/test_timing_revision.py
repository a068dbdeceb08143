"""A revision's code is there while it is timed, and nothing of it is left afterwards."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bench.base.errors import UserError
from bench.timing.revision import checked_out
from tests.git_repositories import commit, git, repository


@pytest.fixture(autouse=True)
def temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where worktrees go, so that what is left of them is seen."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Three commits, of which the first has no package; and changes that are in none."""
    folder = repository(tmp_path / "repository")
    commit(folder, {"README": "nothing yet"}, "start")
    commit(folder, {"hybrid/__init__.py": "SPEED = 1\n"}, "first")
    git(folder, "tag", "fast")
    commit(folder, {"hybrid/__init__.py": "SPEED = 2\n"}, "second")
    (folder / "hybrid" / "__init__.py").write_text("SPEED = 3\n")
    return folder


def clean(checkout: Path, temporary_files: Path) -> bool:
    worktrees = git(checkout, "worktree", "list", "--porcelain").count("worktree ")
    return worktrees == 1 and not list(temporary_files.iterdir())


@pytest.mark.parametrize(
    ("name", "speed"), [("HEAD~1", 1), ("fast", 1), ("HEAD", 2), ("main", 2), ("main@{0}", 2)]
)
def test_a_revision_is_there_for_a_while(
    checkout: Path, temporary_files: Path, name: str, speed: int
) -> None:
    with checked_out(name, checkout / "hybrid") as revision:
        assert (revision.hybrid / "__init__.py").read_text() == f"SPEED = {speed}\n"
        assert revision.sha == git(checkout, "rev-parse", name)
        assert str(revision) == f"{name} ({revision.sha[:10]})"
        assert not clean(checkout, temporary_files)
    assert clean(checkout, temporary_files)
    # The checkout itself was not touched.
    assert (checkout / "hybrid" / "__init__.py").read_text() == "SPEED = 3\n"
    assert git(checkout, "branch", "--show-current") == "main"


def test_a_sha_is_its_own_name(checkout: Path) -> None:
    sha = git(checkout, "rev-parse", "HEAD")
    with checked_out(sha[:12], checkout / "hybrid") as revision:
        assert str(revision) == sha[:12]


@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError, SystemExit])
def test_nothing_is_left_when_the_measurement_breaks_off(
    checkout: Path, temporary_files: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error), checked_out("fast", checkout / "hybrid"):
        raise error
    assert clean(checkout, temporary_files)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("interruptible")
def test_nothing_is_left_when_the_process_is_told_to_end(
    checkout: Path, temporary_files: Path, number: signal.Signals
) -> None:
    script = (
        "import time\nfrom pathlib import Path\nfrom bench.timing.revision import checked_out\n"
        "with checked_out('fast', Path('hybrid').resolve()):\n"
        "    print(flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-P", "-c", script],
        cwd=checkout,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(temporary_files)},
    ) as process:
        assert process.stdout
        process.stdout.readline()
        assert not clean(checkout, temporary_files)
        process.send_signal(number)
        assert process.wait(300) != 0  # it hangs; a busy machine takes its time
    assert clean(checkout, temporary_files)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no-such-branch", "no revision 'no-such-branch' here: give a branch, a tag or a commit"),
        ("HEAD~9", "no revision 'HEAD~9' here"),
        ("--help", "no revision '--help' here"),
        ("", "no revision '' here"),
        ("HEAD:README", "no revision 'HEAD:README' here"),
        ("HEAD~2", "HEAD~2 has no package hybrid"),
    ],
)
def test_a_revision_that_cannot_be_had_is_one_line(
    checkout: Path, temporary_files: Path, name: str, message: str
) -> None:
    with pytest.raises(UserError, match=message.replace("(", r"\(")) as error:
        checked_out(name, checkout / "hybrid").__enter__()
    assert "\n" not in str(error.value)
    assert clean(checkout, temporary_files)


def test_without_a_checkout_there_are_no_revisions(tmp_path: Path, checkout: Path) -> None:
    for package in (tmp_path / "site-packages" / "hybrid", checkout / "vendored" / "hybrid"):
        package.mkdir(parents=True)
        with pytest.raises(UserError, match="not in the root of a git checkout"):
            checked_out("HEAD", package).__enter__()


def test_without_git_the_line_says_so(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="git is not installed"):
        checked_out("HEAD", checkout / "hybrid").__enter__()


def test_hooks_neither_run_nor_lead_astray(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = checkout / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    monkeypatch.setenv("GIT_DIR", str(repository(tmp_path / "other") / ".git"))
    with checked_out("fast", checkout / "hybrid") as revision:
        assert (revision.hybrid / "__init__.py").read_text() == "SPEED = 1\n"
    assert not (tmp_path / "ran").exists()
