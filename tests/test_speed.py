"""What the reduction gains on a LLaVA of true depth and token counts, at a width CPUs can bear.

32 language-model layers, 24 CLIP blocks, 577 image tokens, 640 prompt tokens, random weights, two
threads. The arms of a stage are timed interleaved in one run and judged by the interval of their
ratio, as the latency gate does, with more blocks while one is UNSURE; each is then a benchmark of
its own, with its ratio beside it. `nox -s speed` runs these; the default test session leaves them
out, since they take minutes and want a quiet machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.arms.untrained import PATCH, TRUE_DEPTH, batch_of, untrained_llava
from bench.base.verdict import Outcome, Verdict
from bench.cost.roofline import LlavaShape, prefill, vision
from bench.gates.latency import Bounds, measure_until_decided
from bench.timing.arms import dense_arm, hybrid_arm
from bench.timing.clock import HostClock
from bench.timing.interleave import Arm, Stopwatch
from bench.timing.samples import Samples
from hybrid import HybridConfig, hybridize
from hybrid.calibrate.schedule import Counting, Live
from hybrid.calibrate.thresholds import RankingTower
from hybrid.methods.dtome import DToMe
from hybrid.vision import VisionTower
from tests.played_back import PLAYBACK, play_back

pytestmark = pytest.mark.speed

THREADS = 2
BUDGET_S = 240.0  # for each of the three runs
TEXT = 64  # with 576 patches: 640 tokens, counted as LLaVA counts them
BATCH = vars(batch_of(TRUE_DEPTH, [(35, TEXT - 35)]))
SHAPE = LlavaShape.from_config(TRUE_DEPTH.config(), element_bytes=4)
LAYERS, BLOCKS = TRUE_DEPTH.text_layers, TRUE_DEPTH.vision_layers
AGGREGATION = 2
# Nearly nothing merges by itself at random weights, so what merging costs is seen, not its gain.
THRESHOLDS = (0.95,) * BLOCKS
# The tower's arms see pictures that merge: a schedule's gain is what images like these allow.
TILES, TARGET = 4, 72
KEEPS = {"keep 72": 72, "keep 36": 36}
STATIC = "dense, static cache"


def config(keep: int) -> HybridConfig:
    return HybridConfig(keep=keep, aggregation_layer=AGGREGATION, thresholds=THRESHOLDS)


@dataclass(frozen=True)
class Judged:
    """Arms that were timed in one run, and the verdict on each ratio that is bounded."""

    samples: Samples
    verdicts: Mapping[str, Verdict]

    def demand(self, gate: str) -> None:
        """Red for FAIL and for UNSURE, which says so: what could not be measured has not passed."""
        verdict = self.verdicts[f"latency/{gate}"]
        print(f"{verdict.outcome}: {verdict.reason}")
        assert verdict.outcome is Outcome.PASS, f"{verdict.outcome}: {verdict.reason}"


def judged(arms: Mapping[str, Arm], bounds: Bounds, reference: str) -> Judged:
    """Blocks are bought until every bound is decided, for `BUDGET_S` at most."""
    with torch.inference_mode():
        samples, verdicts = measure_until_decided(
            arms,
            bounds,
            budget_s=BUDGET_S,
            clock=HostClock(),
            threads=THREADS,
            reproduce="nox -s speed",
            reference=reference,
            warmup=1,
        )
    return Judged(samples, {verdict.gate: verdict for verdict in verdicts})


@pytest.fixture(scope="module")
def llava() -> Any:
    model = untrained_llava(TRUE_DEPTH)
    model.generation_config.eos_token_id = None
    return model


@pytest.fixture(scope="module")
def prefills(llava: Any) -> Judged:
    arms = {
        "dense": dense_arm(llava, BATCH, 2),
        "off": hybrid_arm(hybridize(llava, HybridConfig()), BATCH, 2),
    }
    bounds = {"off": {"prefill": 1.03}}
    for name, keep in KEEPS.items():
        arms[name] = hybrid_arm(hybridize(llava, config(keep)), BATCH, 2)
        bounds[name] = {"prefill": 1 / (0.8 * allowed_gain(keep))}
    return judged(arms, bounds, "dense")


@pytest.fixture(scope="module")
def decodes(llava: Any) -> Judged:
    arms = {
        STATIC: dense_arm(llava, BATCH, 65, cache_implementation="static"),
        "dense": dense_arm(llava, BATCH, 65),
        "off": hybrid_arm(hybridize(llava, HybridConfig()), BATCH, 65),
        "keep 72": hybrid_arm(hybridize(llava, config(72)), BATCH, 65),
    }
    bounds = {
        "off": {"decode": 1.0},
        "keep 72": {"decode": 1.0},
        "off-to-dense": {"decode": 1.03},
    }
    return judged(arms, bounds, STATIC)


def tiled(count: int) -> Tensor:
    """Pictures of TILES x TILES flat tiles in random colours: [count, 3, H, W] float32."""
    generator = torch.Generator().manual_seed(2)
    colours = torch.randn(count, 3, TILES, TILES, generator=generator)
    side = TRUE_DEPTH.side * PATCH // TILES
    return colours.repeat_interleave(side, dim=2).repeat_interleave(side, dim=3)


@torch.inference_mode()
def calibrated(tower: Any, pixels: Tensor) -> tuple[tuple[float, ...], Live]:
    """DyMU's thresholds for these images, as `hybrid.calibrate` finds them, and what they leave."""
    ranking = RankingTower(tower, TARGET)
    ranking(pixels)
    thresholds = tuple(ranking.ranking.found)
    counting = Counting(DToMe(thresholds))
    VisionTower(tower, -2, counting)(pixels)
    counts = torch.stack(counting.left, dim=1).tolist()
    return thresholds, Live(TRUE_DEPTH.patches, BLOCKS, counts)


