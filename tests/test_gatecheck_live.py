"""Live verdicts: which jobs are run, and what is timed of them."""

from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

import bench.trust.gatecheck.live as live
from bench.cli import app
from bench.gates.compared import Compared
from bench.trust.gatecheck.judged import Judged
from bench.trust.gatecheck.planted import Cost, Work, calibrate
from bench.trust.gatecheck.series import STAGES

SAID = {"same": Compared.SAME, "slower-5": Compared.SLOWER, "slower-10": Compared.SLOWER}


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Jobs that were asked for; each is right at once."""
    asked: list[tuple[Any, ...]] = []

    def instead(work: Callable[..., Any], *arguments: Any) -> Any:
        if work is calibrate:
            each = 0.001 * arguments[0]
            return {stage: Cost(fixed=0.0, each=each) for stage in ("prefill", "decode")}
        truth, batch, planted, _ = arguments
        asked.append((truth, batch, planted))
        said = dict.fromkeys(STAGES, SAID[truth])
        ratios = dict.fromkeys(STAGES, 1.0)
        return Judged(truth=truth, batch=batch, compared=said, ratios=ratios, seconds=1e9)

    monkeypatch.setattr(live, "in_new_process", instead)
    return asked


def test_every_truth_gets_its_number_of_jobs_with_batch_sizes_in_turn(
    jobs: list[tuple[Any, ...]],
) -> None:
    lines: list[str] = []
    judged = live.live_verdicts(2, reproduce="gate-check --live 2", progress=lines.append)
    assert jobs == [
        ("same", 1, None),
        ("slower-5", 1, Work(50, 50)),
        ("slower-10", 1, Work(100, 100)),
        ("same", 8, None),
        ("slower-5", 8, Work(6, 6)),
        ("slower-10", 8, Work(12, 12)),
    ]
    assert len(lines) == 6
    assert all(one.seconds < 60 for one in judged)  # the whole job's, not what it said of itself


@pytest.mark.usefixtures("jobs")
def test_live_rates_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(app, ["gate-check", "--live", "2"])
    assert result.exit_code == 0, result.output
    assert "known-truths/live/same/slower-or-faster" in result.output
    monkeypatch.setitem(SAID, "same", Compared.FASTER)
    result = CliRunner().invoke(app, ["gate-check", "--live", "2"])
    assert result.exit_code == 1, result.output
