"""What a method is tried on: a small untrained LLaVA in float64, and prompts that are padded."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from bench.arms.models import Answerer, load_checkpoint
from bench.arms.profiles import load_profile
from bench.arms.untrained import Batch, Shape, batch_of, untrained_llava
from bench.tasks import load_task
from hybrid import ConfigError, HybridConfig, HybridLlava, Keep, hybridize
from hybrid.state import State

Factory = Callable[[Keep], object]

STEPS = 8
QUESTIONS = 3  # of the embedded model, and a caption
# Deep enough for a method of a 7B model, if the shallow one has no such layer.
DEPTHS = (5, 33)
# Text tokens before and after the image: the longest prompt first, inside and last.
PROMPTS = [(4, 6), (9, 10), (2, 13), (3, 8)]
SHAPE = Shape(key_value_heads=2)
# Fewer and more than most stages divide by, and a share.
BUDGETS = tuple(Keep.parse(text) for text in ("5", "9", "20", "0.5"))


@dataclass(frozen=True)
class Trial:
    """A method at one budget.

    Attributes:
        make: of a budget.
        keep: the budget.
        layers: of the language model.
        dtype: of the model.
    """

    make: Factory
    keep: Keep
    layers: int = DEPTHS[0]
    dtype: torch.dtype = torch.float64

    def __str__(self) -> str:
        return str(self.keep)

    @property
    def shape(self) -> Shape:
        return replace(SHAPE, text_layers=self.layers)

    @cached_property
    def llava(self) -> Any:
        return untrained_llava(self.shape).to(self.dtype)

    @cached_property
    def batch(self) -> Batch:
        return batch_of(self.shape, PROMPTS)

    def config(self, keep: Keep | None = None, **others: Any) -> HybridConfig:
        method = self.make(self.keep if keep is None else keep)
        return HybridConfig(method=(method,), **others)

    def model(self, keep: Keep | None = None, **others: Any) -> HybridLlava:
        return hybridize(self.llava, self.config(keep, **others))

    def prefilled(self, model: HybridLlava, given: Batch | None = None, steps: int = 1) -> State:
        """The batch, or `given`, read."""
        batch = given or self.batch
        inputs = model.place(batch.input_ids, batch.pixel_values, batch.attention_mask)
        return model.prefill(inputs, steps)


@dataclass(frozen=True)
class OnEmbedded(Trial):
    """The same on the embedded model: trained weights, questions with their images, a caption."""

    def __str__(self) -> str:
        return f"{self.keep} of the embedded model"

    @cached_property
    def shape(self) -> Shape:
        """As far as promises ask for it: patches, layers, and the image's placeholder."""
        config = self.llava.config
        side = config.vision_config.image_size // config.vision_config.patch_size
        return Shape(side=side, text_layers=self.layers, vocabulary=config.image_token_id + 1)

    @cached_property
    def llava(self) -> Any:
        return _embedded()[0].to(self.dtype)

    @cached_property
    def batch(self) -> Batch:
        return _embedded()[1]


def _embedded() -> tuple[Any, Batch]:
    profile = load_profile("tiny")
    checkpoint = load_checkpoint(profile)
    asked = load_task(profile.data_of("mmbench")).samples[:QUESTIONS]
    asked = [*asked, load_task(profile.data_of("coco")).samples[0]]
    encoded = Answerer(checkpoint, None).encode(
        [sample.prompt for sample in asked], [sample.image() for sample in asked]
    )
    return checkpoint.llava, Batch(**encoded)


def trials(make: Factory, keep: Keep | None, *, embedded: bool = True) -> list[Trial]:
    """At each budget that the method takes; at `keep` alone if one is asked for.

    `embedded` adds one on the embedded model, at the first of these that the method takes there.

    Raises:
        ConfigError: it takes none of them.
    """
    refused: list[str] = []
    for layers in DEPTHS:
        found, refused = [], []
        for budget in BUDGETS if keep is None else (keep,):
            trial = Trial(make, budget, layers)
            try:
                trial.model()
            except ConfigError as error:
                refused.append(str(error))
            else:
                found.append(trial)
        if found:
            return found + (_on_embedded(make, found) if embedded else [])
    raise ConfigError(refused[0])


def _on_embedded(make: Factory, found: list[Trial]) -> list[Trial]:
    for each in found:
        trial = OnEmbedded(make, each.keep)
        try:
            trial.model()
        except ConfigError:  # a layer that it does not have, or too few of 144 patches
            continue
        return [trial]
    return []


def apart(one: Tensor, other: Tensor) -> float:
    """The largest difference of two [B, V] logits, in units of what logits are: their deviation."""
    return float((one - other).abs().max() / other.std())


def one_by_one(given: Batch) -> list[Batch]:
    """The samples without their padding."""
    return [given.one(row) for row in range(len(given))]
