"""A container's user: an id without a passwd entry, no HOME, or one that cannot be written to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.home import expanded

START = """
import os, pwd
def nobody(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = nobody
os.getuid = lambda: 12345
from bench.__main__ import main
main()
"""
OF_A_USER = ("HOME", "USER", "LOGNAME", "LMUData", "HF_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR")


def as_nobody(folder: Path, home: str | None, *command: str) -> tuple[int, str]:
    """Exit code and stderr of a command; home: $HOME, None for no such variable."""
    environment = {key: value for key, value in os.environ.items() if key not in OF_A_USER}
    if home is not None:
        environment["HOME"] = home
    ran = subprocess.run(
        [sys.executable, "-c", START, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return ran.returncode, ran.stderr


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        (("fetch", "COCO_VAL", "--url", "http://127.0.0.1:9/a"), "LMUData"),
        (("run", "--data", "COCO_VAL", "--model", "tiny"), "LMUData"),
        (("run", "--data", "hf:nobody/nothing:val", "--model", "tiny"), "HF_HOME"),
        (("accuracy", "--profile", "~/p.toml"), "~/p.toml: there is no home folder"),
        (("run", "--data", "hf:~/x", "--model", "tiny"), "~/x: there is no home folder"),
    ],
    ids=["fetch", "data by name", "hub", "profile", "folder"],
)
def test_without_a_home_folder_one_line_names_what_to_set(
    tmp_path: Path, command: tuple[str, ...], variable: str
) -> None:
    code, said = as_nobody(tmp_path, None, *command)
    assert code == 2 and said.startswith("error: ") and said.count("\n") == 1
    assert variable in said
    assert list(tmp_path.iterdir()) == []


def test_a_home_folder_that_cannot_be_made_names_the_data_s_variable(tmp_path: Path) -> None:
    command = ("fetch", "COCO_VAL", "--url", "http://127.0.0.1:9/a")
    code, said = as_nobody(tmp_path, "/dev/null/home", *command)
    assert code == 2 and said.count("\n") == 1 and "set LMUData to another folder" in said


def test_a_run_needs_no_home_folder(tmp_path: Path) -> None:
    command = ("run", "--data", "tiny-mmbench", "--model", "tiny", "--limit", "1")
    assert as_nobody(tmp_path, None, *command) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]


def test_a_path_of_nobody_is_one_line() -> None:
    with pytest.raises(UserError, match=r"~no-such-user/a: there is no home folder"):
        expanded("~no-such-user/a")
    assert expanded("a/~b") == Path("a/~b")
