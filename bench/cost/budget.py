"""Budgets, counted at a model's true shape and without its weights."""

from collections.abc import Iterable
from copy import deepcopy
from statistics import fmean
from typing import Any

import torch

import hybrid
from bench.arms.checkpoint.config import checked_config
from bench.arms.models import DTYPES, arm_config
from bench.arms.profiles import Profile
from bench.arms.profiles.settings import Data
from bench.arms.random_prompts import WORDS, Size, random_prompts
from bench.cost.models import without_memory
from bench.cost.spending import Budget
from bench.cost.stages import costs_of, stages_of
from hybrid import HybridConfig, HybridLlava, Keep


class Counted:
    """Counts budgets of one model, at its true shape and without its weights.

    Args:
        config: of the model, of any family.
        dtype: that it runs in.
        data: of its profile, which says how large the image is, and how it is resized.
        image: pixels, high and wide, where the family takes images of any size; those of `data`, or
            672 x 672, if None.
    """

    def __init__(
        self,
        config: Any,
        dtype: torch.dtype,
        data: Data | None = None,
        *,
        image: Size | None = None,
    ) -> None:
        self.llava = without_memory(deepcopy(config)).to(dtype)
        self.given = random_prompts(config, 1, data, image=image)
        self.inputs = HybridLlava(self.llava, HybridConfig()).place(**self.given)
        self.patches = self.given["input_ids"].shape[1] - WORDS
        text = self.llava.config.text_config
        width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        self.token_bytes = 2 * text.num_key_value_heads * width * dtype.itemsize

    def slots(self, config: HybridConfig | None) -> list[int]:
        """Visual tokens that each layer gets; None is transformers' own model.

        Raises:
            ConfigError: it does not fit the model.
        """
        if config is None:
            return [self.patches] * self.llava.config.text_config.num_hidden_layers
        model = HybridLlava(self.llava, config)
        return model.layer_slots_of(model.slots_of(self.inputs))

    def budget(self, config: HybridConfig | None) -> Budget:
        """What an arm spends. Raises ConfigError if it does not fit the model."""
        slots = self.slots(config)
        return Budget(
            tokens=slots[-1],
            average=fmean(slots),
            flops=self._flops(config),
            cache_bytes=sum(WORDS + count for count in slots) * self.token_bytes,
        )

    def _flops(self, config: HybridConfig | None) -> int | None:
        stages = stages_of(self.llava, config, self.given)
        prefill = type(stages)({"prefill": stages.run["prefill"]}, stages.cache)
        try:
            return costs_of(self.llava, prefill)["prefill"].flops
        except (Exception, SystemExit):
            # A method of one's own may ask for a value, which there is none of, in any way; one
            # that ships never does, and its fault is no gap in a table.
            if config is None or all(map(_ships, config.method)):
                raise
            return None


def _ships(method: object) -> bool:
    return type(method).__module__.startswith(f"{hybrid.__name__}.")


def spent(profile: Profile, arms: Iterable[str], keep: Keep) -> dict[str, Budget]:
    """What arms of a profile spend at a budget; the checkpoint's configuration is all that is read.

    Raises:
        UserError: there is none, or no such arm.
        ConfigError: an arm does not fit the model.
    """
    config = checked_config(profile.model.path)
    counted = Counted(config, DTYPES[profile.model.dtype], profile.data)
    return {arm: counted.budget(arm_config(arm, profile, keep)) for arm in arms}
