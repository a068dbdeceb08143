"""Latency verdicts: what they refuse, and how often they are wrong on series of known truth."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

import bench.gates.latency as latency
from bench.base.errors import UserError
from bench.base.verdict import Outcome, Verdict, exit_code
from bench.gates.compared import Comparison
from bench.gates.latency import (
    arms_in,
    confidence_of_look,
    latency_gate,
    measure_until_decided,
)
from bench.timing.clock import HostClock
from bench.timing.conditions import Conditions
from bench.timing.interleave import Arm, Stopwatch
from bench.timing.samples import Block, Samples


def samples(hybrid: float, *, blocks: int = 40, dense: float = 1.0) -> Samples:
    generator = np.random.default_rng(1)

    def call(level: float) -> dict[str, float]:
        return {"prefill": level * float(generator.lognormal(0, 0.02))}

    return Samples(
        setup={},
        blocks=[
            {"dense": (call(dense), call(dense)), "hybrid": (call(hybrid), call(hybrid))}
            for _ in range(blocks)
        ],
    )


def outcome(taken: Samples, bound: float) -> Outcome:
    (verdict,) = latency_gate(taken, {"hybrid": {"prefill": bound}}, reproduce="nox -s latency")
    return verdict.outcome


def test_the_ratio_is_the_arm_over_dense_so_slower_is_above_one() -> None:
    (verdict,) = latency_gate(
        samples(hybrid=2.0), {"hybrid": {"prefill": 1.0}}, reproduce="nox -s latency"
    )
    assert verdict.gate == "latency/hybrid/prefill"
    assert verdict.outcome is Outcome.FAIL
    assert verdict.numbers["value"] == pytest.approx(2.0, rel=0.02)
    assert verdict.numbers["p50_ms"] == pytest.approx(2000, rel=0.02)
    assert verdict.numbers["reference_p50_ms"] == pytest.approx(1000, rel=0.02)
    assert "times as long as dense" in verdict.reason


@pytest.mark.parametrize(
    ("hybrid", "bound", "expected"),
    [
        (0.5, 1.0, Outcome.PASS),
        (0.5, 0.6, Outcome.PASS),
        (0.5, 0.4, Outcome.FAIL),
        (1.0, 1.1, Outcome.PASS),
        (1.0, 1.0, Outcome.UNSURE),
        (1.2, 1.1, Outcome.FAIL),
    ],
)
def test_the_whole_interval_must_lie_on_one_side_of_the_bound(
    hybrid: float, bound: float, expected: Outcome
) -> None:
    assert outcome(samples(hybrid), bound) is expected


@pytest.mark.parametrize("hybrid", [0.1, 10.0])
def test_a_few_blocks_decide_nothing(hybrid: float) -> None:
    assert outcome(samples(hybrid, blocks=5), 1.0) is Outcome.UNSURE


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({}, "no latency bounds"),
        ({"hybrid": {}}, "no latency bounds"),
        ({"fastv": {"prefill": 1.0}}, "arm 'fastv' was not measured: arms are dense, hybrid"),
        ({"hybrid": {"decode": 1.0}}, "stage 'decode': 'decode' was not measured"),
        ({"hybrid": {"prefill": math.nan}}, "bound of hybrid prefill is nan"),
        ({"hybrid": {"prefill": 0.0}}, "bound of hybrid prefill is 0.0"),
        ({"dense": {"prefill": 1.0}}, "'dense' on itself"),
    ],
)
def test_bounds_that_cannot_be_checked_are_an_error(
    bounds: Mapping[str, Mapping[str, float]], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        latency_gate(samples(0.5), bounds, reproduce="nox")


def test_what_has_no_bound_is_told_and_never_passes() -> None:
    """However much faster it is: nobody said how fast it must be."""
    [verdict] = latency_gate(
        samples(0.1), {}, unbounded={"hybrid": ("prefill",)}, reproduce="nox -s latency"
    )
    assert (verdict.gate, verdict.outcome) == ("latency/hybrid/prefill", Outcome.UNSURE)
    assert verdict.numbers["value"] == pytest.approx(0.1, rel=0.02)
    assert verdict.reason.startswith("no bound to judge it by: 0.1")
    assert verdict.reason.endswith("give the profile a highest prefill for hybrid")
    with pytest.raises(UserError, match="arm 'mine' was not measured"):
        latency_gate(samples(0.1), {}, unbounded={"mine": ("prefill",)}, reproduce="nox")


def test_missing_or_broken_measurements_are_an_error() -> None:
    bounds = {"hybrid": {"prefill": 1.0}}
    with pytest.raises(UserError, match="not measured: arms are none"):
        latency_gate(Samples(setup={}, blocks=[]), bounds, reproduce="nox")
    broken: Block = {
        "dense": ({"prefill": 1.0}, {"prefill": 1.0}),
        "hybrid": ({"prefill": 1.0}, {"prefill": math.nan}),
    }
    with pytest.raises(UserError, match="nan seconds is no duration"):
        latency_gate(Samples(setup={}, blocks=[broken] * 20), bounds, reproduce="nox")
    without_dense: Block = {"hybrid": broken["hybrid"]}
    with pytest.raises(UserError, match="arm 'dense' was not measured"):
        latency_gate(Samples(setup={}, blocks=[without_dense]), bounds, reproduce="nox")


PARTS = [  # dense, off and hybrid; what fewer tokens are said to be, and what other code is
    ((1.0, 0.72, 0.71), 0.71 / 0.72, 0.72),
    ((1.0, 1.0, 0.5), 0.5, 1.0),
    ((2.0, 1.0, 1.5), 1.5, 0.5),
]


def of_three(dense: float, off: float, hybrid: float) -> Samples:
    levels = {"dense": dense, "off": off, "hybrid": hybrid}
    call = {arm: ({"answer": level}, {"answer": level}) for arm, level in levels.items()}
    return Samples(setup={}, blocks=[call] * 40)


@pytest.mark.parametrize(("levels", "tokens", "code"), PARTS)
def test_a_gain_says_how_much_of_it_is_fewer_tokens_and_how_much_other_code(
    levels: tuple[float, float, float], tokens: float, code: float
) -> None:
    [verdict] = latency_gate(of_three(*levels), {"hybrid": {"answer": 0.9}}, reproduce="nox")
    found = verdict.numbers
    assert found["fewer tokens value"] == pytest.approx(tokens)
    assert found["other code value"] == pytest.approx(code)
    assert found["value"] == pytest.approx(tokens * code)
    assert f"made of fewer tokens {tokens:.3f} (" in verdict.reason
    assert f"other code {code:.3f} (" in verdict.reason


def test_nothing_is_taken_apart_where_there_is_one_part() -> None:
    bounds = {"off": {"answer": 2.0}, "hybrid-to-off": {"answer": 2.0}}
    for verdict in latency_gate(of_three(1.0, 0.7, 0.6), bounds, reproduce="nox"):
        assert "made of" not in verdict.reason
    [verdict] = latency_gate(samples(0.7), {"hybrid": {"prefill": 1.0}}, reproduce="nox")
    assert "made of" not in verdict.reason  # off was not timed


@pytest.mark.parametrize(("bound", "expected"), [(0.9, Outcome.FAIL), (0.99, Outcome.PASS)])
def test_a_bound_may_be_on_fewer_tokens_alone(bound: float, expected: Outcome) -> None:
    """0.71 of dense looks like a gain; to our own code without the reduction it is hardly one."""
    bounds = {"hybrid-to-off": {"answer": bound}}
    assert arms_in(bounds) == ["hybrid", "off"]
    [verdict] = latency_gate(of_three(1.0, 0.72, 0.7), bounds, reproduce="nox")
    assert verdict.outcome is expected
    assert verdict.gate == "latency/hybrid-to-off/answer"
    assert "times as long as off" in verdict.reason


@pytest.mark.parametrize("among", [1, 6, 20])
def test_all_looks_at_all_verdicts_together_spend_the_stated_error(among: int) -> None:
    spent = among * len(latency.LOOKS) * (1 - confidence_of_look(among))
    assert spent == pytest.approx(1 - latency.CONFIDENCE)
    assert latency.LOOKS[-1] == 1


AGAINST_BASE = Comparison(arm="hybrid", reference="base", stages=["prefill"], effect=0.05)


@pytest.mark.parametrize(
    ("hybrid", "word", "outcome", "code"),
    [
        (1.0, "SAME", Outcome.PASS, 0),
        (1.1, "SLOWER", Outcome.FAIL, 1),
        (0.9, "FASTER", Outcome.PASS, 0),
    ],
)
def test_an_arm_is_compared_to_another_one(
    hybrid: float, word: str, outcome: Outcome, code: int
) -> None:
    taken = samples(hybrid)
    blocks = [{"hybrid": block["hybrid"], "base": block["dense"]} for block in taken.blocks]
    (verdict,) = latency_gate(
        Samples(setup={}, blocks=blocks), {}, [AGAINST_BASE], reproduce="nox -s latency"
    )
    assert verdict.gate == "latency/hybrid/prefill/against-base"
    assert verdict.outcome is outcome
    assert verdict.numbers["comparison"] == word
    assert verdict.reason.startswith(f"{word}: ")
    assert exit_code([verdict]) == code


def test_too_few_blocks_are_compared_as_unsure_with_what_to_do() -> None:
    taken = samples(1.0, blocks=5)
    asked = replace(AGAINST_BASE, reference="dense")
    (verdict,) = latency_gate(taken, {}, [asked], reproduce="nox -s latency")
    assert verdict.numbers["comparison"] == "UNSURE"
    assert "give it more time" in verdict.reason
    assert exit_code([verdict]) == 3


def test_an_arm_that_was_not_measured_cannot_be_compared_to() -> None:
    with pytest.raises(UserError, match="arm 'base' was not measured"):
        latency_gate(samples(1.0), {}, [AGAINST_BASE], reproduce="nox")


CALM = Conditions(wall_s=1.0, cpu_s=1.0, cores=1, switches=0, queue_s=0.0, steal_s=0.0)
STALLED = replace(CALM, cpu_s=0.6, queue_s=0.4)


def against_dense(taken: Samples) -> list[Verdict]:
    """A bound and a comparison of two revisions, on the same samples."""
    compared = replace(AGAINST_BASE, reference="dense")
    return latency_gate(taken, {"hybrid": {"prefill": 1.0}}, [compared], reproduce="nox")


def test_a_machine_that_is_too_busy_decides_nothing() -> None:
    starved = replace(CALM, cpu_s=0.3, queue_s=0.7)
    for busy in ([starved] * 40, [STALLED if block % 5 else CALM for block in range(40)]):
        taken = replace(
            samples(2.0),
            conditions=[
                dict.fromkeys(("dense", "hybrid"), (CALM if one is STALLED else one, one))
                for one in busy
            ],
        )
        bound, compared = against_dense(taken)
        assert (bound.outcome, compared.outcome) == (Outcome.UNSURE, Outcome.UNSURE)
        assert "too busy" in bound.reason
        assert compared.reason.startswith("UNSURE: the machine is too busy")


def test_an_arm_of_which_nothing_undisturbed_is_left_waits_for_more() -> None:
    """As in a first look at few blocks, when only each second one has the reference."""
    taken = samples(2.0)
    blocks = [
        block if number == 0 else {"hybrid": block["hybrid"]}
        for number, block in enumerate(taken.blocks)
    ]
    conditions = [{"hybrid": (STALLED if number == 0 else CALM, CALM)} for number in range(40)]
    taken = replace(taken, blocks=blocks, conditions=conditions[: len(blocks)])
    bound, compared = against_dense(taken)
    assert (bound.outcome, compared.outcome) == (Outcome.UNSURE, Outcome.UNSURE)
    assert "every block with both arms was disturbed" in bound.reason


def test_a_decided_verdict_stands_while_others_buy_samples(
    monkeypatch: pytest.MonkeyPatch, quick_collection: None
) -> None:
    machine = NoisyMachine({"dense": 1.0, "hybrid": 1.5, "off": 1.0}, seed=3)
    monkeypatch.setattr("time.monotonic", lambda: machine.now)
    taken, (hybrid, off) = measure_until_decided(
        machine.arms,
        {"hybrid": {"prefill": 1.1}, "off": {"prefill": 1.0}},
        budget_s=200,
        clock=machine,
        threads=torch.get_num_threads(),
        reproduce="nox -s latency",
    )
    assert (hybrid.outcome, off.outcome) == (Outcome.FAIL, Outcome.UNSURE)
    assert float(hybrid.numbers["blocks"]) < len(taken.blocks) / 4
    assert off.numbers["blocks"] == len(taken.blocks)


def test_more_verdicts_in_a_job_make_each_of_them_harder(
    monkeypatch: pytest.MonkeyPatch, quick_collection: None
) -> None:
    widths = []
    for among in (1, 30):
        machine = NoisyMachine({"dense": 1.0, "hybrid": 1.0}, seed=4)
        monkeypatch.setattr("time.monotonic", lambda machine=machine: machine.now)
        _, (verdict,) = measure_until_decided(
            machine.arms,
            {"hybrid": {"prefill": 1.0}},
            budget_s=60,
            clock=machine,
            threads=torch.get_num_threads(),
            reproduce="nox",
            among=among,
        )
        widths.append(float(verdict.numbers["high"]) - float(verdict.numbers["low"]))
    assert widths[1] > 1.1 * widths[0]


class NoisyMachine:
    """A clock whose arms take `levels` times as long, on a machine that drifts and stalls."""

    name = "simulated"

    def __init__(self, levels: Mapping[str, float], seed: int) -> None:
        self.now = 0.0
        self.generator = np.random.default_rng(seed)
        self.arms: dict[str, Arm] = {name: self._arm(level) for name, level in levels.items()}

    def wait(self) -> None:
        pass

    def mark(self) -> float:
        return self.now

    def seconds(self, start: float, end: float) -> float:
        return end - start

    def _arm(self, level: float) -> Arm:
        def run(watch: Stopwatch) -> None:
            drift = 1 + 0.2 * math.sin(self.now / 40)  # a 20% swing every four minutes
            stall = 1.8 if self.generator.random() < 0.05 else 1.0
            with watch("prefill"):
                self.now += 0.1 * level * drift * stall * float(self.generator.lognormal(0, 0.05))

        return run


def simulated_verdicts(
    monkeypatch: pytest.MonkeyPatch, ratio: float, bound: float, repeats: int
) -> Counter[Outcome]:
    outcomes: Counter[Outcome] = Counter()
    for seed in range(repeats):
        machine = NoisyMachine({"dense": 1.0, "hybrid": ratio}, seed)
        monkeypatch.setattr("time.monotonic", lambda machine=machine: machine.now)
        _, (verdict,) = measure_until_decided(
            machine.arms,
            {"hybrid": {"prefill": bound}},
            budget_s=60,
            clock=machine,
            threads=torch.get_num_threads(),
            reproduce="nox -s latency",
        )
        outcomes[verdict.outcome] += 1
    return outcomes


@pytest.fixture
def quick_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated arms leave no garbage; collecting it is most of the time of a simulation."""
    monkeypatch.setattr("gc.collect", lambda: 0)


