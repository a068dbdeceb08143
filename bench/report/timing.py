"""Timed stages as rows, each beside the least time that it could take."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.cost.roofline import Floor
from bench.timing.samples import Samples


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One stage of one arm, beside the least time it could take. case: what all arms were given,
    such as "batch 8". peak_bytes: most memory that the arm held at once, if measured."""

    case: str
    arm: str
    stage: str
    p50_ms: float
    p90_ms: float
    calls: int
    floor: Floor | None
    peak_bytes: int | None = None


def timings(
    samples: Samples,
    floors: Mapping[str, Mapping[str, Floor]] | None = None,
    *,
    case: str = "",
) -> list[Timing]:
    """Every stage that was timed. floors: arm -> `bench.cost.roofline.answer_floors`."""
    rows = []
    for arm, (first, _) in (samples.blocks[0] if samples.blocks else {}).items():
        for stage in first:
            seconds = samples.seconds(arm, stage)
            p50, p90 = 1e3 * np.quantile(seconds, [0.5, 0.9])
            rows.append(
                Timing(
                    case=case,
                    arm=arm,
                    stage=stage,
                    p50_ms=float(p50),
                    p90_ms=float(p90),
                    calls=seconds.size,
                    floor=(floors or {}).get(arm, {}).get(stage),
                )
            )
    return rows
