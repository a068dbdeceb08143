"""What is measured: one model, its reductions, and how each of them becomes an arm."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from bench.arms.models import arm_config
from bench.arms.profiles import Profile
from bench.arms.random_prompts import random_prompts
from bench.cost.budget import Counted
from bench.cost.roofline import Ceiling, Floor
from bench.cost.spending import Budget
from bench.gates.sync.subjects import Subject
from bench.timing.arms import ceiling_of, dense_arm, floors_of, hybrid_arm
from bench.timing.clock import Clock, clock_for
from bench.timing.interleave import Arm
from hybrid import HybridConfig, HybridLlava, Keep
from hybrid.graphs import GraphedLlava, capture

DENSE = "dense"
EAGER, GRAPHED = "eager", "graphed"
MMBENCH_KEEP, COCO_KEEP = 36, 72
Work = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Attributes:
    llava: transformers' model; no answer ends early.
    configs: name of a reduction -> it.
    graphed: makes the model that replays graphs, from `llava` and a reduction.
    capture: makes work that is replayed, from work.
    stand_in: a small model for the sync tier.
    ceiling: what the device does at best; None if nobody wrote it down.
    reproduce: the command.
    """

    llava: Any
    configs: Mapping[str, HybridConfig]
    graphed: Callable[[Any, HybridConfig], HybridLlava]
    capture: Callable[[Work], Work]
    stand_in: Subject
    threads: int
    ceiling: Ceiling | None
    reproduce: str

    @property
    def clock(self) -> Clock:
        """Of the model's device."""
        return clock_for(self.llava.device)

    @cached_property
    def budgets(self) -> dict[str, Budget]:
        """What dense and each reduction spend."""
        counted = Counted(self.llava.config, self.llava.dtype)
        configs: dict[str, HybridConfig | None] = {DENSE: None, **self.configs}
        return {name: counted.budget(config) for name, config in configs.items()}

    def batch(self, size: int) -> dict[str, Tensor]:
        """Random prompts, as long as MMBench's, on the host."""
        return random_prompts(self.llava.config, size)

    @property
    def arms(self) -> list[str]:
        """Dense, then each reduction eager and graphed."""
        return [DENSE, *(f"{name} {how}" for name in self.configs for how in (EAGER, GRAPHED))]

    def model(self, arm: str) -> HybridLlava | None:
        """A model of its own for each call; None is transformers' own."""
        if arm == DENSE:
            return None
        name, _, how = arm.rpartition(" ")
        make = self.graphed if how == GRAPHED else HybridLlava
        return make(self.llava, self.configs[name])

    def arm(self, arm: str, batch: int, new_tokens: int) -> tuple[Arm, dict[str, Floor]]:
        """What is timed, and the least time each of its stages could take, if that is known."""
        model, prompts = self.model(arm), self.batch(batch)
        floors = (
            floors_of(self.llava, model, prompts, new_tokens, self.ceiling) if self.ceiling else {}
        )
        if model is None:
            return dense_arm(self.llava, prompts, new_tokens), floors
        return hybrid_arm(model, prompts, new_tokens), floors


def configs_of(profile: Profile) -> dict[str, HybridConfig]:
    """The reductions that are measured: `hybrid 36` is what `gate --keep 36` runs."""
    asked = {
        "off": ("off", MMBENCH_KEEP),
        "dymu": ("dymu", MMBENCH_KEEP),
        f"fastv {MMBENCH_KEEP}": ("fastv", MMBENCH_KEEP),
        f"hybrid {MMBENCH_KEEP}": ("hybrid", MMBENCH_KEEP),
        f"hybrid {COCO_KEEP}": ("hybrid", COCO_KEEP),
    }
    made = {name: arm_config(arm, profile, Keep(keep)) for name, (arm, keep) in asked.items()}
    return {name: config for name, config in made.items() if config is not None}


def checked_on_gpu(llava: Any, profile: Profile, stand_in: Subject, reproduce: str) -> Checked:
    """With graphs captured for prompts of the length that is measured."""
    length = random_prompts(llava.config, 1)["input_ids"].shape[1]
    threads = profile.model.threads
    return Checked(
        llava=llava,
        configs=configs_of(profile),
        graphed=partial(GraphedLlava, buckets=(length,)),
        capture=captured,
        stand_in=stand_in,
        threads=threads,
        ceiling=ceiling_of(llava, threads),
        reproduce=reproduce,
    )


@dataclass(frozen=True)
class Replay:
    """work: what was captured; held, because the graph reads its tensors."""

    work: Work
    graph: torch.cuda.CUDAGraph

    def __call__(self) -> None:
        self.graph.replay()


def captured(work: Work) -> Work:
    """`work` as the replay of a CUDA graph."""
    return Replay(work, capture(work))
