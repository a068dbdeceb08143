"""Verdicts, timings and a sweep as gates would find them, for the tests of reports and pages."""

from dataclasses import dataclass

import numpy as np

from bench.base.verdict import Outcome, Verdict
from bench.cost.roofline import Ceiling, Floor, Wall
from bench.report.sweep.result import Point, Sweep
from bench.report.timing import Timing, timings
from bench.timing.samples import Block, Samples

CEILING = Ceiling(name="this CPU", flops_per_s=1e11, bytes_per_s=2e10)
ARMS = {"dense": 1.0, "off": 1.01, "hybrid": 0.6, "random": 0.61, "base": 0.62}


@dataclass(frozen=True)
class Flips:
    level: str
    category: str
    lost: int
    gained: int
    n: int


FLIPS = [
    Flips("category", "structuralized_imagetext_understanding", 14, 6, 78),
    Flips("category", "ocr", 0, 3, 39),
    Flips("category", "image_scene", 0, 0, 104),
]


def verdict(outcome: Outcome, gate: str = "batch-8/latency/hybrid/answer") -> Verdict:
    return Verdict(
        gate=gate,
        outcome=outcome,
        reason="0.62 times as long as dense, at most 0.900 allowed, 40 blocks",
        reproduce="python -m bench latency --keep 36",
        numbers={"value": 0.62, "low": 0.6, "high": 0.64, "must_be": "<=", "bound": 0.9},
    )


def samples(blocks: int = 12) -> Samples:
    """Noise from a fixed seed; prefill, decode and answer of five arms."""
    noise = np.random.default_rng(5)

    def call(times: float) -> dict[str, float]:
        prefill, decode = (t * float(np.exp(noise.normal(0, 0.03))) for t in (0.04 * times, 0.003))
        return {"prefill": prefill, "decode": decode, "answer": prefill + 15 * decode}

    taken: list[Block] = [
        {arm: (call(times), call(times)) for arm, times in ARMS.items()} for _ in range(blocks)
    ]
    return Samples(setup={}, blocks=taken)


def timed() -> list[Timing]:
    """Of `samples`, with floors that say what work stands behind them."""

    def floor(seconds: float, flops: float, moved: float) -> Floor:
        return Floor(
            seconds=seconds, wall=Wall.COMPUTE, flops=flops, moved_bytes=moved, ceiling=CEILING
        )

    stages = {
        "prefill": floor(0.01, 1e9, 3e7),
        "decode": floor(0.001, 4e6, 8e6),
        "answer": floor(0.02, 1.06e9, 1.5e8),
    }
    return timings(samples(), dict.fromkeys(ARMS, stages), case="batch 8")


def point(keep: str, merge: bool, tokens: int, accuracy: float, ratio: float) -> Point:
    return Point(
        keep=keep,
        merge=merge,
        dense=False,
        tokens=tokens,
        average=float(tokens),
        flops=1_000_000 * tokens,
        cache_bytes=1000 * tokens,
        accuracy=accuracy,
        accuracy_low=max(accuracy - 0.03, 0.0),
        accuracy_high=min(accuracy + 0.03, 1.0),
        difference=accuracy - 0.63,
        difference_low=accuracy - 0.65,
        difference_high=accuracy - 0.61,
        ratio=ratio,
        ratio_low=0.97 * ratio,
        ratio_high=1.03 * ratio,
    )


def sweep() -> Sweep:
    """Dense and eight points, some of them close together."""
    dense = Point(
        keep="none",
        merge=False,
        dense=True,
        tokens=576,
        average=576.0,
        flops=576_000_000,
        cache_bytes=576_000,
        accuracy=0.63,
        accuracy_low=0.6,
        accuracy_high=0.66,
        difference=0.0,
        difference_low=0.0,
        difference_high=0.0,
        ratio=1.0,
        ratio_low=1.0,
        ratio_high=1.0,
    )
    rows = [("36", 36, 0.556, 0.425), ("72", 72, 0.59, 0.435), ("144", 144, 0.612, 0.52)]
    points = [point(keep, False, tokens, a, r) for keep, tokens, a, r in rows]
    points += [point(keep, True, tokens, a - 0.004, 0.86 * r) for keep, tokens, a, r in rows]
    points += [point("none", False, 576, 0.63, 1.01), point("none", True, 256, 0.624, 0.6)]
    return Sweep(
        profile="tiny", commit="ab" * 20, questions=300, images=0, batch=8, points=[dense, *points]
    )
