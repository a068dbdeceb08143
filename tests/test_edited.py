"""What a change edits of what judges it, and the comment that says so."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.base import checkout
from bench.base.errors import UserError
from bench.report.edited import OWNERS, edited_since, judging
from bench.report.pull_request import LIMIT, MARKER, comment
from tests.git_repositories import commit, git, repository

ROOT = Path(__file__).parents[1]
PATTERNS = "# who judges\n/golden/ @somebody\n/bench/ledger.toml\n/.github/\n"


@pytest.fixture
def change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A branch off main; main has moved on since, in a golden, too."""
    folder = repository(tmp_path / "project")
    files = {
        "golden/a": "1",
        "golden/b": "1",
        "bench/ledger.toml": "",
        "code.py": "",
        OWNERS: PATTERNS,
    }
    commit(folder, files, "first")
    git(folder, "checkout", "--quiet", "-b", "change")
    git(folder, "checkout", "--quiet", "main")
    commit(folder, {"golden/b": "of main"}, "later")
    git(folder, "checkout", "--quiet", "change")
    monkeypatch.setattr(checkout, "BENCH", folder / "bench")
    return folder


def test_what_others_changed_meanwhile_is_not_the_changes(change: Path) -> None:
    commit(change, {"code.py": "x = 1", "other/golden/a": "", "golden.txt": ""}, "code")
    assert edited_since("main") == []
    commit(change, {"golden/a": "2", "bench/ledger.toml": "x"}, "judges")
    assert edited_since("main") == ["bench/ledger.toml", "golden/a"]


def test_moved_removed_new_and_uncommitted_files_count(change: Path) -> None:
    git(change, "mv", "golden/a", "elsewhere")
    (change / "golden" / "b").unlink()
    (change / "golden" / "new with\ttab").write_text("")
    assert edited_since("main") == ["golden/a", "golden/b", "golden/new with\ttab"]


def test_a_change_cannot_take_its_edit_out_of_the_patterns(change: Path) -> None:
    commit(change, {OWNERS: "/nothing\n", "golden/a": "2"}, "quietly")
    assert edited_since("main") == [OWNERS, "golden/a"]


@pytest.mark.parametrize("base", ["nowhere", "--help", "", "main:golden"])
def test_a_base_that_is_none_is_an_error(change: Path, base: str) -> None:
    with pytest.raises(UserError, match="--base"):
        edited_since(base)


def test_histories_without_a_common_commit_are_an_error(change: Path) -> None:
    git(change, "checkout", "--quiet", "--orphan", "island")
    commit(change, {"golden/a": "3"}, "island")
    with pytest.raises(UserError, match="in common"):
        edited_since("main")


def test_the_projects_patterns_each_name_what_is_there() -> None:
    patterns = judging((ROOT / OWNERS).read_text())
    assert [p for p in patterns if not (ROOT / p[1:]).exists()] == []
    assert {p.endswith("/") for p in patterns if (ROOT / p[1:]).is_dir()} == {True}
    with pytest.raises(UserError, match="from the root"):
        judging("*.toml @somebody\n")


def left(folder: Path, asked: str, **outcomes: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "asked.txt").write_text(asked)
    for gate, outcome in outcomes.items():
        (folder / f"{gate}-verdicts.json").write_text(json.dumps([{"outcome": outcome}]))
        (folder / f"{gate}-report.md").write_text(f"## {gate}: {outcome}\n")
    return folder


def first_line(folder: Path, conclusion: str = "success") -> str:
    return comment(folder, [], PATTERNS, conclusion).splitlines()[0].removeprefix(MARKER)


def test_the_first_line_names_what_was_asked_and_is_missing(tmp_path: Path) -> None:
    folder = left(tmp_path, "accuracy\nlatency\nsyncs\n", accuracy="PASS")
    line = first_line(folder, "failure")
    assert line.startswith(
        "**INCOMPLETE**; MISSING: latency, syncs; asked: accuracy, latency, syncs"
    )
    assert "ended as failure" in line
    assert first_line(folder).startswith("**INCOMPLETE**; MISSING: latency, syncs")
    left(tmp_path, "accuracy\nlatency\nsyncs\n", latency="FAIL")
    assert first_line(folder, "failure").startswith("**FAIL**; MISSING: syncs")
    left(tmp_path, "accuracy\nlatency\nsyncs\n", latency="PASS", syncs="PASS")
    assert first_line(folder).startswith("**PASS**; asked")
    assert first_line(folder, "cancelled").startswith("**INCOMPLETE**")
    left(tmp_path, "accuracy\nlatency\nsyncs\n", syncs="UNSURE")
    assert first_line(folder, "failure").startswith("**UNSURE**")


@pytest.mark.parametrize("text", ["", "[]", "{}", "[1]", '[{"outcome": "GREEN"}]', "[" * 99999])
def test_verdicts_that_say_nothing_are_missing(tmp_path: Path, text: str) -> None:
    folder = left(tmp_path, "latency\n", latency="PASS")
    (folder / "latency-verdicts.json").write_text(text)
    assert first_line(folder).startswith("**INCOMPLETE**; MISSING: latency")


def test_a_run_that_left_nothing_is_no_pass(tmp_path: Path) -> None:
    for folder in (tmp_path / "none", left(tmp_path / "empty", "\n../../x\n# PASS\n")):
        assert first_line(folder).startswith("**INCOMPLETE**; nothing was measured")


def test_the_comment_lists_edits_of_judges_and_fits(tmp_path: Path) -> None:
    folder = left(tmp_path, "latency\n", latency="PASS")
    said = comment(folder, ["golden/a`\n# PASS", "code.py"], PATTERNS, "success")
    assert "\nThis change edits: `golden/a??# PASS`\n" in said and "code.py" not in said
    assert "## latency: PASS" in said
    (folder / "latency-report.md").write_text("x" * 10 * LIMIT)
    many = [f"golden/{i}" for i in range(5000)]
    assert len(comment(folder, many, PATTERNS, "success")) < 65536


def test_it_needs_no_package_of_others(tmp_path: Path) -> None:
    (tmp_path / "changed.txt").write_text("golden/a\0code.py")
    command = [
        "-S",
        "-m",
        "bench.report.pull_request",
        str(tmp_path),
        str(tmp_path / "changed.txt"),
        "failure",
    ]
    ran = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith(MARKER) and "This change edits: `golden/a`" in ran.stdout
