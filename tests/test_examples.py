"""What README and help tell people to type is typed here, and its answer looked at."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from bench.cli import app, demo
from tests.commands import Typed
from tests.compare_runs import run_folder

ROOT = Path(__file__).parents[1]


def test_the_readmes_python_answers_rightly_as_it_stands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    snippet = re.findall(r"```python\n(.*?)```", text.partition("## In Python")[2], re.DOTALL)[0]
    ran = subprocess.run(
        [sys.executable, "-c", snippet], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, "green D\n"), ran.stderr
    assert "# green D" in snippet


def test_the_help_of_demo_asks_what_the_model_was_taught(tmp_path: Path, typed: Typed) -> None:
    [question] = re.findall(r'bench demo "([^"]*)"', demo.demo.__doc__ or "")
    ran = typed("demo", question, "--out", str(tmp_path / "demo.png"))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[:2] == ["dense: green B", "hybrid: green B"]


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


def examples() -> list[str]:
    """Every `python -m bench ...` of README and docs that is given as a command of its own line."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    lines = [
        line
        for page in pages
        for block in re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        for line in block.replace("\\\n", " ").splitlines()
    ]
    return sorted({line for line in lines if line.startswith("python -m bench ")})


def test_there_are_examples() -> None:
    assert len(examples()) > 8


@pytest.mark.parametrize("line", examples())
def test_each_example_is_a_line_that_the_command_takes(line: str) -> None:
    words = shlex.split(line, comments=True)[3:]
    command: Any = typer.main.get_command(app)
    context: Any = None
    name = "bench"
    while True:
        context = command.make_context(name, list(words), parent=context)
        if not hasattr(command, "resolve_command"):
            return
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        name, command, words = command.resolve_command(context, rest)


def test_a_run_s_folder_is_scored_by_the_sheet_in_it(tmp_path: Path, typed: Typed) -> None:
    folder = run_folder(tmp_path / "run", "AAAB")
    scored = typed("score", str(folder))
    assert scored.code == 0 and "0.7500" in scored.out
    (folder / "model_data.xlsx").unlink()
    refused = typed("score", str(folder))
    assert refused.code == 2 and "holds 0 .xlsx files" in refused.err
