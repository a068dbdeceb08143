"""One batch size of the latency gate: the prompts that all arms answer, and how an arm is built."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.arms.families import LLAVA, kind_of
from bench.arms.models import Answerer, Checkpoint, arm_config, load_checkpoint
from bench.arms.profiles import Profile
from bench.arms.random_prompts import random_prompts
from bench.arms.random_weights import random_model
from bench.arms.weights import Weights
from bench.base.errors import UserError
from bench.base.remark import remark
from bench.cost.roofline import Ceiling, Floor
from bench.tasks import load_task
from bench.timing.arms import finite_arm, floors_of
from bench.timing.interleave import Arm
from hybrid import HybridConfig, HybridLlava, Keep


@dataclass(frozen=True)
class Case:
    """Some prompts, answered with a fixed number of tokens.

    Attributes:
        llava: transformers' model; no answer ends early.
        batch: prompts with an image each, as `Answerer.encode` gives them, on the host.
    """

    profile: Profile
    llava: Any
    keep: Keep
    batch: Mapping[str, Tensor]

    @classmethod
    def of(cls, profile: Profile, model: "TimedModel", keep: Keep, batch: int) -> "Case":
        """The profile's first `batch` questions; random prompts for random weights."""
        if model.checkpoint is None:
            prompts = random_prompts(model.llava.config, batch, profile.data)
            return cls(profile, model.llava, keep, prompts)
        samples = load_task(profile.prompts, chat=profile.model.chat).samples[:batch]
        if len(samples) < batch:
            raise UserError(
                f"{profile.prompts} has {len(samples)} prompts, too few for a batch of {batch}:"
                f" take batch-{batch} out of the profile's [gates.latency]"
            )
        texts, images = [s.prompt for s in samples], [s.image() for s in samples]
        encoded = Answerer(model.checkpoint, None).encode(texts, images)
        return cls(profile, model.llava, keep, encoded)

    def arm(self, name: str) -> Arm:
        """By a name of `bench.arms.models.ARMS`.

        Raises:
            UserError: its logits are not finite, as `demand_finite` says.
        """
        new_tokens = self.profile.timing.new_tokens
        return finite_arm(name, self.llava, self._hybrid(name), self.batch, new_tokens)

    def floors(self, name: str, ceiling: Ceiling) -> dict[str, Floor]:
        """Stage -> the least time it could take."""
        new_tokens = self.profile.timing.new_tokens
        return floors_of(self.llava, self._hybrid(name), self.batch, new_tokens, ceiling)

    def _hybrid(self, name: str) -> HybridLlava | None:
        config = arm_config(name, self.profile, self.keep)
        if config is None:
            return None
        return hybrid_on(self.llava.device, self.llava, config, self.batch["input_ids"].shape[1])


def hybrid_on(device: torch.device, llava: Any, config: HybridConfig, length: int) -> HybridLlava:
    """As it is meant to run on `device`: on CUDA it replays graphs, for prompts of `length`, where
    all images have one size; where they have not, that is said."""
    kind = kind_of(llava.config)
    if device.type != "cuda" or kind.model_type != LLAVA:
        if device.type == "cuda":
            remark(f"{kind.name} runs without CUDA graphs, which are captured for one image size")
        return HybridLlava(llava, config)
    from hybrid.graphs import GraphedLlava

    return GraphedLlava(llava, config, buckets=(length,))


@dataclass(frozen=True)
class TimedModel:
    """A model such that no answer ends early: every arm does the same steps.

    checkpoint: None for random weights.
    """

    llava: Any
    checkpoint: Checkpoint | None


def timed_model(profile: Profile, weights: Weights = Weights.CHECKPOINT) -> TimedModel:
    """The profile's model, loaded or with random weights at its true shape.

    Raises:
        UserError: as `load_checkpoint` does, or memory does not suffice for random weights.
    """
    if weights is Weights.RANDOM:
        return TimedModel(random_model(profile), None)
    checkpoint = load_checkpoint(profile)
    checkpoint.llava.generation_config.eos_token_id = None
    return TimedModel(checkpoint.llava, checkpoint)
