"""Bisecting: a small repository whose gates are scripts, each step a real process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.base.errors import UserError
from bench.gates.bisect import bisect
from bench.gates.bisect.story import tell

PATIENCE_S = 300  # before something hangs; a busy machine takes its time
GREEN, RED, UNSURE, CRASH = "exit(0)", "exit(1)", "exit(3)", "raise RuntimeError('broken')"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A. Tester", "-c", "user.email=tester@example.org")
    command = ["git", *identity, *arguments]
    ran = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return ran.stdout.strip()


def history(folder: Path, *gates: str, hybrid: str = "") -> list[str]:
    """A repository with one commit for each script that stands in for `python -m bench`."""
    git(folder, "init", "--quiet", "--initial-branch=main")
    for package in ("bench", "hybrid"):
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text(hybrid if package == "hybrid" else "")
    commits = []
    for number, gate in enumerate(gates):
        (folder / "bench" / "__main__.py").write_text(f"# {number}\n{gate}\n")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", f"change {number}")
        commits.append(git(folder, "rev-parse", "HEAD"))
    return commits


def test_the_first_red_commit_is_found_among_broken_and_unsure_ones(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    commits = history(tmp_path, GREEN, GREEN, CRASH, GREEN, RED, UNSURE, RED, RED)
    before = git(tmp_path, "status", "--porcelain", "--branch")
    found = bisect(tmp_path, commits[0], "main", "golden", [])
    assert found.commits == (commits[4],)
    told = tell(tmp_path, found)
    assert "author  A. Tester" in told
    assert "subject change 4" in told
    assert f"git switch --detach {commits[4][:10]} && python -m bench golden" in told
    steps = capfd.readouterr().err.splitlines()
    assert steps[0].split()[:2] == [commits[0][:10], "PASS"]
    assert steps[1].split()[:2] == [commits[7][:10], "FAIL"]
    assert len(steps) <= 6
    assert git(tmp_path, "status", "--porcelain", "--branch") == before
    assert git(tmp_path, "worktree", "list").count("\n") == 0
    assert git(tmp_path, "for-each-ref", "refs/bisect") == ""


def test_commits_without_a_verdict_are_named_and_not_guessed(tmp_path: Path) -> None:
    commits = history(tmp_path, GREEN, UNSURE, CRASH, RED)
    found = bisect(tmp_path, commits[0], commits[3], "syncs", [])
    assert set(found.commits) == set(commits[1:])
    assert "one of 3 commits" in tell(tmp_path, found)


def test_a_good_commit_with_the_bad_one_as_its_child_leaves_nothing_to_search(
    tmp_path: Path,
) -> None:
    commits = history(tmp_path, GREEN, RED)
    assert bisect(tmp_path, commits[0], "HEAD", "cost", []).commits == (commits[1],)


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ((RED, RED), "is not green: `python -m bench cost` answers FAIL"),
        ((GREEN, GREEN), "is not red: `python -m bench cost` answers PASS"),
        ((GREEN, CRASH), r"is not red: .* answers ERROR there \(crashed: RuntimeError: broken\)"),
        ((UNSURE, RED), "is not green: .* answers UNSURE"),
    ],
)
def test_nothing_is_searched_before_good_is_green_and_bad_is_red(
    tmp_path: Path, gates: tuple[str, str], message: str
) -> None:
    good, bad = history(tmp_path, *gates)
    with pytest.raises(UserError, match=message):
        bisect(tmp_path, good, bad, "cost", [])
    assert git(tmp_path, "worktree", "list").count("\n") == 0


def test_wrong_revisions_and_gates_are_named(tmp_path: Path) -> None:
    good, bad = history(tmp_path, GREEN, RED)
    with pytest.raises(UserError, match="is no ancestor of"):
        bisect(tmp_path, bad, good, "cost", [])
    with pytest.raises(UserError, match="no commit 'nowhere'"):
        bisect(tmp_path, "nowhere", bad, "cost", [])
    with pytest.raises(UserError, match="no gate 'speed' to bisect: choose one of latency"):
        bisect(tmp_path, good, bad, "speed", [])


def test_a_gate_is_given_its_options_and_latency_its_base(tmp_path: Path) -> None:
    judge = "import sys; exit(sys.argv[1:5] != {})"
    wanted = "['latency', '--against', {!r}, '--keep']"
    good = history(tmp_path, "exit(0)")[0]
    (tmp_path / "bench" / "__main__.py").write_text(judge.format(wanted.format("x")))
    git(tmp_path, "commit", "--quiet", "--all", "--message", "other base")
    found = bisect(tmp_path, good, "HEAD", "latency", ["--keep", "36"])
    assert found.command == f"python -m bench latency --against {good} --keep 36"


def test_another_checkouts_code_is_never_judged(tmp_path: Path) -> None:
    # A commit that puts something else in front, as an editable install would.
    elsewhere = "__file__ = '/elsewhere/hybrid/__init__.py'"
    good, bad = history(tmp_path, GREEN, RED, hybrid=elsewhere)
    with pytest.raises(UserError, match=r"answers FOREIGN there .*/elsewhere/hybrid"):
        bisect(tmp_path, good, bad, "cost", [])


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_search_leaves_nothing_behind(tmp_path: Path) -> None:
    asleep = tmp_path / "asleep"
    sleeps = f"import pathlib, time; pathlib.Path({str(asleep)!r}).touch(); time.sleep(600)"
    commits = history(tmp_path, GREEN, sleeps)
    search = subprocess.Popen(
        [sys.executable, "-m", "bench", "bisect", commits[0], commits[1], "--gate", "golden"],
        cwd=tmp_path,
        # The command is this checkout's; the gates are those of the repository in tmp_path.
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONSAFEPATH": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert search.stderr is not None
    assert "PASS" in search.stderr.readline()
    while not asleep.exists() and search.poll() is None:
        time.sleep(0.01)
    search.send_signal(signal.SIGINT)
    assert search.wait(PATIENCE_S) != 0
    assert git(tmp_path, "worktree", "list").count("\n") == 0
