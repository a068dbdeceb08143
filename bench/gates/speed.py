"""The latency gate of a profile: its arms on its own prompts, batch size by batch size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from bench.arms.models import arm_config
from bench.arms.own import named, where
from bench.arms.profiles import Profile
from bench.arms.weights import Weights
from bench.base.progress import progress
from bench.base.verdict import Verdict
from bench.cost.budget import Counted
from bench.cost.spending import Budget
from bench.gates.compared import SMALLEST_EFFECT, Comparison
from bench.gates.latency import Bounds, arms_in, measure_until_decided
from bench.report.timing import Timing, timings
from bench.timing.arms import ceiling_of
from bench.timing.case import Case, timed_model
from bench.timing.clock import clock_for
from bench.timing.interleave import Arm
from bench.timing.memory import peak_bytes
from bench.timing.remote import Job, Pool, pools
from bench.timing.revision import checked_out, this_checkout
from bench.timing.samples import Samples
from hybrid import Keep

ARMS = ("dense", "off", "random", "hybrid")
STAGES = ("prefill", "decode", "answer")
HYBRID, BASE = "hybrid", "base"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be timed.

    Attributes:
        profile_name, thresholds: as on the command line; `profile` is what they say.
        budget_s: for each batch size; the profile's if None.
        smallest_effect: that matters between two revisions; the profile's if None.
        reproduce: the command that measures it again.
        weights: random ones are timed on random prompts of 64 words and an image.
        arm: judged alone, beside dense and off; all that the profile bounds if None.
    """

    profile: Profile
    profile_name: str
    thresholds: str | None
    keep: Keep
    work_dir: Path
    budget_s: float | None
    smallest_effect: float | None
    reproduce: str
    weights: Weights = Weights.CHECKPOINT
    arm: str | None = None

    @property
    def timed(self) -> str:
        """The arm that is compared with another revision's, or with itself."""
        return self.arm or HYBRID

    @property
    def device(self) -> torch.device:
        return torch.device(self.profile.model.device)

    @property
    def budget(self) -> float:
        return self.budget_s or self.profile.timing.budget_s

    @property
    def effect(self) -> float:
        given = self.smallest_effect or self.profile.timing.smallest_effect
        return given or SMALLEST_EFFECT[self.device.type]

    @property
    def batches(self) -> list[int]:
        return list(self.profile.timing.bounds)

    def bounds(self, batch: int) -> Bounds:
        """Those of the profile, of `arm` if one was asked for; a user's arms by their names.

        Raises UserError for a bound on a method that does not load.
        """
        found = {named(arm): stages for arm, stages in self.profile.timing.bounds[batch].items()}
        if self.arm is None:
            return found
        return {name: stages for name, stages in found.items() if arms_in([name])[0] == self.arm}

    @property
    def job(self) -> Job:
        """The hybrid in processes of its own, at every batch size."""
        return Job(
            profile=self.profile_name,
            thresholds=self.thresholds,
            keep=_as_text(self.keep),
            arm=where(self.timed),
            batches=self.batches,
            weights=self.weights,
        )


@dataclass(frozen=True)
class Measured:
    """samples: case ("batch 8") -> raw timings. budgets: of the arms that ran in this process."""

    verdicts: list[Verdict]
    timed: list[Timing]
    samples: Mapping[str, Samples]
    budgets: Mapping[str, Budget]


def speed_gate(request: Request, against: str | None = None) -> Measured:
    """Verdicts on every bound of the profile, and all timings beside their floors.

    against: a git revision whose hybrid is timed beside this checkout's, and compared to it. Both
    then run in processes of their own.

    Raises UserError if there are no bounds, or something could not be measured.
    """
    if against is None:
        return _measure(request, {})
    head = this_checkout()
    with (
        checked_out(against, head.hybrid) as base,
        pools(
            {request.timed: head, BASE: base}, request.job, request.profile.timing.processes
        ) as ready,
    ):
        return _measure(request, ready)


def _measure(request: Request, elsewhere: Mapping[str, Pool]) -> Measured:
    """elsewhere: arms that run in processes of their own."""
    profile = request.profile
    model = timed_model(profile, request.weights)
    clock = clock_for(request.device)
    ceiling = ceiling_of(model.llava, profile.model.threads)
    comparisons = (
        [Comparison(arm=request.timed, reference=BASE, stages=STAGES, effect=request.effect)]
        if BASE in elsewhere
        else []
    )
    asked = {batch: request.bounds(batch) for batch in request.batches}
    among = sum(len(stages) for bounds in asked.values() for stages in bounds.values())
    among += len(asked) * len(STAGES) * len(comparisons)
    among += len(STAGES) * sum(not bounds for bounds in asked.values())
    verdicts: list[Verdict] = []
    timed: list[Timing] = []
    taken: dict[str, Samples] = {}
    for batch, bounds in asked.items():
        case = Case.of(profile, model, request.keep, batch)
        beside = ARMS if request.arm is None else (*ARMS[:2], request.arm)
        here = [arm for arm in dict.fromkeys([*beside, *arms_in(bounds)]) if arm not in elsewhere]
        unbounded = {} if bounds or comparisons else {request.timed: STAGES}
        arms: dict[str, Arm] = {name: case.arm(name) for name in here}
        peaks = {name: peak_bytes(arm, clock, model.llava) for name, arm in arms.items()}
        arms |= {name: pool.arm(batch) for name, pool in elsewhere.items()}
        peaks |= {name: pool.peak_bytes(batch) for name, pool in elsewhere.items()}
        floors = {name: case.floors(name, ceiling) for name in (*here, request.timed) if ceiling}
        with progress(f"latency, batch {batch}") as bar:
            samples, judged = measure_until_decided(
                arms,
                bounds,
                comparisons,
                unbounded=unbounded,
                budget_s=request.budget,
                clock=clock,
                threads=profile.model.threads,
                reproduce=request.reproduce,
                among=among,
                # Their ratios are large and soon decided; those of the revisions are not.
                rarely=here if elsewhere else (),
                progress=lambda share, blocks: bar.reach(share, now=f"{blocks} blocks"),
            )
        request.work_dir.mkdir(parents=True, exist_ok=True)
        samples.save(request.work_dir / f"latency-batch-{batch}.json")
        taken[f"batch {batch}"] = samples
        timed += _with_peaks(timings(samples, floors, case=f"batch {batch}"), peaks)
        verdicts += [replace(v, gate=f"batch-{batch}/{v.gate}") for v in judged]
    counted = Counted(model.llava.config, model.llava.dtype, profile.data)
    configs = {
        row.arm: arm_config(row.arm, profile, request.keep) for row in timed if row.arm != BASE
    }
    budgets = {arm: counted.budget(config) for arm, config in configs.items()}
    return Measured(verdicts, timed, taken, budgets)


def _with_peaks(rows: Sequence[Timing], peaks: Mapping[str, int]) -> list[Timing]:
    """The peak is that of a whole answer."""
    return [
        replace(row, peak_bytes=peaks[row.arm]) if row.stage == "answer" else row for row in rows
    ]


def _as_text(keep: Keep) -> str:
    """Such that `Keep.parse` reads it, in any revision, without a digit lost."""
    if keep.removed is None:
        return str(keep)
    # The share was read from decimals, so it has an end in decimals.
    digits = 1
    while (keep.removed * 10**digits).denominator != 1:
        digits += 1
    return f"0.{int(keep.removed * 10**digits):0{digits}d}"
