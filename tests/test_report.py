import io
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.base.errors import UserError
from bench.base.verdict import Outcome, Verdict
from bench.cost.roofline import Floor, Wall
from bench.report.blame import GAP, Blame, blame
from bench.report.cells import in_time
from bench.report.markdown import markdown
from bench.report.origin import Origin
from bench.report.terminal import print_timings, print_verdicts
from bench.report.timing import timings
from bench.report.write import write_report
from bench.timing.samples import Block, Samples

GOOD = Verdict(
    gate="accuracy/floor",
    outcome=Outcome.PASS,
    reason="above the floor",
    reproduce="nox -s accuracy",
    numbers={"value": 0.87, "low": 0.83, "high": 0.9, "must_be": ">=", "bound": 0.82},
)
BAD = Verdict(
    gate="latency/hybrid/prefill",
    outcome=Outcome.FAIL,
    reason="slower than [dense] | by `far`",
    reproduce="nox -s latency -- --keep 36",
    numbers={"value": 1.31, "low": 1.2, "high": 1.4, "must_be": "<=", "bound": 1.0},
)
DOUBT = Verdict(
    gate="latency/off/prefill",
    outcome=Outcome.UNSURE,
    reason="give it more time",
    reproduce="nox -s latency -- --keep 36",
    numbers={"value": 1.0, "low": 0.0, "high": math.inf, "must_be": "<=", "bound": 1.1},
)
BARE = Verdict(gate="syncs", outcome=Outcome.PASS, reason="none", reproduce="nox -s sync")


def call(seconds: float) -> dict[str, float]:
    return {"prefill": seconds, "answer": 2 * seconds}


BLOCK: Block = {"dense": (call(0.04), call(0.04)), "hybrid": (call(0.01), call(0.01))}
SAMPLES = Samples(setup={}, blocks=[BLOCK] * 5)
FLOORS = {"dense": {"prefill": Floor(seconds=0.02, wall=Wall.COMPUTE)}}


def printed(*, terminal: bool, width: int = 80) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=width)
    print_verdicts([GOOD, BAD, DOUBT, BARE], title="gates", console=console)
    print_timings(timings(SAMPLES, FLOORS, case="b1"), title="times", console=console)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0.01234, "0.0123 ms"), (999.4, "999 ms"), (999.6, "1 s"), (2260.0, "2.26 s")],
)
def test_a_time_is_three_digits_in_ms_or_s(milliseconds: float, text: str) -> None:
    assert in_time(milliseconds) == text


def test_a_pipe_gets_plain_lines_that_are_never_wrapped() -> None:
    lines = printed(terminal=False, width=40).splitlines()
    assert lines[0] == "gates"
    assert lines[1].split() == ["gate", "verdict", "value", "interval", "bound", "why"]
    assert lines[2].split(maxsplit=7) == [
        "accuracy/floor", "PASS", "0.8700", "[0.8300,", "0.9000]", ">=", "0.8200",
        "above the floor",
    ]  # fmt: skip
    assert lines[3].endswith("slower than [dense] | by `far`")
    assert "[0.0000, inf]" in lines[4]
    assert lines[5].split() == ["syncs", "PASS", "none"]
    assert "\x1b" not in "".join(lines)


def test_a_terminal_gets_a_table_that_fits_it() -> None:
    text = printed(terminal=True, width=100)
    assert "│" in text
    assert "\x1b[" in text
    assert "[dense]" in text  # not taken for markup
    assert all(len(re.sub("\x1b.*?m", "", line)) <= 100 for line in text.splitlines())


@pytest.mark.parametrize("terminal", [False, True])
def test_only_what_did_not_pass_is_reproduced_and_each_command_once(terminal: bool) -> None:
    text = printed(terminal=terminal)
    assert text.count("reproduce: ") == 1
    assert "reproduce: nox -s latency -- --keep 36" in text


def test_a_time_stands_beside_its_floor() -> None:
    line = next(
        x for x in printed(terminal=False).splitlines() if x.startswith("b1    dense   prefill")
    )
    assert line.split(maxsplit=8) == [
        "b1", "dense", "prefill", "40", "ms", "40", "ms", "10", "2.0x the compute floor, 20 ms"
    ]  # fmt: skip


def test_the_markdown_says_the_verdict_first_and_how_to_reproduce_it_last() -> None:
    text = markdown([GOOD, BAD, DOUBT], title="latency", timed=timings(SAMPLES, FLOORS))
    lines = text.splitlines()
    assert lines[0] == "## latency: FAIL"
    assert lines[2].startswith("- **FAIL** latency/hybrid/prefill: slower")
    assert lines[3].startswith("- **UNSURE** latency/off/prefill")
    assert lines[-4:] == ["```bash", "nox -s accuracy", "nox -s latency -- --keep 36", "```"]


