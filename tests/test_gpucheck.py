"""The GPU check with everything but CUDA: its parts on a small model, its targets on numbers."""

import json
import math
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.arms.profiles import load_profile
from bench.arms.random_weights import random_llava
from bench.base.errors import UserError
from bench.base.verdict import Outcome, Verdict
from bench.cli import main
from bench.cost.roofline import Ceiling
from bench.cost.spending import TITLE
from bench.gates.gpucheck import parts as gpu_parts
from bench.gates.gpucheck.check import BUDGET_S, check, results_file, show
from bench.gates.gpucheck.parts import (
    Compared,
    Part,
    compare_replay,
    kernels,
    latency,
    latency_part,
    memory,
    named_parts,
    parts,
    replay,
    waits,
)
from bench.gates.gpucheck.subject import Checked, Work, configs_of
from bench.gates.gpucheck.targets import TARGETS, Row, exit_code, judge
from bench.gates.sync.subjects import Subject
from bench.report.origin import Origin
from bench.syncs.report import Report
from bench.timing import interleave
from bench.timing.samples import Samples
from hybrid import HybridConfig, HybridLlava
from hybrid.inputs import Inputs
from hybrid.state import State
from tests.llavas import SHAPE

ARMS = [
    "dense",
    *(
        f"{name} {how}"
        for name in ("off", "dymu", "fastv 36", "hybrid 36", "hybrid 72")
        for how in ("eager", "graphed")
    ),
]
CEILING = Ceiling(name="a wall", flops_per_s=1e9, bytes_per_s=1e9)
NO_LIMIT_S = 1e9  # what a part may take where its time is not the question
ORIGIN = Origin(commit=None, dirty=False, time="2026-01-01T00:00:00+00:00", machine={})


def small(configs: dict[str, HybridConfig]) -> dict[str, HybridConfig]:
    """The same reductions for the small model: four CLIP blocks, 36 patches."""
    return {
        name: replace(
            config,
            thresholds=config.thresholds and (0.6, 0.5, 0.4, 1.0),
            capacity=config.capacity and 20,
            keep=5 if config.budget.prunes else "none",
        )
        for name, config in configs.items()
    }


@pytest.fixture(scope="module")
def checked() -> Checked:
    """Graphs are played by the eager model, which they must equal."""
    llava = random_llava(SHAPE.config(), dtype=torch.float32, device=torch.device("cpu"))
    return Checked(
        llava=llava,
        configs=small(configs_of(load_profile("llava-1.5-7b"))),
        graphed=HybridLlava,
        capture=lambda work: work,
        stand_in=Subject("tiny_hybrid", llava, HybridConfig(keep=5), {}),
        threads=1,
        ceiling=CEILING,
        reproduce="python -m bench gpu-check",
    )


class Ticking:
    """A clock on which a millisecond passes from one mark to the next, however long it was."""

    name = "a played clock"

    def __init__(self) -> None:
        self.now = 0

    def wait(self) -> None: ...

    def mark(self) -> int:
        self.now += 1
        return self.now

    def seconds(self, start: int, end: int) -> float:
        return 1e-3 * (end - start)


