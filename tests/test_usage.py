"""A mistyped command line: one line on stderr that says where to read on, and exit code 2."""

import subprocess
import sys

import pytest


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


@pytest.mark.parametrize("arguments", [[], ["reference"]])
def test_no_arguments_are_asking_for_help(arguments: list[str]) -> None:
    code, out, err = bench(*arguments)
    assert (code, err) == (2, "")
    assert "Usage: " in out
    assert "Commands" in out