def test_what_a_reason_says_does_not_break_the_markdown_table() -> None:
    (row,) = [line for line in markdown([BAD], title="t").splitlines() if line.startswith("| lat")]
    assert row.replace("\\|", "").count("|") == 7
    assert r"\[dense\] \| by \`far\`" in row


@pytest.mark.parametrize(
    ("verdicts", "overall"),
    [([GOOD], "PASS"), ([GOOD, DOUBT], "UNSURE"), ([DOUBT, BAD], "FAIL")],
)
def test_the_headline_is_what_the_exit_code_says(verdicts: list[Verdict], overall: str) -> None:
    assert markdown(verdicts, title="t").startswith(f"## t: {overall}\n")


def test_a_report_is_written_beside_the_run_and_to_the_job_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("from an earlier step\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    write_report(tmp_path / "run", [GOOD, DOUBT], title="latency")
    written = (tmp_path / "run" / "latency-report.md").read_text()
    assert written.startswith("## latency: UNSURE")
    assert summary.read_text() == "from an earlier step\n" + written + "\n"
    first, second = json.loads((tmp_path / "run" / "latency-verdicts.json").read_text())
    assert (first["gate"], first["outcome"]) == ("accuracy/floor", "PASS")
    assert first["numbers"]["value"] == 0.87
    assert second["numbers"]["high"] is None  # JSON has no infinity


def test_without_a_job_summary_only_the_folder_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    write_report(tmp_path, [GOOD], title="accuracy")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        "accuracy-junit.xml",
        "accuracy-origin.json",
        "accuracy-report.html",
        "accuracy-report.md",
        "accuracy-verdicts.json",
    ]


def test_a_job_summary_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    with pytest.raises(UserError, match="GITHUB_STEP_SUMMARY"):
        write_report(tmp_path / "run", [GOOD], title="accuracy")


def test_no_verdicts_make_no_report(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no gate was measured"):
        write_report(tmp_path, [], title="accuracy")
    assert list(tmp_path.iterdir()) == []


def red(*, dirty: bool = False, **arguments: Any) -> Blame | None:
    origin = Origin(
        commit="b" * 40,
        dirty=dirty,
        time="2026-01-01T00:00:00+00:00",
        machine={"cpu": "a processor"},
        settings={"profile": "tiny", "keep": "36"},
    )
    verdicts = arguments.pop("verdicts", [GOOD, BAD])
    options = ["--profile", "tiny", "--keep", "36"]
    given = {"against": None, "history": None, "options": options} | arguments
    return blame(given.pop("title", "latency"), origin, verdicts, **given)


def test_a_red_gate_ends_with_the_bisect_command_filled_in() -> None:
    found = red(against="main~3")
    said = f"python -m bench bisect 'main~3' {'b' * 40} --gate latency -- --profile tiny --keep 36"
    assert found == Blame(said)
    lines = markdown([GOOD, BAD], title="latency", blame=found).splitlines()
    assert lines[-5:] == ["Find the commit that did it:", "", "```bash", said, "```"]


@pytest.fixture
def no_revisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shallow checkout: git knows of no other commit."""
    monkeypatch.setattr("bench.report.blame.git", lambda *_: None)


@pytest.mark.usefixtures("no_revisions")
def test_an_unknown_good_commit_is_a_word_to_replace_and_a_damaged_history_is_no_error(
    tmp_path: Path,
) -> None:
    (tmp_path / "history.jsonl").write_text("damaged\n")
    for history in (None, tmp_path / "none", tmp_path / "history.jsonl"):
        found = red(history=history)
        assert found is not None and f"bisect {GAP} bbbb" in found.command
        lines = markdown([BAD], title="latency", blame=found).splitlines()
        assert lines[-5] == (
            "Find the commit that did it (put for GOOD a commit at which the gate was green):"
        )


@pytest.mark.usefixtures("no_revisions")
def test_what_is_not_committed_is_to_be_committed_first_and_is_then_searched() -> None:
    found = red(dirty=True, against="main")
    assert found is not None and "bisect main HEAD --gate" in found.command
    assert found.remark == "commit first: HEAD lacks the changes here"


def test_only_a_red_gate_that_can_be_bisected_says_so() -> None:
    assert red(verdicts=[GOOD, DOUBT]) is None
    assert red(title="sweep") is None
    said = Blame("python -m bench bisect")
    assert "bisect" not in markdown([GOOD], title="latency", blame=said)


def test_the_last_line_says_where_the_page_lies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_report(tmp_path, [GOOD], title="latency")
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"report: {tmp_path / 'latency-report.html'}"
    assert Path(last.removeprefix("report: ")).is_file()
