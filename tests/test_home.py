"""A container's user: an id without a passwd entry, no HOME, or one that cannot be written to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.home import expanded

# Each command in a folder of its own, with stderr in a file beside; all in one process, since
# torch takes seconds to import.
START = """
import json, os, pwd, sys
def nobody(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = nobody
os.getuid = lambda: 12345
from bench.__main__ import main

codes = {}
for name, command in json.loads(sys.argv[1]).items():
    os.mkdir(name)
    os.chdir(name)
    sys.argv[1:] = command
    with open(f"../{name}.stderr", "w", encoding="utf-8") as sys.stderr:
        try:
            main()
        except SystemExit as ended:
            codes[name] = ended.code
        else:
            codes[name] = 0
    sys.stderr = sys.__stderr__
    os.chdir("..")
print(json.dumps(codes), file=sys.stderr)
"""
OF_A_USER = ("HOME", "USER", "LOGNAME", "LMUData", "HF_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR")
FETCH = ("fetch", "COCO_VAL", "--url", "http://127.0.0.1:9/a")
COMMANDS = {
    "fetch": FETCH,
    "data by name": ("run", "--data", "COCO_VAL", "--model", "tiny"),
    "hub": ("run", "--data", "hf:nobody/nothing:val", "--model", "tiny"),
    "profile": ("accuracy", "--profile", "~/p.toml"),
    "folder": ("run", "--data", "hf:~/x", "--model", "tiny"),
    "run": ("run", "--data", "tiny-mmbench", "--model", "tiny", "--limit", "1"),
}


def as_nobody(
    folder: Path, home: str | None, commands: dict[str, tuple[str, ...]]
) -> dict[str, tuple[int, str]]:
    """Exit code and stderr of each command, run in `folder`/its name; home: $HOME, None for no
    such variable."""
    environment = {key: value for key, value in os.environ.items() if key not in OF_A_USER}
    if home is not None:
        environment["HOME"] = home
    ran = subprocess.run(
        [sys.executable, "-c", START, json.dumps(commands)],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return {
        name: (code, (folder / f"{name}.stderr").read_text(encoding="utf-8"))
        for name, code in json.loads(ran.stderr).items()
    }


@pytest.fixture(scope="module")
def homeless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("homeless")


@pytest.fixture(scope="module")
def ended(homeless: Path) -> dict[str, tuple[int, str]]:
    """How all commands end without a home folder."""
    return as_nobody(homeless, None, COMMANDS)


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("fetch", "LMUData"),
        ("data by name", "LMUData"),
        ("hub", "HF_HOME"),
        ("profile", "~/p.toml: there is no home folder"),
        ("folder", "~/x: there is no home folder"),
    ],
)
def test_without_a_home_folder_one_line_names_what_to_set(
    homeless: Path, ended: dict[str, tuple[int, str]], name: str, variable: str
) -> None:
    code, said = ended[name]
    assert code == 2 and said.startswith("error: ") and said.count("\n") == 1
    assert variable in said
    assert list((homeless / name).iterdir()) == []


def test_a_home_folder_that_cannot_be_made_names_the_data_s_variable(tmp_path: Path) -> None:
    code, said = as_nobody(tmp_path, "/dev/null/home", {"fetch": FETCH})["fetch"]
    assert code == 2 and said.count("\n") == 1 and "set LMUData to another folder" in said


def test_a_run_needs_no_home_folder(homeless: Path, ended: dict[str, tuple[int, str]]) -> None:
    assert ended["run"] == (0, "")
    assert [path.name for path in (homeless / "run").iterdir()] == ["outputs"]


def test_a_path_of_nobody_is_one_line() -> None:
    with pytest.raises(UserError, match=r"~no-such-user/a: there is no home folder"):
        expanded("~no-such-user/a")
    assert expanded("a/~b") == Path("a/~b")
