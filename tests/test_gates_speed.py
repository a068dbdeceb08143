"""The latency gate on the real tiny model: what is timed, what is written, what is refused."""

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pytest_benchmark.stats import Stats

import bench
from bench.arms.own import known
from bench.arms.profiles import load_profile
from bench.base.errors import UserError
from bench.base.verdict import Outcome
from bench.cli import main
from bench.cost.spending import Budget
from bench.gates.noise import NoiseFloor, verdict_line
from bench.gates.speed import ARMS, Request, speed_gate
from bench.report.benchmarks import benchmark_json
from bench.report.origin import Origin
from bench.timing.ratio import Ratio
from bench.timing.revision import this_checkout
from bench.timing.samples import Samples
from hybrid import Keep
from tests.git_repositories import commit, git, repository
from tests.own_methods import mine

__all__ = ["mine"]

PROFILE = load_profile("tiny")
ORIGIN = Origin(
    commit="1" * 40, dirty=False, time="2026-01-01T00:00:00+00:00", machine={"cpu": "x"}
)


def request_for(folder: Path, keep: str = "18", effect: float | None = None) -> Request:
    gate = replace(PROFILE.timing, bounds={1: {"hybrid": {"answer": 3.0}}}, processes=1)
    return Request(
        profile=replace(PROFILE, latency=gate),
        profile_name="tiny",
        thresholds=None,
        keep=Keep.parse(keep),
        work_dir=folder,
        budget_s=3.0,
        smallest_effect=effect,
        reproduce="nox -s latency",
    )


def test_every_arm_is_timed_in_one_job_with_its_peak_and_its_conditions(tmp_path: Path) -> None:
    measured = speed_gate(request_for(tmp_path))
    (verdict,) = measured.verdicts
    assert verdict.gate == "batch-1/latency/hybrid/answer"
    stages = {(row.arm, row.stage) for row in measured.timed}
    assert stages == {(arm, stage) for arm in ARMS for stage in ("prefill", "decode", "answer")}
    peaks = {row.arm: row.peak_bytes for row in measured.timed if row.stage == "answer"}
    assert all(peaks.values())
    assert peaks["hybrid"] == peaks["random"]  # the same budget
    assert (peaks["hybrid"] or 0) < (peaks["off"] or 0)
    assert all(row.peak_bytes is None for row in measured.timed if row.stage != "answer")
    samples = Samples.load(tmp_path / "latency-batch-1.json")
    assert samples == measured.samples["batch 1"]
    assert set(samples.conditions[0]) == set(ARMS)


def test_an_arm_that_is_asked_for_is_timed_alone_and_held_to_its_own_bounds(
    tmp_path: Path, mine: Path
) -> None:
    asked = replace(request_for(tmp_path, keep="9"), arm=known(f"{mine}:Mine"), budget_s=1.0)
    measured = speed_gate(asked)
    assert {row.arm for row in measured.timed} == {"dense", "off", "Mine"}
    stages = [f"batch-1/latency/Mine/{stage}" for stage in ("prefill", "decode", "answer")]
    assert [verdict.gate for verdict in measured.verdicts] == stages
    assert {verdict.outcome for verdict in measured.verdicts} == {Outcome.UNSURE}
    assert asked.job.arm == f"{mine}:Mine"
    bounds = {1: {"hybrid": {"answer": 0.1}, f"{mine}:Mine": {"answer": 9.0}}}
    gate = replace(asked.profile.timing, bounds=bounds)
    bounded = replace(asked, profile=replace(asked.profile, latency=gate))
    assert bounded.bounds(1) == {"Mine": {"answer": 9.0}}
    assert replace(bounded, arm=None).bounds(1) == {
        "hybrid": {"answer": 0.1},
        "Mine": {"answer": 9.0},
    }


@pytest.mark.parametrize("keep", ["1", "18", "36", "none", "0.7", "0.123456789", ".5", "0.05"])
def test_another_process_is_told_the_same_budget_to_the_last_digit(
    tmp_path: Path, keep: str
) -> None:
    assert Keep.parse(request_for(tmp_path, keep).job.keep) == Keep.parse(keep)


def test_the_smallest_effect_is_the_option_s_then_the_profile_s_then_the_device_s(
    tmp_path: Path,
) -> None:
    given = request_for(tmp_path, effect=0.2)
    assert given.effect == 0.2
    profile = given.profile
    in_profile = replace(profile.timing, smallest_effect=0.07)
    nowhere = replace(profile.timing, smallest_effect=None)
    without = replace(given, smallest_effect=None)
    assert replace(without, profile=replace(profile, latency=in_profile)).effect == 0.07
    on_cpu = replace(without, profile=replace(profile, latency=nowhere))
    assert on_cpu.effect == 0.05
    cuda = replace(on_cpu.profile, model=replace(profile.model, device="cuda"))
    assert replace(on_cpu, profile=cuda).effect == 0.03


