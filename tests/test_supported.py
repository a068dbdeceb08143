"""Where the project does not run it says so in one line, before any import can fail."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from bench.base.supported import PYTHONS

ROOT = Path(__file__).parents[1]
ELSEWHERE = """
import builtins, sys

import bench.__main__
{change}
taken = builtins.__import__

def refuse(name, *rest, **named):
    if name.partition(".")[0] in ("typer", "torch", "resource", "fcntl", "hybrid"):
        raise ModuleNotFoundError(f"No module named {{name!r}}")
    return taken(name, *rest, **named)

builtins.__import__ = refuse
sys.argv = ["bench", "golden"]
bench.__main__.main()
"""


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("sys.platform = 'win32'", "this is win32"),
        ("sys.platform = 'darwin'", "this is darwin"),
        ("sys.version_info = (3, 13, 1, 'final', 0)", "this is Python 3.13"),
        ("sys.version_info = (3, 10, 14, 'final', 0)", "this is Python 3.10"),
    ],
)
def test_elsewhere_a_command_ends_in_one_line(change: str, named: str) -> None:
    program = ELSEWHERE.format(change=change)
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2 and not ran.stdout
    [line] = ran.stderr.splitlines()
    assert line.startswith("error: vlm-hybrid runs on Linux with Python 3.11 or 3.12")
    assert named in line


def test_what_is_supported_is_what_the_package_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    allowed = SpecifierSet(project["requires-python"])
    for minor in range(8, 16):
        # Every patch of a release is as good as the first.
        assert ((3, minor) in PYTHONS) == allowed.contains(f"3.{minor}.0")
        assert ((3, minor) in PYTHONS) == allowed.contains(f"3.{minor}.99")
    named = {c.rpartition(" ")[2] for c in project["classifiers"] if "Python :: 3" in c}
    assert named == {f"{major}.{minor}" for major, minor in PYTHONS}
