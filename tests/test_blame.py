"""Which commit a red gate proposes as the good one, and that its command runs as it is printed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.base.verdict import Outcome, Verdict
from bench.report.blame import GAP, Blame, blame
from bench.report.origin import Origin
from tests.git_repositories import commit, git, repository

RED = Verdict(gate="a", outcome=Outcome.FAIL, reason="worse", reproduce="-")
CHECKOUT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in place of the checkout."""
    monkeypatch.delenv("GITHUB_BASE_REF", raising=False)

    def in_project(*arguments: str) -> str | None:
        try:
            return git(tmp_path / "project", *arguments)
        except subprocess.CalledProcessError:
            return None

    monkeypatch.setattr("bench.report.blame.git", in_project)
    return repository(tmp_path / "project")


def hint(project: Path, title: str = "accuracy", *, dirty: bool = False, **given: object) -> Blame:
    origin = Origin(commit=git(project, "rev-parse", "HEAD"), dirty=dirty, time="-", machine={})
    options = given.pop("options", [])
    assert isinstance(options, list)
    found = blame(title, origin, [RED], options=options, against=None, history=None)
    assert found is not None
    return found


def good(found: Blame) -> str:
    return found.command.split()[4]


def test_a_branch_is_searched_from_where_it_left_main(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = commit(project, {"a": "1"}, "1")
    git(project, "checkout", "--quiet", "-b", "work")
    commit(project, {"b": "1"}, "2")
    assert good(hint(project)) == left
    assert hint(project).remark == "from where this branch left main"
    later = commit(project, {"b": "2"}, "3")
    git(project, "update-ref", "refs/remotes/origin/release", later)
    commit(project, {"b": "3"}, "4")
    monkeypatch.setenv("GITHUB_BASE_REF", "release")  # a pull request's job
    assert good(hint(project)) == later


def test_main_is_searched_from_what_was_pushed_last(project: Path) -> None:
    pushed = commit(project, {"a": "1"}, "1")
    git(project, "update-ref", "refs/remotes/origin/main", pushed)
    commit(project, {"a": "2"}, "2")
    assert good(hint(project)) == pushed


def test_with_nothing_else_to_know_it_is_where_the_record_was_written(project: Path) -> None:
    commit(project, {"a": "1"}, "1")
    recorded = commit(project, {"golden/x.txt": "1"}, "2")
    commit(project, {"a": "2"}, "3")
    assert good(hint(project, "golden")) == recorded
    assert "where golden was last recorded" in hint(project, "golden").remark
    for title in ("accuracy", "latency", "syncs"):  # nothing is recorded
        assert good(hint(project, title)) == GAP
    commit(project, {"golden/x.txt": "2"}, "4")  # this very commit says nothing
    assert good(hint(project, "golden")) == GAP


def test_what_is_not_committed_is_searched_from_the_commit_it_changes(project: Path) -> None:
    last = commit(project, {"a": "1"}, "1")
    found = hint(project, dirty=True)
    assert found.command.split()[4:6] == [last, "HEAD"]
    assert "commit first" in found.remark


def test_outside_of_a_checkout_there_is_nothing_to_search() -> None:
    origin = Origin(commit=None, dirty=False, time="-", machine={})
    assert blame("golden", origin, [RED], against=None, history=None) is None


def test_the_printed_command_finds_the_planted_commit_as_it_stands(project: Path) -> None:
    """Gates are scripts here, told from each other by a word that a shell would read otherwise."""
    word = "--limit=it's $HOME;\n<x> ü"
    gate = f"import sys; assert sys.argv[1:3] == ['gate', {word!r}]; exit(int(open('red').read()))"
    files = {"bench/__init__.py": "", "hybrid/__init__.py": "", "bench/__main__.py": gate}
    commit(project, files | {"red": "0"}, "green")
    git(project, "checkout", "--quiet", "-b", "work")
    commit(project, {"a": "1"}, "green, too")
    planted = commit(project, {"red": "1"}, "planted")
    commit(project, {"a": "2"}, "after it")
    ran = subprocess.run(
        ["bash", "-c", hint(project, options=[word]).command],
        cwd=project,
        env=os.environ
        | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        # The command is this checkout's; the gates are those of the repository.
        | {"PYTHONPATH": str(CHECKOUT), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(f"first bad commit: {planted}")
    assert "subject planted" in ran.stdout
