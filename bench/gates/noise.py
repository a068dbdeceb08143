"""Today's noise floor: an arm against itself, timed as two revisions would be."""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from bench.base.progress import progress
from bench.gates.latency import confidence_of_look
from bench.gates.speed import STAGES, Request
from bench.report.cells import in_time
from bench.timing.clock import clock_for
from bench.timing.interleave import Arm, Taken, interleaved_blocks, samples_of, setup
from bench.timing.ratio import Ratio, paired_ratio
from bench.timing.remote import pools
from bench.timing.revision import this_checkout
from bench.timing.samples import Samples

AGAIN = "again"
COLUMNS = ("case", "stage", "p50", "ratio to itself", "interval", "smallest effect", "blocks")


@dataclass(frozen=True, kw_only=True)
class NoiseFloor:
    """What one stage's ratio is worth where the truth is 1.

    seconds: median of the stage. ratio: of the arm to itself, at the confidence of a verdict.
    """

    case: str
    stage: str
    seconds: float
    ratio: Ratio

    @property
    def half_width(self) -> float:
        """Of the interval, as a share."""
        return math.sqrt(self.ratio.high / self.ratio.low) - 1 if self.ratio.low else math.inf

    @property
    def smallest_effect(self) -> float:
        """The least that could be ruled out today: the far end of the interval."""
        return max(self.ratio.high, 1 / self.ratio.low) - 1 if self.ratio.low else math.inf

    def cells(self) -> list[str]:
        """For a table with COLUMNS."""
        return [
            self.case,
            self.stage,
            in_time(1e3 * self.seconds),
            f"{self.ratio.value:.4f}",
            f"+-{self.half_width:.1%}",
            f"{self.smallest_effect:.1%}",
            str(self.ratio.blocks),
        ]


def noise_floor(request: Request) -> tuple[list[NoiseFloor], dict[str, Samples]]:
    """Times the arm against itself for the whole budget of each batch size, in processes of
    their own, as `--against` does. Also the raw timings of each case, which are saved.

    Raises UserError if something could not be measured.
    """
    head, processes = this_checkout(), request.profile.timing.processes
    floors: list[NoiseFloor] = []
    taken: dict[str, Samples] = {}
    confidence = confidence_of_look(len(request.batches) * len(STAGES))
    with pools({request.timed: head, AGAIN: head}, request.job, processes) as ready:
        for batch in request.batches:
            case = f"batch {batch}"
            arms = {name: pool.arm(batch) for name, pool in ready.items()}
            samples = taken[case] = _whole_budget(arms, request, title=f"noise, {case}")
            request.work_dir.mkdir(parents=True, exist_ok=True)
            samples.save(request.work_dir / f"latency-noise-batch-{batch}.json")
            floors += [_floor(samples, request.timed, case, stage, confidence) for stage in STAGES]
    return floors, taken


def _whole_budget(arms: Mapping[str, Arm], request: Request, *, title: str) -> Samples:
    clock, threads = clock_for(request.device), request.profile.model.threads
    taken: list[Taken] = []
    started = time.monotonic()
    with (
        progress(title) as bar,
        closing(interleaved_blocks(arms, clock=clock, threads=threads)) as source,
    ):
        for block in source:
            taken.append(block)
            spent = (time.monotonic() - started) / request.budget
            bar.reach(min(spent, 1.0), now=f"{len(taken)} blocks")
            if spent >= 1:
                break
    return samples_of(taken, setup(clock, threads))


def _floor(samples: Samples, arm: str, case: str, stage: str, confidence: float) -> NoiseFloor:
    seconds = samples.seconds(arm, stage)
    ratio = paired_ratio(seconds, samples.seconds(AGAIN, stage), confidence)
    middle = sorted(seconds.flat)[seconds.size // 2]
    return NoiseFloor(case=case, stage=stage, seconds=float(middle), ratio=ratio)


def verdict_line(floors: Sequence[NoiseFloor], effect: float) -> str:
    """Whether the effect that matters could be told apart today."""
    blind = [floor for floor in floors if floor.smallest_effect >= effect]
    if not blind:
        return f"an effect of {effect:.0%} could be told apart today, in every stage"
    named = ", ".join(f"{floor.case} {floor.stage}" for floor in blind)
    return (
        f"an effect of {effect:.0%} could not be told apart today in {named}:"
        " give it a larger --budget or a quieter machine"
    )
