"""A container's user: an id without a passwd entry, no HOME, or one that cannot be written to."""

import functools
import hashlib
import http.server
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.base.errors import UserError
from bench.base.home import expanded
from bench.tasks import load_task
from tests.commands import run

UID = 12345  # without a passwd entry
PLAYED = f"""
import os, pwd
def nobody(uid):
    raise KeyError(f"getpwuid(): uid not found: {{uid}}")
pwd.getpwuid = nobody
os.getuid = lambda: {UID}
"""
# Each command in a folder of its own, with stderr in a file beside; all in one process, since
# torch takes seconds to import.
START = """
import json, os, sys
from bench.__main__ import main

codes = {}
for name, command in json.loads(sys.argv[1]).items():
    os.makedirs(name, exist_ok=True)
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
COMMIT = "from bench.base.checkout import git; print(git('rev-parse', 'HEAD'))"
READABLE = """
from importlib.util import find_spec
for name in ("bench", "hybrid", "torch", "transformers", "typer", "datasets"):
    open(find_spec(name).origin, "rb").close()
"""
OF_A_USER = (
    *("HOME", "USER", "LOGNAME", "LMUData", "MPLCONFIGDIR"),
    *("HF_HOME", "HF_DATASETS_CACHE", "XDG_CACHE_HOME"),
)
FETCH = ("fetch", "COCO_VAL", "--url", "http://127.0.0.1:9/a")
STRANGER: dict[str, Any] = {"user": UID, "group": UID, "extra_groups": []}
COMMANDS = {
    "fetch": FETCH,
    "data by name": ("run", "--data", "COCO_VAL", "--model", "tiny"),
    "hub": ("run", "--data", "hf:nobody/nothing:val", "--model", "tiny"),
    "profile": ("accuracy", "--profile", "~/p.toml"),
    "folder": ("run", "--data", "hf:~/x", "--model", "tiny"),
    "run": ("run", "--data", "tiny-mmbench", "--model", "tiny", "--limit", "1"),
}


def as_nobody(
    folder: Path,
    home: str | None,
    commands: dict[str, tuple[str, ...]],
    *,
    truly: bool = False,
    before: str = "",
    **more: str,
) -> dict[str, tuple[int, str]]:
    """Exit code and stderr of each command, run in `folder`/its name.

    home: $HOME, None for no such variable. truly: as such a user, not as one who plays it.
    before: Python that runs first. more: variables."""
    environment = {key: value for key, value in os.environ.items() if key not in OF_A_USER}
    if home is not None:
        environment["HOME"] = home
    start = before + START if truly else PLAYED + before + START
    ran = subprocess.run(
        [sys.executable, "-c", start, json.dumps(commands)],
        cwd=folder,
        env=environment | more,
        capture_output=True,
        encoding="utf-8",
        check=False,
        **(STRANGER if truly else {}),
    )
    assert ran.stderr.count("\n") == 1, ran.stderr  # the exit codes
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


@pytest.fixture(scope="module")
def stranger() -> Iterator[Path]:
    """A folder of the user without a passwd entry; skips where nobody can become that user."""
    if os.geteuid() != 0:
        pytest.skip("only root can start a command as a user without a passwd entry")
    with tempfile.TemporaryDirectory(prefix="stranger-") as name:
        folder = Path(name)
        os.chown(folder, UID, UID)
        try:
            subprocess.run(
                [sys.executable, "-c", READABLE],
                cwd=folder,
                capture_output=True,
                check=True,
                **STRANGER,
            )
        except (OSError, subprocess.CalledProcessError):
            pytest.skip(f"{sys.executable} and its packages can't be read by another user")
        yield folder


def closed(folder: Path) -> str:
    """A folder with something in it that only root may look at."""
    (folder / "LMUData").mkdir(parents=True)
    (folder / ".cache" / "huggingface").mkdir(parents=True)
    folder.chmod(0o700)
    return str(folder)


def parquet(folder: Path) -> str:
    """A repository's own files; `datasets` reads them through its cache."""
    datasets: Any = importlib.import_module("datasets")  # slow, and without types
    folder.mkdir()
    datasets.Dataset.from_dict({"index": [1], "answer": ["['a red circle']"]}).to_parquet(
        str(folder / "val-00000-of-00001.parquet")
    )
    return f"hf:{folder}:val"


