"""Which code a verdict is about: this checkout's, and whether it was changed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.base import checkout
from bench.report.origin import revision

ROOT = Path(__file__).parents[1]
GIT = ("git", "-c", "user.name=n", "-c", "user.email=e@x", "-c", "commit.gpgsign=false")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another checkout of this project, whose code is no code at all."""
    for package in ("bench", "hybrid"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise RuntimeError('broken')\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "vlm-hybrid"\n')
    return tmp_path


def _run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("folder", [".", "hybrid"])
@pytest.mark.parametrize("gate", ["golden", "cost", "syncs"])
def test_a_gate_in_another_checkout_stops(other: Path, folder: str, gate: str) -> None:
    program = f"import sys; sys.argv[1:] = [{gate!r}]; from bench.cli import main; main()"
    ran = _run(other / folder, "-P", "-c", program)
    assert ran.returncode == 2 and not ran.stdout
    [line] = ran.stderr.splitlines()
    assert str(other) in line and str(ROOT / "bench") in line and "nothing here" in line


@pytest.mark.parametrize("arguments", [("-P",), ()])
def test_by_option_and_by_variable(other: Path, arguments: tuple[str, ...]) -> None:
    ran = _run(other, *arguments, "-m", "bench", "golden", PYTHONSAFEPATH="1")
    assert ran.returncode == 2 and "was imported from" in ran.stderr


def test_help_is_given_everywhere(other: Path) -> None:
    assert _run(other, "-P", "-m", "bench", "golden", "--help").returncode == 0


def test_each_package_is_looked_at(other: Path) -> None:
    mine = {"bench": other / "bench", "hybrid": other / "hybrid"}
    assert checkout.foreign_code(other, mine) is None
    assert checkout.foreign_code(other / "bench", mine) is None
    for package in mine:
        told = checkout.foreign_code(other, mine | {package: ROOT / package})
        assert told is not None and f"{package} was imported from {ROOT / package}" in told


def test_outside_and_in_other_projects_nothing_is_asked(other: Path) -> None:
    imported = checkout.imported_packages()
    assert imported == {"bench": ROOT / "bench", "hybrid": ROOT / "hybrid"}
    assert checkout.foreign_code(other.parent, imported) is None
    assert checkout.foreign_code(ROOT / "docs", imported) is None
    (other / "pyproject.toml").write_text('[project]\nname = "another"\n')
    assert checkout.foreign_code(other, imported) is None


@pytest.fixture
def committed(other: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`bench.base.checkout` asks git about a repository of the test."""
    (other / ".gitignore").write_text("__pycache__/\nsecret.py\n")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*GIT, *command], cwd=other, check=True)
    monkeypatch.setattr(checkout, "BENCH", other / "bench")
    return other


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("hybrid/new.py", True),
        ("bench/arms/profiles/mine.toml", True),
        ("golden/case.txt", True),
        ("hybrid/secret.py", True),  # ignored by git, not by Python
        ("hybrid/__init__.py", True),
        ("pyproject.toml", True),
        ("notes.txt", False),
        ("hybrid/__pycache__/x.cpython-311.pyc", False),
    ],
)
def test_new_and_ignored_files_are_changes(committed: Path, file: str, changed: bool) -> None:
    assert not checkout.is_changed()
    (committed / file).parent.mkdir(parents=True, exist_ok=True)
    (committed / file).write_text("# other\n")
    assert checkout.is_changed() is changed


def test_a_repository_around_or_named_by_a_hook_is_not_ours(
    committed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    head = checkout.git("rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(tmp_path_factory.mktemp("hook")))
    assert head and checkout.git("rev-parse", "HEAD") == head
    monkeypatch.setattr(checkout, "BENCH", committed / "site-packages" / "vlm_hybrid" / "bench")
    assert checkout.git("rev-parse", "HEAD") is None


def test_a_verdict_names_its_code() -> None:
    assert revision("ab" * 20, dirty=False) == "ab" * 6
    assert "changes" in revision("ab" * 20, dirty=True)
    assert "outside of a git checkout" in revision(None, dirty=False)
