"""What the wheel puts into other people's environments: one package, which needs no other name."""

import ast
import os
import re
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

from hatch_build import moved, unmoved

ROOT = Path(__file__).parents[1]
# Whoever asks for a `bench` or `hybrid` at the top gets an error, as in an environment without one.
ALONE = """
import sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name in ("bench", "hybrid"):
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Refused())
"""
EVERYTHING = """
import pkgutil, vlm_hybrid
from importlib import import_module

names = [m.name for m in pkgutil.walk_packages(vlm_hybrid.__path__, "vlm_hybrid.")]
folders = {f.parent for f in __import__("pathlib").Path(vlm_hybrid.__path__[0]).rglob("*.py")}
for folder in folders:  # packages without an __init__.py, too
    relative = folder.relative_to(vlm_hybrid.__path__[0]).parts
    prefix = ".".join(("vlm_hybrid", *relative, ""))
    names += [m.name for m in pkgutil.iter_modules([str(folder)], prefix)]
for name in sorted(set(names)):
    import_module(name)
from vlm_hybrid.bench.trust.mutants.mutant import load_mutants
from vlm_hybrid.bench.trust.mutants.planting import changes_of
changes_of(load_mutants())
print(len(set(names)), [name for name in sys.modules if name.split(".")[0] in ("bench", "hybrid")])
"""
PROJECT = {
    "bench/__init__.py": "MINE = 'a bench of their own'\n",
    "hybrid/__init__.py": "MINE = 'a hybrid of their own'\n",
    "test_theirs.py": """
import sys

import pytest
import torch


@pytest.mark.no_sync
def test_waiting():
    torch.ones(2).sum().item()


@pytest.mark.no_sync
def test_clean():
    torch.ones(2).sum()


def test_asking(sync_report):
    torch.ones(2).tolist()
    assert sync_report.count == 1


def test_their_own_packages():
    import bench
    import hybrid

    assert bench.MINE and hybrid.MINE
    assert not [name for name in sys.modules if name.startswith(("bench.", "hybrid."))]


def test_ours():
    from vlm_hybrid.bench.syncs import SyncError, forbid_syncs

    with pytest.raises(SyncError), forbid_syncs():
        torch.ones(2).sum().item()
""",
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files, as pip would lay them."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    return folder / "site"


def _run(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_one_package_lies_at_the_top(installed: Path) -> None:
    assert {path.name.partition("-")[0] for path in installed.iterdir()} == {"vlm_hybrid"}
    entries = ConfigParser(delimiters="=")
    [file] = installed.glob("*.dist-info/entry_points.txt")
    entries.read(file)
    values = [value for section in entries.values() for value in section.values()]
    assert len(values) == 2 and all(value.startswith("vlm_hybrid.") for value in values)


def test_nothing_in_it_names_what_lies_elsewhere(installed: Path) -> None:
    home = installed / "vlm_hybrid"
    folders = [p for top in ("bench", "hybrid") for p in (home / top).iterdir()]
    modules = {f"{p.parent.name}.{p.stem}" for p in folders if p.is_dir() or p.suffix == ".py"}
    files = sorted(home.rglob("*.py"))
    assert len(files) > 300
    for file in files:
        text = file.read_text()
        assert not unmoved(text), file
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
                continue
            module = re.match(r"(bench|hybrid)\.\w+", node.value)
            assert module is None or module[0] not in modules, (file, node.value)
            if "bisect" not in file.parts:  # it judges checkouts
                assert not re.search(r"python -m (bench|hybrid)\b", node.value), file


def test_every_module_and_every_mutant_is_there_under_its_own_name(
    installed: Path, tmp_path: Path
) -> None:
    ran = _run(installed, tmp_path, "-c", ALONE + EVERYTHING)
    assert ran.returncode == 0, ran.stderr
    count, _, others = ran.stdout.strip().partition(" ")
    assert int(count) > 300 and others == "[]"


def test_the_plugin_works_in_a_project_with_folders_of_these_names(
    installed: Path, tmp_path: Path
) -> None:
    for name, text in PROJECT.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    ran = _run(installed, tmp_path, "-m", "pytest", "-q", "--strict-markers", "--rootdir=.")
    assert "1 failed, 4 passed" in ran.stdout, ran.stdout + ran.stderr
    assert "FAILED test_theirs.py::test_waiting" in ran.stdout


def test_a_command_works_in_another_folder(installed: Path, tmp_path: Path) -> None:
    """The others are run by `nox -s wheel`, which takes minutes."""
    program = f"{ALONE}\nsys.argv[1:] = ['mutants', '--list']\n"
    program += "from vlm_hybrid.bench.__main__ import main\nmain()\n"
    ran = _run(installed, tmp_path, "-c", program)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_what_can_not_be_moved_is_refused() -> None:
    with pytest.raises(ValueError, match=r"bench/x\.py"):
        moved("import bench.cli\n", "bench/x.py", {"bench.cli"})
    with pytest.raises(ValueError, match="hybrid"):
        moved("import json, hybrid\n", "bench/x.py", set())
    same = "arm = 'hybrid'\nfile = 'hybrid.json'\n"
    assert moved(same, "bench/x.py", {"hybrid.model"}) == same