@pytest.mark.usefixtures("quick_collection")
@pytest.mark.parametrize(
    ("ratio", "bound", "certain", "never"),
    [
        (1.00, 1.05, Outcome.PASS, Outcome.FAIL),
        (1.10, 1.05, Outcome.FAIL, Outcome.PASS),
        (1.10, 1.00, Outcome.FAIL, Outcome.PASS),
        (0.90, 1.00, Outcome.PASS, Outcome.FAIL),
    ],
)
def test_a_ratio_clear_of_its_bound_is_found_on_a_noisy_machine(
    monkeypatch: pytest.MonkeyPatch, ratio: float, bound: float, certain: Outcome, never: Outcome
) -> None:
    outcomes = simulated_verdicts(monkeypatch, ratio, bound, repeats=40)
    assert outcomes[certain] >= 38
    assert outcomes[never] == 0


@pytest.mark.usefixtures("quick_collection")
def test_arms_that_are_equal_are_rarely_told_apart_however_often_one_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcomes = simulated_verdicts(monkeypatch, 1.0, 1.0, repeats=150)
    # Stated: at most 0.5% each way, less than one of 150.
    assert outcomes[Outcome.FAIL] <= 3
    assert outcomes[Outcome.PASS] <= 3
    assert outcomes[Outcome.UNSURE] >= 146


