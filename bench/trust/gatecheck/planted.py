"""A hybrid that is slower by a known amount of real work, for a gate that must notice.

The extra work is of the kind that the model itself does: products with a weight of its first
layer, before the first token and in each decode step. It is counted, not timed: `calibrate` finds
once what one product costs, and from then on the count stands.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from bench.arms.models import arm_config, resolve_keep
from bench.arms.profiles import load_profile
from bench.base.errors import UserError
from bench.base.shapes import Count
from bench.timing.arms import hybrid_arm
from bench.timing.case import Case, timed_model
from bench.timing.clock import clock_for
from bench.timing.interleave import Arm, measure
from bench.timing.ratio import paired_ratio
from hybrid import HybridConfig, HybridLlava
from hybrid.inputs import Inputs
from hybrid.state import State

PREFILL_ROWS = 32  # of one product in the prefill, for each sample; in a decode step it has one
FEW, MANY = {"prefill": 50, "decode": 20}, {"prefill": 150, "decode": 60}  # what `calibrate` plants
CALIBRATION_BLOCKS = {1: 200, 8: 120}


@dataclass(frozen=True)
class Work:
    """Products added to the prefill, and to each decode step."""

    prefill: Count
    decode: Count


@dataclass(frozen=True)
class Cost:
    """Shares by which a stage becomes slower: by any products at all, and by each of them."""

    fixed: float
    each: float


class SlowedLlava(HybridLlava):
    """`HybridLlava` with `work` added to its stages; its answers are the same."""

    def __init__(self, llava: Any, config: HybridConfig, work: Work) -> None:
        super().__init__(llava, config)
        self.work = work
        self.weight: Tensor = self.language.layers[0].self_attn.q_proj.weight  # [D, D]

    @torch.inference_mode()
    def prefill(self, inputs: Inputs, max_new_tokens: int) -> State:
        """The model's own, then the added products."""
        state = super().prefill(inputs, max_new_tokens)
        self._multiply(self.work.prefill, rows=PREFILL_ROWS * inputs.batch)
        return state

    @torch.inference_mode()
    def decode(self, state: State) -> None:
        """The model's own, then the added products."""
        super().decode(state)
        self._multiply(self.work.decode, rows=state.token.shape[0])

    def _multiply(self, products: int, *, rows: int) -> None:
        hidden = self.weight.new_ones(rows, self.weight.shape[1])
        for _ in range(products):
            linear(hidden, self.weight)


def tiny_case(batch: int) -> Case:
    """The tiny profile's first `batch` questions, answered by its hybrid."""
    profile = load_profile("tiny")
    return Case.of(profile, timed_model(profile), resolve_keep(None, profile), batch)


def planted_arm(case: Case, work: Work | None) -> Arm:
    """The hybrid of the profile with `work` added; None: as it is, in an object of its own."""
    config = arm_config("hybrid", case.profile, case.keep)
    if work is None or config is None:
        return case.arm("hybrid")
    slowed = SlowedLlava(case.llava, config, work)
    return hybrid_arm(slowed, case.batch, case.profile.timing.new_tokens)


def calibrate(batch: int) -> dict[str, Cost]:
    """Stage -> what added products cost here and now, from an arm with few and one with many."""
    case = tiny_case(batch)
    arms = {
        "plain": planted_arm(case, None),
        "few": planted_arm(case, Work(**FEW)),
        "many": planted_arm(case, Work(**MANY)),
    }
    clock = clock_for(case.llava.device)
    threads = case.profile.model.threads
    taken = measure(arms, blocks=CALIBRATION_BLOCKS[batch], clock=clock, threads=threads)
    costs = {}
    for stage in FEW:
        few, many = (
            paired_ratio(*taken.pair(arm, "plain", stage), 0.95).value - 1
            for arm in ("few", "many")
        )
        each = (many - few) / (MANY[stage] - FEW[stage])
        costs[stage] = Cost(fixed=few - each * FEW[stage], each=each)
    return costs


def work_for(slowdown: float, costs: Mapping[str, Cost]) -> Work | None:
    """The products that make each stage slower by `slowdown`, such as 0.05; None for 0.

    Raises UserError for costs that can't be: what was calibrated was mostly noise.
    """
    if not slowdown:
        return None
    work = {}
    for stage, cost in costs.items():
        if not 0 < cost.each < slowdown or cost.fixed >= slowdown:
            raise UserError(
                f"one product more seems to make {stage} slower by {cost.each:.2%}, which is noise:"
                " stop what else runs and calibrate again"
            )
        work[stage] = round((slowdown - cost.fixed) / cost.each)
    return Work(**work)
