"""The latency verdict, replayed where the truth is known, and what is measured of it."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest
from typer.testing import CliRunner

from bench.base.errors import UserError
from bench.base.verdict import Outcome
from bench.cli import app
from bench.gates.compared import Compared
from bench.timing.interleave import Taken
from bench.trust.gatecheck.judged import Judged, Rate, required_rates
from bench.trust.gatecheck.recording import SHIPPED, Recording
from bench.trust.gatecheck.replay import judge_window, replay, window_starts
from bench.trust.gatecheck.rivals import mann_whitney_rule, pytest_benchmark_rule, rivals
from bench.trust.gatecheck.series import PLANTED, STAGES, TRUTHS
from tests.known_series import NOISES, synthetic_recording, synthetic_segment


def words(ratio: float, noise: str, *, budget_s: float = 30.0) -> Counter[str]:
    """What is said of one segment's windows."""
    said: Counter[str] = Counter()
    for seed in range(2):
        segment = synthetic_segment(ratio, noise=noise, seed=seed)
        taken = segment.taken()
        for start in window_starts(segment.ends_s, budget_s, 15.0):
            verdicts, seconds = judge_window(taken, segment.ends_s, start, budget_s)
            assert 0 < seconds < budget_s + 1
            said.update(str(verdict.numbers["comparison"]) for verdict in verdicts)
    return said


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(
    ("ratio", "word"), [(1.0, "SAME"), (1.05, "SLOWER"), (1.10, "SLOWER"), (1 / 1.05, "FASTER")]
)
def test_the_truth_is_found_through_drift_stalls_and_alike_blocks(
    ratio: float, word: str, noise: str
) -> None:
    said = words(ratio, noise)
    assert said[word] >= 0.8 * said.total() > 0
    assert set(said) <= {word, "UNSURE"}


def test_a_clear_truth_is_found_in_a_fraction_of_the_budget() -> None:
    segment = synthetic_segment(1.10, seed=1)
    _, seconds = judge_window(segment.taken(), segment.ends_s, 0, 45.0)
    assert seconds < 6


def test_windows_leave_room_for_the_budget_and_count_as_fresh_where_they_share_nothing(
    tmp_path: Path,
) -> None:
    ends = np.arange(1.0, 101.0)
    assert window_starts(ends, 45, 5) == list(range(0, 55, 5))
    assert window_starts(ends, 101, 5) == []
    whole = Recording.load(synthetic_recording(tmp_path))
    recording = Recording(whole.manifest, {(1, "same"): whole.segments[1, "same"][:1]})
    judged = replay(recording, budget_s=80, stride_s=3)
    fresh = [one for one in judged if one.fresh]
    assert 1 < len(fresh) < len(judged) == 7
    assert sum(one.seconds for one in fresh[:-1]) <= 18.1
    with pytest.raises(UserError, match="record longer ones"):
        replay(recording, budget_s=1000)


@pytest.mark.parametrize("broken", [math.nan, 0.0, -1.0])
def test_a_call_that_took_no_time_is_an_error(broken: float) -> None:
    segment = synthetic_segment(1.0, seed=1)
    blocks = segment.taken()
    there, back = blocks[2].block[PLANTED]
    spoilt = {**blocks[2].block, PLANTED: (there, {**back, "prefill": broken})}
    blocks[2] = Taken(spoilt, blocks[2].conditions)
    with pytest.raises(UserError, match="is no duration"):
        judge_window(blocks, segment.ends_s, 0, 45.0)


def judged(truth: str, *said: Compared, fresh: bool = True) -> Judged:
    compared = dict(zip(STAGES, said, strict=True))
    ratios = dict.fromkeys(STAGES, 1.0)
    return Judged(truth=truth, batch=1, compared=compared, ratios=ratios, seconds=9.0, fresh=fresh)


SAME, SLOWER, FASTER, UNSURE = Compared.SAME, Compared.SLOWER, Compared.FASTER, Compared.UNSURE