def multiplying(times: int) -> Arm:
    left = torch.rand(128, 128)

    def arm(watch: Stopwatch) -> None:
        with watch("prefill"):
            for _ in range(times):
                left @ left

    return arm


@pytest.mark.clock
@pytest.mark.parametrize(
    ("dense", "hybrid", "expected"), [(10, 20, Outcome.FAIL), (20, 10, Outcome.PASS)]
)
def test_real_work_on_this_machine_is_judged_the_right_way_round(
    dense: int, hybrid: int, expected: Outcome
) -> None:
    """UNSURE is an answer, too, where others had too much of the cores."""
    told: list[tuple[float, int]] = []
    taken, verdicts = measure_until_decided(
        {"dense": multiplying(dense), "hybrid": multiplying(hybrid)},
        {"hybrid": {"prefill": 1.0}},
        budget_s=8,
        clock=HostClock(),
        threads=1,
        reproduce="nox -s latency",
        progress=lambda spent, blocks: told.append((spent, blocks)),
    )
    [verdict] = verdicts
    assert verdict.outcome in (expected, Outcome.UNSURE)
    if verdict.outcome is expected:
        assert exit_code(verdicts) == (1 if expected is Outcome.FAIL else 0)
    assert [blocks for _, blocks in told] == list(range(1, len(taken.blocks) + 1))
    assert 0 < told[0][0] <= told[-1][0] <= 1