@pytest.fixture(scope="module")
def towers(llava: Any) -> Judged:
    pixels = tiled(8)
    thresholds, live = calibrated(llava.model.vision_tower, pixels)
    schedule, counts = live.schedule(), live.handed_on
    assert live.forced(schedule) == 0, "it leaves room for each of these images"
    assert fmean(counts) < live.patches / 2, "without merges a schedule has nothing to gain from"
    print(
        f"\n{fmean(counts):.0f} of {live.patches} tokens are left of an image on average "
        f"({min(counts)} to {max(counts)}); schedule {', '.join(map(str, schedule))}"
    )

    def tower(config: HybridConfig) -> Arm:
        model = hybridize(llava, config)

        def arm(watch: Stopwatch) -> None:
            with watch("vision"):
                model.vision(pixels[:1])

        return arm

    arms = {
        "plain": tower(HybridConfig()),
        "merging": tower(HybridConfig(thresholds=thresholds)),
        "scheduled": tower(HybridConfig(thresholds=thresholds, schedule=schedule)),
    }
    bounds = {"merging": {"vision": 1.15}, "scheduled": {"vision": 0.85}}
    return judged(arms, bounds, "plain")


def counted(layers: list[int], blocks: int) -> float:
    """FLOPs of vision and prefill."""
    tower = [TRUE_DEPTH.patches + 1] * blocks
    works = [*vision(SHAPE, tower, batch=1), *prefill(SHAPE, layers, batch=1)]
    return float(sum(work.flops for work in works))


def allowed_gain(keep: int) -> float:
    """How many times less the FLOPs of a pruned prefill are than those of a dense one."""
    everything = counted([TEXT + TRUE_DEPTH.patches] * LAYERS, BLOCKS)
    long = [TEXT + TRUE_DEPTH.patches] * (AGGREGATION + 1)
    short = [TEXT + keep] * (LAYERS - AGGREGATION - 1)
    return everything / counted(long + short, BLOCKS - 1)


@pytest.mark.benchmark(group="prefill", timer=PLAYBACK)
@pytest.mark.parametrize("arm", KEEPS)
def test_prefill_gains_what_counted_flops_allow(arm: str, prefills: Judged, benchmark: Any) -> None:
    reached = 1 / play_back(benchmark, prefills.samples, arm, "prefill", "dense").value
    allowed = allowed_gain(KEEPS[arm])
    benchmark.extra_info |= {"gain": reached, "gain_that_flops_allow": allowed}
    print(f"{arm}: {reached:.2f}x faster, counted FLOPs allow {allowed:.2f}x")
    prefills.demand(f"{arm}/prefill")


@pytest.mark.benchmark(group="prefill", timer=PLAYBACK)
@pytest.mark.parametrize("arm", ["dense", "off"])
def test_a_prefill_with_the_reduction_off_costs_what_dense_does(
    arm: str, prefills: Judged, benchmark: Any
) -> None:
    play_back(benchmark, prefills.samples, arm, "prefill", "dense")
    if arm != "dense":
        prefills.demand(f"{arm}/prefill")


@pytest.mark.benchmark(group="decode", timer=PLAYBACK)
@pytest.mark.parametrize("arm", [STATIC, "off", "keep 72"])
def test_decode_is_not_slower_than_transformers_with_a_static_cache(
    arm: str, decodes: Judged, benchmark: Any
) -> None:
    play_back(benchmark, decodes.samples, arm, "decode", STATIC)
    if arm != STATIC:
        decodes.demand(f"{arm}/decode")


@pytest.mark.benchmark(group="decode against a growing cache", timer=PLAYBACK)
@pytest.mark.parametrize("arm", ["dense", "off"])
def test_decode_with_the_reduction_off_costs_what_dense_does(
    arm: str, decodes: Judged, benchmark: Any
) -> None:
    play_back(benchmark, decodes.samples, arm, "decode", "dense")
    if arm != "dense":
        decodes.demand(f"{arm}-to-dense/decode")


@pytest.mark.benchmark(group="vision", timer=PLAYBACK)
@pytest.mark.parametrize("arm", ["plain", "merging", "scheduled"])
def test_merging_adds_little_to_the_vision_tower_and_saves_its_time_by_a_schedule(
    arm: str, towers: Judged, benchmark: Any
) -> None:
    play_back(benchmark, towers.samples, arm, "vision", "plain")
    if arm != "plain":
        towers.demand(f"{arm}/vision")