def test_a_user_without_a_passwd_entry_gets_answers_or_one_line(stranger: Path) -> None:
    (stranger / "golden unwritable").mkdir()  # root's
    (stranger / "demo unwritable").mkdir()
    (stranger / "run unwritable").mkdir()
    run = ("run", "--data", "tiny-mmbench", "--model", "tiny_hybrid", "--limit", "1")
    commands = {
        "golden": ("golden",),
        "demo": ("demo",),
        "run": run,
        "golden unwritable": ("golden",),
        "demo unwritable": ("demo",),
        "run unwritable": run,
        "fetch": FETCH,
        "data by name": COMMANDS["data by name"],
        "hub": COMMANDS["hub"],
        "parquet": ("run", "--data", parquet(stranger / "data"), "--model", "tiny"),
    }
    ended = as_nobody(stranger, None, commands, truly=True)
    assert [ended[name] for name in ("golden", "demo", "run")] == [(0, "")] * 3
    for name, setting in {
        "golden unwritable": "choose another --work-dir",
        "demo unwritable": "choose another --out",
        "run unwritable": "choose another --work-dir",
        "fetch": "set LMUData",
        "data by name": "set LMUData",
        "hub": "set HF_HOME",
        "parquet": "set HF_HOME",
    }.items():
        code, said = ended[name]
        assert (code, said.count("\n")) == (2, 1) and setting in said, (name, said)
    assert list((stranger / "parquet").iterdir()) == []  # no folder called ~


def test_a_home_folder_of_somebody_else_is_one_line_too(stranger: Path) -> None:
    home = closed(stranger / "of-root")
    commands = {
        "other data by name": COMMANDS["data by name"],
        "other hub": COMMANDS["hub"],
        "other parquet": ("run", "--data", parquet(stranger / "more"), "--model", "tiny"),
        "other golden": ("golden",),
    }
    ended = as_nobody(stranger, home, commands, truly=True)
    assert ended.pop("other golden") == (0, "")
    for name, (code, said) in ended.items():
        setting = "set LMUData" if "name" in name else "set HF_HOME"
        assert (code, said.count("\n")) == (2, 1) and setting in said, (name, said)


def test_what_is_set_is_enough(stranger: Path) -> None:
    content = b"index\tanswer\n1\t['a red circle']\n2\t['a blue square']\n"
    (stranger / "served").mkdir()
    (stranger / "served" / "c.tsv").write_bytes(content)
    (stranger / "LMU").mkdir()
    shutil.chown(stranger / "LMU", UID, UID)
    serve = functools.partial(Quiet, directory=str(stranger / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/c.tsv"
        md5 = hashlib.md5(content).hexdigest()
        known = (
            "from bench.tasks import load\n"
            f"load.KNOWN['COCO_VAL'] = load.KnownData('coco', {md5!r}, {url!r})\n"
        )
        got = as_nobody(
            stranger,
            None,
            {"fetched": ("fetch", "COCO_VAL")},
            truly=True,
            before=known,
            LMUData=str(stranger / "LMU"),
        )
        server.shutdown()
    assert got["fetched"][0] == 0, got
    assert (stranger / "LMU" / "COCO_VAL.tsv").read_bytes() == content
    assert list(load_task(stranger / "LMU" / "COCO_VAL.tsv", prompt=None).indices) == [1, 2]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def test_the_code_s_commit_is_known_to_another_user_too(stranger: Path) -> None:
    """git itself refuses a checkout that another user owns."""
    own = subprocess.run(
        [sys.executable, "-c", COMMIT], capture_output=True, check=True, encoding="utf-8"
    )
    other = subprocess.run(
        [sys.executable, "-c", COMMIT],
        cwd=stranger,
        capture_output=True,
        check=True,
        encoding="utf-8",
        **STRANGER,
    )
    assert other.stdout == own.stdout


def test_a_work_dir_that_cannot_be_written_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("bench.gates.goldens.golden_gate", None)
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        ended = run(monkeypatch, capsys, "golden", "--work-dir", str(place))
        assert (ended.code, ended.out) == (2, "")
        assert ended.err == f"error: cannot write {place}: choose another --work-dir\n"


def test_a_checkpoint_of_nobody_s_home_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = run(monkeypatch, capsys, "init", "--checkpoint", "~no-such-user/llava", "--data", "x")
    assert ended.code == 2 and ended.err.count("\n") == 1
    assert "~no-such-user/llava: there is no home folder" in ended.err