def test_a_spent_budget_leaves_the_verdict_unsure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.timing.interleave.observer_for", lambda clock, cores: None)
    taken, verdicts = measure_until_decided(
        {"dense": multiplying(1), "hybrid": multiplying(1)},
        {"hybrid": {"prefill": 1.0}},
        budget_s=1e-6,
        clock=HostClock(),
        threads=1,
        reproduce="nox -s latency",
    )
    assert len(taken.blocks) == 1
    assert exit_code(verdicts) == 3
    assert verdicts[0].numbers["high"] == math.inf


def never_called(watch: Stopwatch) -> None:
    raise AssertionError("nothing may be timed for a question that cannot be answered")


@pytest.mark.parametrize(
    ("arms", "budget", "message"),
    [
        (["dense"], 1.0, "arm 'hybrid' was not measured"),
        (["hybrid"], 1.0, "arm 'dense' was not measured"),
        (["dense", "hybrid"], 0.0, "budget is 0.0"),
        (["dense", "hybrid"], math.nan, "budget is nan"),
    ],
)
def test_what_cannot_be_decided_is_refused_before_timing(
    arms: Sequence[str], budget: float, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        measure_until_decided(
            dict.fromkeys(arms, never_called),
            {"hybrid": {"prefill": 1.0}},
            budget_s=budget,
            clock=HostClock(),
            threads=1,
            reproduce="nox",
        )
