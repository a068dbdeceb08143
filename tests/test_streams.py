"""Where the output goes can't change what a command says by its exit code: 1 is a failed gate."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.tasks.tables.table import Table
from bench.tasks.tables.xlsx import write_xlsx
from tests.commands import Typed
from tests.compare_runs import OPTIONS, questions_xlsx

BENCH = (sys.executable, "-m", "bench")
UNSETS = ("PYTHONIOENCODING", "PYTHONUTF8", "PYTHONUNBUFFERED", "LC_ALL", "LANG", "FORCE_COLOR")


def environment(**settings: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in UNSETS} | settings


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two questions in a category that neither ASCII nor Latin-1 can write."""
    path = tmp_path_factory.mktemp("streams") / "model_MMBench.xlsx"
    cells = {"question": "Which?", **OPTIONS, "answer": "A", "category": "识别"}
    rows = {1: cells, 2: cells}
    write_xlsx(path, Table(str(path), tuple(cells), rows), {1: "A", 2: "B"})
    return path


@pytest.mark.parametrize(
    "settings",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1:strict"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_a_character_that_the_output_lacks_is_escaped(
    foreign: Path, settings: dict[str, str]
) -> None:
    ran = subprocess.run(
        [*BENCH, "score", str(foreign)],
        capture_output=True,
        check=False,
        env=environment(**settings),
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert rb"\u8bc6\u522b" in ran.stdout


def test_files_do_not_depend_on_the_locale(foreign: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    plain = environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    command = [*BENCH, "compare", str(foreign), str(foreign), "--output", str(page)]
    ran = subprocess.run(command, capture_output=True, env=plain, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert "识别" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["score", "--help"])
def test_a_reader_that_leaves_ends_the_command_quietly(
    command: str, unbuffered: str, foreign: Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    arguments = [command, *([str(foreign)] if command == "score" else [])]
    ran = subprocess.run(
        [*BENCH, *arguments],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment(PYTHONUNBUFFERED=unbuffered),
        check=False,
    )
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (141, b"")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_no_verdict(unbuffered: str, foreign: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [*BENCH, "score", str(foreign)],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(PYTHONUNBUFFERED=unbuffered),
            check=False,
        )
    assert (ran.returncode, ran.stderr) == (2, b"error: No space left on device\n")


# One import of torch for both; each is a process of its own, as the shell would start it.
FAILING = """
import os, sys
import bench.arms.profiles, bench.evaluation.comparison.compare, bench.report.comparison.page
from bench.cli import main

reading, closed = os.pipe()
os.close(reading)
full = os.open("/dev/full", os.O_WRONLY)
ended = []
for output, errors in ((closed, 2), (full, full)):
    if not (pid := os.fork()):
        os.dup2(output, 1)
        os.dup2(errors, 2)
        main()
    ended.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(*ended)
"""


def test_a_gate_that_fails_into_a_closed_pipe_has_not_passed(tmp_path: Path, typed: Typed) -> None:
    before = questions_xlsx(tmp_path / "before.xlsx", ["A"] * 60)
    after = questions_xlsx(tmp_path / "after.xlsx", ["B"] * 60)
    command = ["compare", str(before), str(after), "--margin", "0.03"]
    command += ["--output", str(tmp_path / "page.html")]
    seen = typed(*command)
    assert seen.code == 1, seen.err
    unseen = subprocess.run(
        [sys.executable, "-c", FAILING, *command], capture_output=True, text=True, check=False
    )
    assert (unseen.returncode, unseen.stdout, unseen.stderr) == (0, "141 2\n", "")


def test_what_nobody_foresaw_is_no_failed_gate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench.cli import main

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("bench.gates.cost.cost_gate", broken)
    monkeypatch.setattr("sys.argv", ["bench", "cost"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "ZeroDivisionError: planted" in capsys.readouterr().err


PLOTTING = """
import sys
from bench.cli import main
from bench.base.errors import UserError
from bench.evaluation.runs import status

def draw(_):
    from bench.report.plots.style import new_figure, png
    raise UserError(f"drew {len(png(new_figure(1)[0])) > 0}")

status.find_runs = draw
sys.argv = ["bench", "status", "."]
main()
"""


def test_a_notebook_s_matplotlib_does_no_harm() -> None:
    """Jupyter exports a backend that is not installed here."""
    ran = subprocess.run(
        [sys.executable, "-c", PLOTTING],
        capture_output=True,
        text=True,
        env=environment(MPLBACKEND="module://no_such_notebook.backend_inline"),
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (2, "error: drew True\n")


def test_what_the_gates_on_records_load_says_nothing() -> None:
    line = "import bench.gates.cost, bench.gates.goldens, bench.gates.method.check"
    ran = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
