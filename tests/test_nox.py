"""The sessions' environment: which one is taken, what may not reach into it, and two at once."""

import os
import subprocess
import sys
import threading
import tomllib
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import nox
import pytest
from packaging.requirements import Requirement

import noxfile
from sessions import environment

ROOT = Path(__file__).parents[1]
BARE = """
import builtins, importlib.util, sys

sys.path[:] = [entry for entry in sys.path if entry not in ("", {root!r})]
taken = builtins.__import__

def ask(name, *rest, **named):
    if name.partition(".")[0] in {pinned!r}:
        raise ModuleNotFoundError(f"No module named {{name!r}}")
    return taken(name, *rest, **named)

builtins.__import__ = ask
spec = importlib.util.spec_from_file_location("theirs", {root!r} + "/noxfile.py")
spec.loader.exec_module(importlib.util.module_from_spec(spec))

import nox.registry

print(*nox.registry.get())
"""
ONE_TEST = ("tests/test_supported.py", "-k", "what_the_package_asks_for", "-q")


class Running:
    """A session that runs what it is told to, in this environment changed as it is told."""

    def __init__(self) -> None:
        self.code = 0
        self.printed = ""
        self.commands: list[tuple[str, ...]] = []
        self.logged: list[str] = []

    def run(self, *command: str, env: dict[str, str | None] | None = None) -> None:
        changes = env or {}
        environment = {k: v for k, v in os.environ.items() if k not in changes}
        ran = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        self.code, self.printed = ran.returncode, ran.stdout + ran.stderr

    def log(self, line: str) -> None:
        self.logged.append(line)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Running:
    """Sessions run in this Python, and write nothing into the checkout."""
    monkeypatch.setattr(environment, "lacking", lambda: None)
    monkeypatch.setattr(noxfile, "OUTPUTS", tmp_path)
    return Running()


def _session(of: object) -> nox.Session:
    return cast(nox.Session, of)


def test_what_others_set_does_not_reach_the_tests(
    here: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of these alone would keep the test from running, or from being what it is."""
    theirs = {
        "PYTEST_ADDOPTS": "--collect-only --deselect tests/test_supported.py --setup-plan",
        "PYTEST_PLUGINS": "no.such.plugin",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": str(ROOT / "tests" / "mutation"),
        "PYTHONOPTIMIZE": "2",
        "PYTHONSAFEPATH": "1",
    }
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    assert theirs.keys() <= environment.environment_variables().keys()
    noxfile.pytest(_session(here), *ONE_TEST)
    assert here.code == 0 and "1 passed" in here.printed, here.printed


@pytest.mark.parametrize(
    "argument", ["--collect-only", "--setup-plan", "--deselect=tests/test_supported.py", "-kxyz"]
)
def test_a_session_in_which_no_test_ran_is_red(here: Running, argument: str) -> None:
    noxfile.pytest(_session(here), *ONE_TEST, argument)
    assert here.code == pytest.ExitCode.NO_TESTS_COLLECTED, here.printed


def test_tests_that_are_all_skipped_show_nothing(here: Running, tmp_path: Path) -> None:
    test = "import pytest\n\ndef test_it() -> None:\n    pytest.skip('not here')\n"
    (tmp_path / "test_skipped.py").write_text(test)
    noxfile.pytest(_session(here), str(tmp_path), "--rootdir", str(tmp_path))
    assert here.code == pytest.ExitCode.NO_TESTS_COLLECTED, here.printed


@pytest.mark.parametrize("ending", ["pass", "import pytest; pytest.skip('not here')"])
def test_workers_report_what_ran_and_are_few(here: Running, tmp_path: Path, ending: str) -> None:
    test = "import os\n\n\ndef test_it() -> None:\n"
    test += f"    assert int(os.environ['PYTEST_XDIST_WORKER_COUNT']) <= 4\n    {ending}\n"
    (tmp_path / "test_shared.py").write_text(test)
    noxfile.pytest(_session(here), *noxfile.SHARED, str(tmp_path), "--rootdir", str(tmp_path))
    ran, none = (0, "1 passed"), (pytest.ExitCode.NO_TESTS_COLLECTED, "1 skipped")
    code, said = ran if ending == "pass" else none
    assert here.code == code and said in here.printed, here.printed
    assert "warning" not in here.printed.lower()


def test_all_tests_share_the_cores_but_for_those_that_ask_a_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(
        noxfile, "pytest", lambda _, *arguments, **variables: asked.append((arguments, variables))
    )
    noxfile.tests.func(SimpleNamespace(posargs=[]))
    assert asked == [(noxfile.SHARED, {"OMP_NUM_THREADS": "1"}), (("-m", "clock"), {})]
    noxfile.tests.func(SimpleNamespace(posargs=["-k", "words"]))
    assert asked[2:] == [(("-k", "words"), {})]


def test_harmless_variables_stay_and_the_user_s_are_for_gates_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    monkeypatch.setenv("FASTV_K", "36")
    assert not {"PYTHONUNBUFFERED", "FASTV_K"} & set(environment.environment_variables())
    assert environment.environment_variables(*environment.USERS)["FASTV_K"] is None


def test_a_nox_of_elsewhere_reads_the_sessions(tmp_path: Path) -> None:
    """As `pipx install nox` makes it: nothing of the project is there, nor on its path."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {Requirement(line).name for line in project["dependencies"]}
    program = BARE.format(root=str(ROOT), pinned=pinned | {"PIL", "hybrid"})
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert {"lint", "tests", "accuracy", "latency"} <= set(ran.stdout.split())


def _reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pins: str) -> str | None:
    file = tmp_path / "constraints.txt"
    file.write_text(f"# pinned\n{pins}\n")
    monkeypatch.setattr(environment, "PINS", file)
    return cast(Any, environment.lacking).__wrapped__()  # type: ignore[no-any-return]