def test_a_rate_has_the_interval_of_independent_jobs_only() -> None:
    many = [judged("same", SAME, SAME, SLOWER, fresh=number % 5 == 0) for number in range(60)]
    rate = Rate.of(many, "same", SLOWER, FASTER)
    expected = binomtest(4, 12).proportion_ci(0.95)
    assert rate.value == pytest.approx(1 / 3)
    assert (rate.verdicts, rate.independent) == (180, 12)
    assert (rate.low, rate.high) == pytest.approx((expected.low, expected.high))
    never = Rate.of(many, "same", FASTER)
    assert (never.value, never.low) == (0, 0)
    with pytest.raises(UserError, match="no verdict on the truth 'slower-5'"):
        Rate.of(many, "slower-5", SLOWER)


def test_rates_that_miss_what_is_required_fail() -> None:
    good = [judged("same", SAME, UNSURE, SAME)] * 10
    good += [
        judged("slower-5", SLOWER, SLOWER, UNSURE if number % 2 else SLOWER) for number in range(10)
    ]
    good += [judged("slower-10", SLOWER, SLOWER, SLOWER)] * 10
    assert {v.outcome for v in required_rates(good, of="x", reproduce="x")} == {Outcome.PASS}
    for spoilt, gate in (
        (judged("same", FASTER, SAME, SAME), "same/slower-or-faster"),
        (judged("slower-5", FASTER, SLOWER, SLOWER), "slower-5/faster"),
        (judged("slower-10", UNSURE, SAME, SAME), "slower-10/slower"),
    ):
        failed = [
            verdict.gate
            for verdict in required_rates([*good, spoilt], of="x", reproduce="x")
            if verdict.outcome is Outcome.FAIL
        ]
        assert failed == [f"known-truths/x/{gate}"]


def test_the_rule_beside_ours_is_pytest_benchmarks_own() -> None:
    rule = pytest_benchmark_rule()
    baseline = np.array([1.0, 2.0, 3.0])
    assert rule(baseline, 1.049 * baseline) is Compared.SAME
    assert rule(baseline, 1.051 * baseline) is Compared.SLOWER
    assert rule(baseline, 0.5 * baseline) is Compared.SAME  # it has no word for faster


def test_the_mann_whitney_test_tells_the_direction() -> None:
    baseline = np.random.default_rng(0).normal(1, 0.01, 100)
    assert mann_whitney_rule(baseline, baseline[::-1]) is Compared.SAME
    assert mann_whitney_rule(baseline, 1.1 * baseline) is Compared.SLOWER
    assert mann_whitney_rule(baseline, 0.9 * baseline) is Compared.FASTER


def test_two_runs_on_a_machine_that_drifts_cry_wolf_where_interleaved_arms_do_not(
    tmp_path: Path,
) -> None:
    recording = Recording.load(synthetic_recording(tmp_path, noise="drift"))
    for theirs in rivals(recording).values():
        assert Rate.of(theirs, "same", SLOWER, FASTER).value > 0.1
    assert Rate.of(replay(recording, stride_s=20), "same", SLOWER, FASTER).value == 0


@pytest.fixture
def no_accuracy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "bench.trust.gatecheck.accuracy.accuracy_known_truths", lambda *, reproduce: []
    )


@pytest.mark.usefixtures("no_accuracy")
@pytest.mark.parametrize(
    ("ratios", "code", "said"),
    [
        ((1.0, 1.05, 1.10), 0, "pytest-benchmark median:5%, minutes later"),
        ((1.1, 1.05, 1.0), 1, "SLOWER or FASTER in 100.0% of"),
    ],
)
def test_gate_check_passes_where_the_gate_is_right_and_fails_where_it_is_wrong(
    tmp_path: Path, ratios: tuple[float, ...], code: int, said: str
) -> None:
    folder = synthetic_recording(tmp_path, ratios=ratios)
    result = CliRunner().invoke(app, ["gate-check", "--recording", str(folder)])
    assert result.exit_code == code, result.output
    assert said in result.output


def test_gate_check_without_a_recording_is_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["gate-check", "--recording", str(tmp_path)])
    assert isinstance(result.exception, UserError)
    both = CliRunner().invoke(app, ["gate-check", "--live", "1", "--record", str(tmp_path)])
    assert isinstance(both.exception, UserError)


def test_the_shipped_recording_meets_the_required_rates() -> None:
    recording = Recording.load(SHIPPED)
    assert all(recording.minutes(truth) >= 20 for truth in TRUTHS)
    verdicts = required_rates(replay(recording), of="replayed", reproduce="gate-check")
    assert [v.gate for v in verdicts if v.outcome is not Outcome.PASS] == []