def refused(monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "latency", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--aa", "--against", "HEAD"], "leave out --against"),
        (["--smallest-effect", "0"], "--smallest-effect is 0.0: give a share"),
        (["--smallest-effect", "5"], "--smallest-effect is 5.0: give a share"),
        (["--smallest-effect", "nan"], "--smallest-effect is nan: give a share"),
        (["--against", "no-such-revision"], "no-such-revision"),
    ],
)
def test_a_question_without_an_answer_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: Sequence[str],
    message: str,
) -> None:
    refused(monkeypatch, [*arguments, "--work-dir", str(tmp_path)])
    said = capsys.readouterr()
    assert message in said.err or "not in the root of a git checkout" in said.err
    assert len(said.err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def floor(low: float, high: float, stage: str = "answer") -> NoiseFloor:
    ratio = Ratio(value=1.0, low=low, high=high, confidence=0.99, blocks=20, inflation=1.0)
    return NoiseFloor(case="batch 1", stage=stage, seconds=0.04, ratio=ratio)


def test_the_noise_floor_is_the_far_end_of_the_interval() -> None:
    even = floor(1 / 1.04, 1.04)
    assert even.half_width == pytest.approx(0.04)
    assert even.smallest_effect == pytest.approx(0.04)
    aside = floor(0.99, 1.07)
    assert aside.half_width == pytest.approx(math.sqrt(1.07 / 0.99) - 1)
    assert aside.smallest_effect == pytest.approx(0.07)
    assert floor(0.0, math.inf).smallest_effect == math.inf
    assert floor(0.0, math.inf).cells()[4:6] == ["+-inf%", "inf%"]


def test_what_cannot_be_told_apart_today_is_named() -> None:
    floors = [floor(0.97, 1.03), floor(0.9, 1.1, "prefill")]
    assert verdict_line(floors[:1], 0.05).endswith("in every stage")
    assert "could not be told apart today in batch 1 prefill:" in verdict_line(floors, 0.05)


SAMPLES = Samples(
    setup={"clock": "time.perf_counter_ns", "threads": 1},
    blocks=[
        {
            "dense": ({"answer": 0.060 + 0.001 * i}, {"answer": 0.061}),
            "hybrid": ({"answer": 0.041}, {"answer": 0.040 + 0.02 * (i == 7)}),
        }
        for i in range(9)
    ],
)


def test_pytest_benchmark_reads_the_timings_and_compares_them(tmp_path: Path) -> None:
    path = tmp_path / "latency-benchmark.json"
    path.write_bytes(benchmark_json({"batch 1": SAMPLES}, ORIGIN))
    said = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "compare", str(path), "--group-by=group"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    table = said.stdout + said.stderr
    assert "benchmark 'batch 1 answer': 2 tests" in table
    assert "latency[batch 1-dense-answer]" in table
    assert "latency[batch 1-hybrid-answer]" in table


def test_its_figures_are_those_that_pytest_benchmark_would_give() -> None:
    spent = Budget(36, 43.75, 10**9, 512_000)
    document = json.loads(benchmark_json({"batch 1": SAMPLES}, ORIGIN, {"hybrid": spent}))
    told = [benchmark["extra_info"].get("budget") for benchmark in document["benchmarks"]]
    assert told == [None, asdict(spent)]
    assert document["commit_info"]["id"] == "1" * 40
    for benchmark, arm in zip(document["benchmarks"], ("dense", "hybrid"), strict=True):
        theirs = Stats()  # type: ignore[no-untyped-call]
        for second in SAMPLES.seconds(arm, "answer").flat:
            theirs.update(float(second))  # type: ignore[no-untyped-call]
        stats = benchmark["stats"]
        assert len(stats["data"]) == stats["rounds"] == 18
        for name in ("min", "max", "mean", "stddev", "median", "ops", "total", "stddev_outliers"):
            assert stats[name] == pytest.approx(getattr(theirs, name)), name
        assert set(theirs.fields) <= set(stats)
    assert document["benchmarks"][1]["stats"]["iqr_outliers"] == 1


def test_no_timings_are_no_benchmarks() -> None:
    with pytest.raises(UserError, match="no latency samples"):
        benchmark_json({"batch 1": replace(SAMPLES, blocks=[])}, ORIGIN)


SLOWED = """
    def finish(self, index: int, hidden: Tensor, attended: Tensor) -> Tensor:
        for _ in range(8):
            self.finished(index, hidden, attended)
        return self.finished(index, hidden, attended)
"""


@pytest.mark.clock
def test_a_commit_that_adds_work_is_found_slower_and_nothing_is_left(tmp_path: Path) -> None:
    """The MLP and output projection of each layer are computed nine times.

    UNSURE is an answer, too, where others had too much of the cores; SAME or FASTER never is.
    """
    folder = repository(tmp_path / "checkout")
    package = shutil.copytree(
        this_checkout().hybrid, folder / "hybrid", ignore=shutil.ignore_patterns("__pycache__")
    )
    commit(folder, {".gitignore": "__pycache__\n"}, "as it is")
    source = (package / "language.py").read_text()
    slow = source.replace("    def finish(", f"{SLOWED.lstrip(chr(10))}\n    def finished(")
    assert slow != source
    commit(folder, {"hybrid/language.py": slow}, "slower")
    profile = Path(bench.__file__).parent / "arms" / "profiles" / "tiny.toml"
    text = profile.read_text().replace("processes = 3", "processes = 1")
    text = text.replace("new_tokens = 16", "new_tokens = 3")  # short blocks, and so more of them
    short = tmp_path / "short.toml"
    short.write_text(text.partition("[gates.latency.batch-8")[0])
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{profile.parents[3]}"}
    command = ["latency", "--profile", str(short), "--against", "HEAD~1", "--budget", "8"]
    said = subprocess.run(
        [sys.executable, "-P", "-m", "bench", *command, "--work-dir", str(tmp_path / "out")],
        env={**environment, "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode in (1, 3), said.stderr
    verdicts = json.loads((tmp_path / "out" / "latency-verdicts.json").read_text())
    [answer] = [
        verdict
        for verdict in verdicts
        if verdict["gate"] == "batch-1/latency/hybrid/answer/against-base"
    ]
    if said.returncode == 3:
        assert answer["outcome"] == "UNSURE"
    else:
        assert answer["numbers"]["comparison"] == "SLOWER"
        assert answer["numbers"]["value"] > 1.5
    assert git(folder, "worktree", "list", "--porcelain").count("worktree ") == 1
    assert not list(tmp_path.glob("vlm-hybrid-*"))
