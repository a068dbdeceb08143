"""golden, cost and syncs write what every gate writes, and say whose code they judged."""

import json
from pathlib import Path

import pytest

from bench.base.verdict import Outcome
from bench.cli import main
from tests.reports import verdict

FILES = {"report.md", "report.html", "junit.xml", "verdicts.json", "origin.json"}
SYNCS = ("syncs", "--model", "tiny_hybrid", "--keep", "18")


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize(
    ("command", "judge"),
    [
        (("golden",), "bench.gates.goldens.golden_gate"),
        (("cost",), "bench.gates.cost.cost_gate"),
        (SYNCS, "bench.cli.syncs._judge"),
    ],
    ids=lambda part: part[0] if isinstance(part, tuple) else "",
)
def test_each_gate_writes_page_summary_and_results(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: tuple[str, ...],
    judge: str,
    outcome: Outcome,
) -> None:
    found = [verdict(outcome)]
    monkeypatch.setattr(judge, lambda *_, **__: found)
    monkeypatch.setattr("sys.argv", ["bench", *command, "--work-dir", str(tmp_path)])
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "job.md"))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.UNSURE: 3}[outcome]
    [gate, *options] = command
    assert {f.name for f in tmp_path.iterdir()} == {f"{gate}-{name}" for name in FILES} | {"job.md"}
    [stored] = json.loads((tmp_path / f"{gate}-verdicts.json").read_text())
    assert stored["outcome"] == outcome
    summary = (tmp_path / f"{gate}-report.md").read_text()
    assert summary.startswith(f"## {gate}: {outcome}\n\nCode: ")
    assert (tmp_path / "job.md").read_text() == f"{summary}\n"
    bisect = f"--gate {gate} -- {' '.join(options)}" if options else f"--gate {gate}"
    assert (bisect in summary) is (outcome is Outcome.FAIL)
    assert f"report: {tmp_path / gate}-report.html" in capsys.readouterr().out
