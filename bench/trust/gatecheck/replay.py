"""The latency verdict on windows of a recording, as if each had been timed live."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import UserError
from bench.base.verdict import Verdict
from bench.gates.latency import judged_in_looks, latency_gate
from bench.timing.interleave import Taken, samples_of
from bench.timing.samples import Samples
from bench.trust.gatecheck.judged import JOB, QUESTION, Judged
from bench.trust.gatecheck.recording import Recording

BUDGET_S = 45.0  # the tiny profile's, for a batch size
STRIDE_S = 5.0  # from the start of one window to that of the next


def replay(
    recording: Recording, *, budget_s: float = BUDGET_S, stride_s: float = STRIDE_S
) -> list[Judged]:
    """Verdicts on all windows that leave room for a whole budget.

    Raises UserError if there is none.
    """
    judged: list[Judged] = []
    for (batch, truth), segments in recording.segments.items():
        for segment in segments:
            taken, free_from = segment.taken(), 0.0
            for start in window_starts(segment.ends_s, budget_s, stride_s):
                began = began_at(segment.ends_s, start)
                verdicts, seconds = judge_window(taken, segment.ends_s, start, budget_s)
                fresh = began >= free_from
                judged.append(Judged.of(truth, batch, verdicts, seconds, fresh))
                if fresh:
                    free_from = began + seconds
    if not judged:
        raise UserError(f"no recorded segment lasts {budget_s:.0f} seconds: record longer ones")
    return judged


def window_starts(ends_s: NDArray[np.float64], budget_s: float, stride_s: float) -> list[int]:
    """The first block of each window that has at least `budget_s` behind it."""
    times = np.arange(0.0, max(0.0, ends_s[-1] - budget_s), stride_s)
    blocks = np.searchsorted(ends_s, times, side="right")
    return [int(block) for block in blocks if ends_s[-1] - began_at(ends_s, block) >= budget_s]


def began_at(ends_s: NDArray[np.float64], block: int) -> float:
    """When a block began, in seconds since the first did."""
    return float(ends_s[block - 1]) if block else 0.0


def judge_window(
    taken: Sequence[Taken], ends_s: NDArray[np.float64], start: int, budget_s: float
) -> tuple[list[Verdict], float]:
    """The verdicts of a job that began with block `start`, and the seconds that it took."""
    began = now = began_at(ends_s, start)

    def blocks() -> Iterator[Taken]:
        nonlocal now
        for number in range(start, len(taken)):
            now = float(ends_s[number])
            yield taken[number]

    def judge(so_far: Sequence[Taken], confidence: float) -> tuple[Samples, list[Verdict]]:
        samples = samples_of(so_far, {})
        verdicts = latency_gate(
            samples, {}, [QUESTION], reproduce="python -m bench gate-check", confidence=confidence
        )
        return samples, verdicts

    _, verdicts = judged_in_looks(
        blocks(), judge, spent=lambda: (now - began) / budget_s, among=JOB
    )
    return verdicts, now - began
