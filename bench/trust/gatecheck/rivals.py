"""What is used elsewhere, on the same samples: a run now against a stored earlier run.

The baseline run are the reference arm's calls in one window, the later run the planted arm's in
another: of the same process right behind it, the kindest case there is, or of the next process
of the same truth, minutes later, as in practice. Each run has as many calls of its arm as the
verdict of this project may take at most.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from bench.base.errors import UserError
from bench.gates.compared import Compared
from bench.trust.gatecheck.judged import Judged
from bench.trust.gatecheck.recording import Recording
from bench.trust.gatecheck.replay import BUDGET_S, STRIDE_S, began_at, window_starts
from bench.trust.gatecheck.series import STAGES, Segment

P_VALUE = 0.01  # what this project promises of equal arms, too
COMPARE_FAIL = "median:5%"

Seconds = NDArray[np.float64]
Rule = Callable[[Seconds, Seconds], Compared]
"""Seconds of the baseline run and of the later run -> what it says of the later."""
Run = Mapping[str, Seconds]


def pytest_benchmark_rule() -> Rule:
    """pytest-benchmark's own check behind `--benchmark-compare-fail=median:5%`.

    Raises UserError if it is not installed.
    """
    try:
        from pytest_benchmark.utils import parse_compare_fail
    except ImportError:
        raise UserError("pytest-benchmark is missing: pip install pytest-benchmark") from None
    check = parse_compare_fail(COMPARE_FAIL)  # type: ignore[no-untyped-call]

    def rule(baseline: Seconds, later: Seconds) -> Compared:
        current, compared = ({"median": float(np.median(run))} for run in (later, baseline))
        return Compared.SLOWER if check.fails(current, compared) else Compared.SAME

    return rule


def mann_whitney_rule(baseline: Seconds, later: Seconds) -> Compared:
    """Different if a two-sided Mann-Whitney test says so at P_VALUE."""
    if mannwhitneyu(later, baseline).pvalue >= P_VALUE:
        return Compared.SAME
    return Compared.SLOWER if np.median(later) > np.median(baseline) else Compared.FASTER


def rivals(recording: Recording) -> Mapping[str, list[Judged]]:
    """Name -> what it says of all pairs of runs."""
    rules = {
        f"pytest-benchmark {COMPARE_FAIL}": pytest_benchmark_rule(),
        f"Mann-Whitney p < {P_VALUE}": mann_whitney_rule,
    }
    pairings = {"right after": right_after, "minutes later": minutes_later}
    return {
        f"{name}, {when}": [
            _judged(rule, truth, batch, *runs)
            for (batch, truth), segments in recording.segments.items()
            for runs in pairs(segments)
        ]
        for name, rule in rules.items()
        for when, pairs in pairings.items()
    }


def right_after(segments: Sequence[Segment]) -> Iterator[tuple[Run, Run]]:
    """Baseline and later run from one process, one window behind the other."""
    for segment in segments:
        for start in window_starts(segment.ends_s, 2 * BUDGET_S, STRIDE_S):
            middle = _end(segment, start)
            yield _run(segment, start, 0), _run(segment, middle, 1)


def minutes_later(segments: Sequence[Segment]) -> Iterator[tuple[Run, Run]]:
    """Baseline from one process, later run from the next of the same truth."""
    for segment, following in pairwise(segments):
        starts = (window_starts(s.ends_s, BUDGET_S, STRIDE_S) for s in (segment, following))
        for start, later in zip(*starts, strict=False):
            yield _run(segment, start, 0), _run(following, later, 1)


def _end(segment: Segment, start: int) -> int:
    """The block at which the window that begins with block `start` ends."""
    return int(np.searchsorted(segment.ends_s, began_at(segment.ends_s, start) + BUDGET_S))


def _run(segment: Segment, start: int, arm: int) -> Run:
    """Stage -> one arm's times in the window that begins with block `start`."""
    window = slice(start, _end(segment, start))
    return {
        stage: getattr(segment, stage)[window, :, arm].ravel().astype(np.float64)
        for stage in STAGES
    }


def _judged(rule: Rule, truth: str, batch: int, baseline: Run, later: Run) -> Judged:
    return Judged(
        truth=truth,
        batch=batch,
        compared={stage: rule(baseline[stage], later[stage]) for stage in STAGES},
        ratios={s: float(np.median(later[s]) / np.median(baseline[s])) for s in STAGES},
        seconds=2 * BUDGET_S,
    )
