"""What README and help tell people to type is typed here, and its answer looked at."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli import demo

ROOT = Path(__file__).parents[1]


def test_the_readmes_python_answers_rightly_as_it_stands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    snippet = re.findall(r"```python\n(.*?)```", text.partition("## In Python")[2], re.DOTALL)[0]
    ran = subprocess.run(
        [sys.executable, "-c", snippet], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, "green D\n"), ran.stderr
    assert "# green D" in snippet


def test_the_help_of_demo_asks_what_the_model_was_taught(tmp_path: Path) -> None:
    [question] = re.findall(r'bench demo "([^"]*)"', demo.demo.__doc__ or "")
    command = [sys.executable, "-m", "bench", "demo", question, "--out", str(tmp_path / "demo.png")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[:2] == ["dense: green B", "hybrid: green B"]


def test_without_a_home_folder_the_data_s_folder_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bench.errors import UserError
    from bench.tasks.load import lmu_data

    def nobody(_: int) -> None:
        raise KeyError("no such uid")

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("LMUData", raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(UserError, match="set LMUData"):
        lmu_data()