def test_an_environment_is_taken_while_it_holds_the_pins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert _reason(monkeypatch, tmp_path, "") is None
    # A local version, such as torch's +cpu, is the release that is pinned.
    assert _reason(monkeypatch, tmp_path, f"nox=={version('nox')}") is None
    reason = _reason(monkeypatch, tmp_path, "MarkupSafe==0.0.7")
    assert reason is not None and "is not" in reason and "==0.0.7" in reason
    # One that nobody asks for by name, and that only others need.
    assert "==0.0.7" in str(_reason(monkeypatch, tmp_path, "tzdata==2026.6\nsympy==0.0.7"))


def test_another_folder_s_environment_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    assert "not this folder" in str(_reason(monkeypatch, tmp_path, ""))


class Making(Running):
    """Makes an environment that holds a word, and takes its time for it."""

    def __init__(self, started: threading.Event, go_on: threading.Event) -> None:
        super().__init__()
        self.started, self.go_on = started, go_on

    def run(self, *command: str, env: dict[str, str | None] | None = None) -> None:
        self.commands.append(command)
        if "virtualenv" in command:
            Path(command[-1]).mkdir(exist_ok=True)
        else:
            self.started.set()
            assert self.go_on.wait(30)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """nox's own environment lacks something, and others are made in a folder of the test."""
    monkeypatch.setattr(environment, "lacking", lambda: "it has no torch")
    monkeypatch.setattr(environment, "ENVIRONMENTS", tmp_path / ".nox")
    pins = tmp_path / "constraints.txt"
    pins.write_text("torch==1\n")
    monkeypatch.setattr(environment, "PINS", pins)
    return tmp_path


def test_two_at_once_make_one_environment(elsewhere: Path) -> None:
    started, go_on = threading.Event(), threading.Event()
    first, second = Making(started, go_on), Making(started, go_on)
    found: dict[str, str] = {}

    def make(name: str, session: Making) -> None:
        found[name] = environment.executable(_session(session))

    threads = [threading.Thread(target=make, args=("first", first))]
    threads[0].start()
    assert started.wait(30)
    threads.append(threading.Thread(target=make, args=("second", second)))
    threads[1].start()
    while not second.logged:
        threads[1].join(0.01)
    assert "waiting" in second.logged[0] and not second.commands and not found
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert found["first"] == found["second"]
    assert first.commands and not second.commands


def test_changed_pins_leave_the_environment_of_a_running_gate_alone(elsewhere: Path) -> None:
    go_on = threading.Event()
    go_on.set()
    before = Path(environment.executable(_session(Making(threading.Event(), go_on))))
    (before.parents[1] / "in-use").touch()
    (elsewhere / "constraints.txt").write_text("torch==2\n")
    after = Path(environment.executable(_session(Making(threading.Event(), go_on))))
    assert after.parents[1] != before.parents[1]
    assert (before.parents[1] / "in-use").exists()
    again = Making(threading.Event(), go_on)
    assert Path(environment.executable(_session(again))) == after and not again.commands


def test_an_environment_that_was_never_finished_is_made_anew(elsewhere: Path) -> None:
    go_on = threading.Event()
    go_on.set()
    made = environment.executable(_session(Making(threading.Event(), go_on)))
    (Path(made).parents[1] / "vlm-hybrid.installed").unlink()
    again = Making(threading.Event(), go_on)
    assert environment.executable(_session(again)) == made
    assert any("virtualenv" in command for command in again.commands)
    assert sys.executable in again.commands[0]
