"""Which flips between two runs are near-ties, from the margins that both recorded."""

from bench.evaluation.comparison.side import Side
from bench.evaluation.statistics.ties import EPSILON, flip_is_near_tie
from bench.tasks.mmbench import ROTATION


def near_ties(before: Side, after: Side) -> dict[int, bool | None]:
    """For each flipped question whether rounding explains it; None where that is not recorded."""
    flipped: dict[int, list[int]] = {
        question: [] for question, hit in before.hits.items() if hit != after.hits[question]
    }
    for row, hit in before.row_hits.items():
        if hit != after.row_hits[row] and row % ROTATION in flipped:
            flipped[row % ROTATION].append(row)
    types = [str(side.document.get("dtype")) for side in (before, after)]
    if not all(type in EPSILON for type in types):
        return dict.fromkeys(flipped)
    epsilon = max(EPSILON[type] for type in types)
    return {
        question: flip_is_near_tie(rows, before.tops, after.tops, epsilon)
        for question, rows in flipped.items()
    }
