"""Interleaved timings as pytest-benchmark's own rounds.

pytest-benchmark times one function after the other, minutes apart on a machine that drifts, so a
ratio of two of its benchmarks compares two machines. Here all arms are timed first, interleaved
A B B A in one run, and each arm's seconds are then played back to its `benchmark` fixture. JSON,
tables and `pytest-benchmark compare` show what was measured; the ratio, which only the blocks can
give, stands in `extra_info`.
"""

from typing import Any

from bench.timing.ratio import Ratio, paired_ratio
from bench.timing.samples import Samples

CONFIDENCE = 0.9


class Playback:
    """A timer that stands at 0 when a round starts and at its measured seconds when it ends."""

    __name__ = "interleaved_blocks_played_back"  # what the JSON names as the timer

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        return self._now

    def rewind(self) -> None:
        self._now = 0.0

    def run(self, seconds: float) -> None:
        self._now = seconds


PLAYBACK = Playback()


def play_back(benchmark: Any, samples: Samples, arm: str, stage: str, reference: str) -> Ratio:
    """Hand one arm's seconds to pytest-benchmark, two rounds a block; returns its ratio.

    benchmark: the fixture, of a test that is marked `benchmark(timer=PLAYBACK)`.
    """
    seconds = samples.seconds(arm, stage)
    rounds = iter(seconds.ravel().tolist())

    def next_round() -> tuple[tuple[float], dict[str, object]]:
        PLAYBACK.rewind()
        return (next(rounds),), {}

    benchmark.pedantic(PLAYBACK.run, setup=next_round, rounds=seconds.size, iterations=1)
    ratio = paired_ratio(seconds, samples.seconds(reference, stage), CONFIDENCE)
    benchmark.extra_info |= {
        "stage": stage,
        "arm": arm,
        "reference": reference,
        "ratio": ratio.value,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
        "confidence": ratio.confidence,
        "blocks": ratio.blocks,
        **samples.setup,
    }
    milliseconds = 1e3 * float(sorted(seconds.ravel())[seconds.size // 2])
    print(
        f"\n{stage} {arm}: {milliseconds:.0f} ms, {ratio.value:.3f}x {reference} "
        f"[{ratio.low:.3f}, {ratio.high:.3f}]"
    )
    return ratio
