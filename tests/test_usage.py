"""A mistyped command line: one line on stderr that says where to read on, and exit code 2."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from bench.cost.spending import Budget
from tests.compare_runs import questions_xlsx, run_folder


def bench(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `python -m bench`."""
    command = [sys.executable, "-m", "bench", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize(
    ("arguments", "names", "read_on"),
    [
        (["--nope"], "--nope", "python -m bench --help"),
        (["nope"], "nope", "python -m bench --help"),
        (["latency", "--nope"], "--nope", "python -m bench latency --help"),
        (["run"], "--data", "python -m bench run --help"),
        (["reference", "nope"], "nope", "python -m bench reference --help"),
        (["gate-check", "--live", "some"], "--live", "python -m bench gate-check --help"),
        (["gate-check", "--live", "1", "--record", "x"], "--live or --record, not both", ""),
        (["run", "--keep"], "--keep", ""),  # typer does not say whose option it is
    ],
)
def test_a_mistyped_line_gets_one_line(arguments: list[str], names: str, read_on: str) -> None:
    code, out, err = bench(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: ")
    assert names in err
    assert err.endswith(f"{read_on}\n")


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        (["-h"], "python -m bench [OPTIONS]"),
        (["help"], "python -m bench [OPTIONS]"),
        (["help", "latency"], "python -m bench latency"),
        (["help", "reference", "add"], "python -m bench reference add"),
        (["accuracy", "-h"], "python -m bench accuracy"),
        (["gate", "--help"], "python -m bench gate"),
        (["sync", "-h"], "python -m bench sync"),
        (["help", "syncs"], "python -m bench syncs"),
    ],
)
def test_help_as_people_ask_for_it_and_by_a_gates_either_name(
    arguments: list[str], usage: str
) -> None:
    code, out, err = bench(*arguments)
    assert (code, err) == (0, "")
    assert f"Usage: {usage}" in out


def test_the_version_is_the_packages() -> None:
    assert bench("--version") == (0, f"vlm-hybrid {version('vlm-hybrid')}\n", "")


@pytest.mark.parametrize("option", ["--install-completion", "--show-completion=bash"])
def test_completion_is_the_programs(option: str) -> None:
    code, out, err = bench(option)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.endswith(f"vlm-hybrid {option}\n")
    assert "completion" not in bench("--help")[1]
    program = str(Path(sys.executable).with_name("vlm-hybrid"))
    helped = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
    assert "--install-completion" in helped.stdout


@pytest.mark.parametrize("missing", ["typer", "torch"])
def test_what_is_not_installed_is_named_with_the_way_to_install(missing: str) -> None:
    """typer is imported first of all, torch only when something is run."""
    program = f"""
import runpy, sys
sys.modules[{missing!r}] = None
sys.argv = ["bench", "demo"]
runpy.run_module("bench", run_name="__main__", alter_sys=True)
"""
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
    assert ran.stderr.startswith(f"error: {missing} is missing in {sys.prefix}: install")


READING = """
import sys
from bench.cli import main

sys.modules["torch"] = None
for command in (["score", sys.argv[1]], ["score", sys.argv[2]], ["reference", "list"]):
    sys.argv[1:] = command
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, command
print("read")
"""


def test_what_only_reads_answers_waits_for_no_torch(tmp_path: Path) -> None:
    """Which takes seconds to import."""
    answers = questions_xlsx(tmp_path / "answers.xlsx", ["A"] * 4)
    run = run_folder(tmp_path / "run", "AAAA", budget=Budget(36, 43.75, 10**9, 512_000))
    command = [sys.executable, "-c", READING, str(answers), str(run)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0 and ran.stdout.endswith("read\n"), ran.stderr
    assert "36      43.8     1 G    512 kB" in ran.stdout


@pytest.mark.parametrize("arguments", [[], ["reference"]])
def test_no_arguments_are_asking_for_help(arguments: list[str]) -> None:
    code, out, err = bench(*arguments)
    assert (code, err) == (2, "")
    assert "Usage: " in out
    assert "Commands" in out