@pytest.fixture(autouse=True)
def _whatever_else_runs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests ask what is measured, not how fast."""
    monkeypatch.setattr(interleave, "observer_for", lambda clock, cores: None)
    monkeypatch.setattr(Checked, "clock", property(lambda checked: Ticking()))


def timed(checked: Checked) -> dict[str, Any]:
    return latency(checked, 0.0, batch=2, new_tokens=3)


def test_every_arm_is_timed_beside_dense_and_its_floor(checked: Checked) -> None:
    found = timed(checked)
    assert list(found["arms"]) == ARMS
    assert (found["batch"], found["new_tokens"]) == (2, 3)
    assert found["prompt_tokens"] == SHAPE.patches + 64
    for name, arm in found["arms"].items():
        assert set(arm["stages"]) == {"prefill", "decode", "answer"}
        stage = arm["stages"]["prefill"]
        times = stage["against_floor"]["value"]
        assert times == pytest.approx(stage["p50_ms"] / stage["floor_ms"])
        assert set(arm["against_dense"]) == (set() if name == "dense" else set(arm["stages"]))
    floors = {name: arm["stages"]["prefill"]["floor_ms"] for name, arm in found["arms"].items()}
    assert floors["hybrid 36 graphed"] < floors["off graphed"] <= floors["dense"]
    json.dumps(found, allow_nan=False)


def test_without_known_rates_there_is_no_floor(checked: Checked) -> None:
    found = timed(replace(checked, ceiling=None))
    assert all("floor_ms" not in arm["stages"]["prefill"] for arm in found["arms"].values())


SECONDS = {"dense": 12.0, "off eager": 8.0, "off graphed": 4.0, "hybrid 36 graphed": 1.0}


def test_a_gain_is_split_into_our_code_graphs_and_fewer_tokens(checked: Checked) -> None:
    block = {name: ({"answer": s}, {"answer": s}) for name, s in SECONDS.items()}
    block["hybrid 36 eager"] = ({"answer": 2.0}, {"answer": 2.0})
    samples = Samples(setup={}, blocks=[block] * 8)
    graphed = gpu_parts._gain(samples, "hybrid 36 graphed", checked)["answer"]
    assert graphed == pytest.approx({"our code": 1.5, "graphs": 2.0, "fewer tokens": 4.0})
    assert math.prod(graphed.values()) == pytest.approx(SECONDS["dense"])
    eager = gpu_parts._gain(samples, "hybrid 36 eager", checked)["answer"]
    assert eager == pytest.approx({"our code": 1.5, "fewer tokens": 4.0})
    assert gpu_parts._gain(samples, "dense", checked) == {}
    off = gpu_parts._gain(samples, "off graphed", checked)["answer"]
    assert off == pytest.approx({"our code": 1.5, "graphs": 2.0})


def test_replay_is_compared_for_every_reduction_and_batch_size(checked: Checked) -> None:
    found = replay(checked, NO_LIMIT_S)["compared"]
    assert [(one["reduction"], one["batch"]) for one in found] == [
        (name, batch) for batch in (1, 8) for name in checked.configs
    ]
    assert all(one["equal"] and one["steps"] == 16 for one in found)


class Stale(HybridLlava):
    """A replay that reads the prompt of its capture, whatever it is asked."""

    captured: Inputs | None = None

    def prefill(self, inputs: Inputs, max_new_tokens: int) -> State:
        self.captured = self.captured or inputs
        return super().prefill(self.captured, max_new_tokens)


class Rounded(HybridLlava):
    """A replay whose logits are off by `error`."""

    error = 0.0

    def decode(self, state: State) -> None:
        super().decode(state)
        with torch.inference_mode():
            state.logits.add_(self.error)


def compared(checked: Checked, graphed: HybridLlava) -> Compared:
    eager = HybridLlava(checked.llava, checked.configs["hybrid 36"])
    return compare_replay(eager, graphed, checked.batch(2), 6)


def test_a_replay_of_the_captured_prompt_is_not_equal(checked: Checked) -> None:
    found = compared(checked, Stale(checked.llava, checked.configs["hybrid 36"]))
    assert not found.equal
    assert found.difference > found.allowed


@pytest.mark.parametrize(("error", "equal"), [(0.0, True), (0.5, False), (math.nan, False)])
def test_logits_may_differ_by_rounding_alone(checked: Checked, error: float, equal: bool) -> None:
    graphed = Rounded(checked.llava, checked.configs["hybrid 36"])
    graphed.error = error
    found = compared(checked, graphed)
    assert found.equal is equal
    assert 0 < found.allowed < 1e-4


@pytest.mark.parametrize(
    ("difference", "equal"), [(0.5, True), (1.5, False), (math.inf, False), (math.nan, False)]
)
def test_the_same_tokens_with_other_logits_are_not_equal(difference: float, equal: bool) -> None:
    found = Compared(steps=3, wrong=0, near_ties=0, difference=difference, allowed=1.0)
    assert found.equal is equal


@pytest.mark.parametrize("part", [replay, memory])
def test_what_was_not_reached_is_an_error_and_no_half_result(
    checked: Checked, part: Callable[[Checked, float], dict[str, Any]]
) -> None:
    with pytest.raises(UserError, match="batch 1, was not reached in -1 s"):
        part(checked, -1.0)


def test_memory_is_the_weights_and_more_and_a_reduced_cache_is_smaller(
    checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.gates.gpucheck.parts.CAPTION_TOKENS", 4)
    found = memory(checked, NO_LIMIT_S)
    weights = sum(parameter.nbytes for parameter in checked.llava.parameters())
    assert list(found) == ["batch 1", "batch 8"]
    for numbers in found.values():
        assert list(numbers) == ARMS
        assert all(one["peak_bytes"] > weights for one in numbers.values())
        assert numbers["dense"]["cache_bytes"] is None
        assert numbers["hybrid 36 graphed"]["cache_bytes"] < numbers["off graphed"]["cache_bytes"]
    eight = found["batch 8"]["off eager"]["cache_bytes"]
    assert eight == 8 * found["batch 1"]["off eager"]["cache_bytes"]


def test_kernels_are_timed_eager_and_replayed(checked: Checked) -> None:
    captured: list[Work] = []

    def capture(work: Work) -> Work:
        captured.append(work)
        return work

    found = kernels(replace(checked, capture=capture), 0.0)
    assert len(captured) == 4  # two kernels at two batch sizes
    for numbers in found.values():
        assert list(numbers) == [
            f"{kernel} {how}"
            for kernel in ("DToMe step", "one-row score")
            for how in ("eager", "graphed")
        ]
        assert all(0 < one["p50_us"] <= one["p90_us"] for one in numbers.values())


def test_waits_are_those_of_the_stand_in_and_of_the_model_at_full_size(
    monkeypatch: pytest.MonkeyPatch, checked: Checked
) -> None:
    small, large = (
        Verdict(gate=f"syncs/gpu {name}", outcome=Outcome.PASS, reason="", reproduce="")
        for name in ("capture", "full size capture")
    )
    asked: list[Subject] = []

    def tier(of: Subject, *, reproduce: str) -> tuple[list[Verdict], Report]:
        asked.append(of)
        return [small], Report()

    def at_full_size(of: Subject, graphed: object, *, reproduce: str) -> list[Verdict]:
        assert graphed is checked.graphed
        asked.append(of)
        return [large]

    monkeypatch.setattr(gpu_parts, "gpu_gate", tier)
    monkeypatch.setattr(gpu_parts, "full_size_gate", at_full_size)
    found = waits(checked, 1.0)["verdicts"]
    assert asked[0] is checked.stand_in
    assert asked[1].llava is checked.llava and asked[1].config == checked.configs["hybrid 36"]
    assert [one["gate"] for one in found] == [small.gate, large.gate]


# --- targets


def ratio(value: float, spread: float = 0.01) -> dict[str, Any]:
    return {"value": value, "low": value * (1 - spread), "high": value * (1 + spread)}


def arm(speedup: float, floor: float, spread: float = 0.01) -> dict[str, Any]:
    stages = ("prefill", "decode", "answer")
    return {
        "stages": {
            s: {
                "p50_ms": 10.0 * floor,
                "floor_ms": 10.0,
                "wall": "weights",
                "against_floor": ratio(floor, spread),
            }
            for s in stages
        },
        "against_dense": {s: ratio(1 / speedup, spread) for s in stages},
        "gain": {s: {"graphs": 2.0, "fewer tokens": speedup / 2} for s in stages},
    }


def document(speedup: float = 5.0, floor: float = 1.2, spread: float = 0.01) -> dict[str, Any]:
    """Everything measured, every arm alike."""
    found: dict[str, Any] = {
        "waits": {"verdicts": [{"gate": "g", "outcome": "PASS", "reason": "free"}]},
        "replay": {
            "compared": [
                {
                    **{"reduction": "off", "batch": 1, "equal": True, "steps": 16, "wrong": 0},
                    **{"near_ties": 0, "difference": 0.0, "allowed": 0.1},
                }
            ]
        },
    }
    for batch, tokens in ((1, 3), (1, 64), (8, 3)):
        arms = {f"hybrid {keep} graphed": arm(speedup, floor, spread) for keep in (36, 72)}
        found[latency_part(batch, tokens)] = {"arms": arms}
    return {"parts": found, "missing": {}}


def outcomes(of: dict[str, Any]) -> dict[str, Outcome | None]:
    return {row.target: row.outcome for row in judge(of)}


def test_every_target_met_is_exit_code_0() -> None:
    rows = judge(document())
    assert [row.outcome for row in rows] == [Outcome.PASS] * len(TARGETS)
    assert exit_code(rows) == 0
    answer = next(row for row in rows if row.target.startswith("MMBench"))
    assert answer.cells()[1:] == [
        *("PASS", "5.00", "[4.95, 5.05]", ">= 4", "2.00 graphs x 2.50 fewer tokens"),
    ]


def test_the_targets_are_those_that_were_promised() -> None:
    assert {(t.name, t.must_be, t.bound) for t in TARGETS} == {
        ("waits", "<=", 0),
        ("replays unlike eager", "<=", 0),
        ("MMBench answer against dense, batch 1", ">=", 4.0),
        ("caption against dense, batch 1", ">=", 3.5),
        ("decode step against its floor, batch 1", "<=", 1.5),
        ("prefill against its roofline, batch 1", "<=", 1.6),
        ("prefill against dense, batch 8", ">=", 3.0),
    }
    assert {target.part for target in TARGETS} <= {part.name for part in parts()}
    assert sum(part.seconds for part in parts()) <= BUDGET_S


@pytest.mark.parametrize(
    ("given", "missed"),
    [
        ({"speedup": 3.8}, ["MMBench answer against dense, batch 1"]),
        (
            {"speedup": 3.2},
            ["MMBench answer against dense, batch 1", "caption against dense, batch 1"],
        ),
        ({"floor": 1.55}, ["decode step against its floor, batch 1"]),
        (
            {"floor": 1.7},
            ["decode step against its floor, batch 1", "prefill against its roofline, batch 1"],
        ),
    ],
)
def test_a_missed_target_is_named_and_exit_code_1(
    given: dict[str, float], missed: list[str]
) -> None:
    rows = judge(document(**given))
    assert [row.target for row in rows if row.outcome is Outcome.FAIL] == missed
    assert exit_code(rows) == 1


def test_an_interval_over_its_bound_is_unsure_and_exit_code_3() -> None:
    rows = judge(document(speedup=4.01, spread=0.02))
    unsure = [row.target for row in rows if row.outcome is Outcome.UNSURE]
    assert unsure == ["MMBench answer against dense, batch 1"]
    assert exit_code(rows) == 3


def test_an_interval_that_few_blocks_leave_open_is_said_so() -> None:
    row = Row(target="t", outcome=Outcome.UNSURE, must_be=">=", bound=4.0, value=5.0)
    assert row.cells()[3] == "too few blocks"


def test_an_open_interval_is_unsure_and_no_pass() -> None:
    found = document()
    for part in found["parts"].values():
        for one in part.get("arms", {}).values():
            for numbers in (
                *one["against_dense"].values(),
                *(stage["against_floor"] for stage in one["stages"].values()),
            ):
                numbers |= {"low": 0.0, "high": None}
    assert outcomes(found) == {
        target.name: Outcome.PASS if target.bound == 0 else Outcome.UNSURE for target in TARGETS
    }


def test_what_was_not_measured_is_said_and_is_never_a_pass() -> None:
    whole = document()
    for name in whole["parts"]:
        found = deepcopy(whole)
        del found["parts"][name]
        found["missing"][name] = "CUDA ran out of memory"
        rows = judge(found)
        lost = [row for row in rows if row.outcome is None]
        assert [row.target for row in lost] == [t.name for t in TARGETS if t.part == name]
        assert all(row.cells()[1] == "not measured" for row in lost)
        assert all(row.note == "CUDA ran out of memory" for row in lost)
        assert exit_code(rows) == 2
    assert exit_code(judge({"parts": {}, "missing": {}})) == 2


def test_a_missing_number_outweighs_a_missed_target() -> None:
    found = document(speedup=1.0)
    del found["parts"]["waits"]
    assert exit_code(judge(found)) == 2


def test_an_unknown_gpu_has_no_floor_to_be_judged_by() -> None:
    found = document()
    for part in found["parts"].values():
        for one in part.get("arms", {}).values():
            for stage in one["stages"].values():
                del stage["against_floor"]
    assert [name for name, outcome in outcomes(found).items() if outcome is None] == [
        "decode step against its floor, batch 1",
        "prefill against its roofline, batch 1",
    ]


def test_nothing_looked_at_is_not_measured() -> None:
    found = document()
    found["parts"]["waits"]["verdicts"] = []
    found["parts"]["replay"]["compared"] = []
    assert [outcomes(found)[name] for name in ("waits", "replays unlike eager")] == [None, None]


def test_a_wait_or_an_unequal_replay_fails_with_its_reason() -> None:
    found = document()
    found["parts"]["waits"]["verdicts"][0] |= {"outcome": "FAIL", "reason": "held up"}
    found["parts"]["replay"]["compared"][0] |= {"equal": False, "wrong": 2}
    rows = {row.target: row for row in judge(found)}
    assert rows["waits"].outcome is rows["replays unlike eager"].outcome is Outcome.FAIL
    assert rows["waits"].note == "g: held up"
    assert rows["replays unlike eager"].note.startswith("off, batch 1: 2 tokens differ")


# --- the whole check


def part(name: str, run: Callable[[], dict[str, Any]]) -> Part:
    return Part(name=name, seconds=1, run=lambda checked, seconds: run())


def failing(error: BaseException) -> Callable[[], dict[str, Any]]:
    def run() -> dict[str, Any]:
        raise error

    return run


def run_check(checked: Checked, out: Path, *given: Part, **options: Any) -> dict[str, Any]:
    return check(checked, given, out, origin=ORIGIN, weights="random", **options)


def test_a_part_that_fails_is_missing_with_its_reason_and_the_others_go_on(
    checked: Checked, tmp_path: Path
) -> None:
    out = tmp_path / "results" / "cpu.json"
    found = run_check(
        checked,
        out,
        part("one", failing(RuntimeError("CUDA\nout of memory"))),
        part("two", failing(UserError("too busy: wait"))),
        part("three", lambda: {"value": math.inf}),
    )
    assert found["missing"] == {
        "one": "RuntimeError: CUDA out of memory",
        "two": "too busy: wait",
    }
    written = json.loads(out.read_text())
    assert written["parts"] == {"three": {"value": None}}
    assert written["missing"] == found["missing"]
    assert written["model"]["layers"] == SHAPE.text_layers
    assert written["model"]["dtype"] == "float32"


def test_a_kill_keeps_what_was_measured(checked: Checked, tmp_path: Path) -> None:
    out = tmp_path / "cpu.json"
    with pytest.raises(KeyboardInterrupt):
        run_check(
            checked, out, part("one", lambda: {"a": 1}), part("two", failing(KeyboardInterrupt()))
        )
    written = json.loads(out.read_text())
    assert written["parts"] == {"one": {"a": 1}}
    assert written["missing"] == {"two": "the check ended before it"}


def test_what_the_budget_does_not_reach_is_missing(checked: Checked, tmp_path: Path) -> None:
    found = run_check(checked, tmp_path / "a.json", part("one", dict), budget_s=1.0)
    assert found["missing"] == {"one": "no time was left of 1 s"}
    assert found["parts"] == {}


def counted(name: str, calls: list[str]) -> Part:
    """Measures how often any part was measured."""

    def run() -> dict[str, Any]:
        calls.append(name)
        return {"call": len(calls)}

    return part(name, run)


def test_what_was_measured_is_kept_and_what_is_missing_is_made_up_for(
    checked: Checked, tmp_path: Path
) -> None:
    calls: list[str] = []
    out, one, two = tmp_path / "cpu.json", counted("one", calls), counted("two", calls)
    run_check(checked, out, one, part("two", failing(RuntimeError("out of memory"))))
    found = run_check(checked, out, one, two)
    assert calls == ["one", "two"]
    assert (found["parts"], found["missing"]) == ({"one": {"call": 1}, "two": {"call": 2}}, {})
    found = run_check(checked, out, two, afresh=True)
    assert found["parts"] == {"one": {"call": 1}, "two": {"call": 3}}


@pytest.mark.parametrize("other", ["code", "device", "model", "machine", "damaged"])
def test_numbers_of_another_code_model_or_machine_are_not_kept(
    checked: Checked, tmp_path: Path, other: str
) -> None:
    calls: list[str] = []
    out, one = tmp_path / "cpu.json", counted("one", calls)
    before = run_check(checked, out, one)
    (before["origin"] if other == "machine" else before)[other] = {"x": "another"}
    out.write_text("{" if other == "damaged" else json.dumps(before))
    assert run_check(checked, out, one)["parts"] == {"one": {"call": 2}}


def test_a_small_budget_is_taken_from_what_can_do_with_less(
    checked: Checked, tmp_path: Path
) -> None:
    given: dict[str, float] = {}

    def noting(name: str, seconds: float, elastic: bool) -> Part:
        def run(_checked: Checked, left: float) -> dict[str, Any]:
            given[name] = left
            return {}

        return Part(name=name, seconds=seconds, run=run, elastic=elastic)

    asked = noting("whole", 40, False), noting("long", 90, True), noting("short", 30, True)
    run_check(checked, tmp_path / "a.json", *asked, budget_s=100)
    assert given == pytest.approx({"whole": 40, "long": 45, "short": 15}, abs=2)


def test_a_part_is_asked_for_by_its_name() -> None:
    assert [one.name for one in named_parts(None)] == [one.name for one in parts()]
    assert [one.name for one in named_parts(["replay", "waits"])] == ["waits", "replay"]
    with pytest.raises(UserError, match="no 'wait': choose from 'waits', 'replay'"):
        named_parts(["wait"])


def test_a_file_that_cannot_be_written_stops_before_anything_is_measured(
    checked: Checked, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be written"):
        run_check(checked, tmp_path / "file" / "a.json", part("one", failing(AssertionError())))


def test_the_tables_say_what_is_graphs_and_what_is_fewer_tokens(
    checked: Checked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = Part(
        name=latency_part(1, 3), seconds=0, run=lambda c, s: latency(c, s, batch=1, new_tokens=3)
    )
    rows = show(run_check(checked, tmp_path / "a.json", short, part("kernels", dict)))
    said = capsys.readouterr().out
    assert "cpu: batch 1, 100 tokens in, 3 out, float32, random weights" in said
    (line,) = [line for line in said.splitlines() if line.startswith("hybrid 36 graphed")]
    assert "our code" in line and "graphs" in line and "fewer tokens" in line
    budgets = said.split(TITLE)[1]
    assert [name in budgets for name in ("dense", *checked.configs)] == [True] * 6
    assert "not recorded" not in budgets
    assert said.count("not measured") == 5
    assert exit_code(rows) == 2
    assert isinstance(rows[0], Row)


def test_results_are_named_after_the_device() -> None:
    path = results_file("NVIDIA H100 80GB HBM3")
    assert path == Path("measured/nvidia-h100-80gb-hbm3.json")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_there_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["bench", "gpu-check"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 2
    assert said.out == "" and len(said.err.splitlines()) == 1
    assert "run it on a machine with one" in said.err
    assert not list(tmp_path.iterdir())
