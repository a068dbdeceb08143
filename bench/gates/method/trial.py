"""What a method is tried on: a small untrained LLaVA in float64, and prompts that are padded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor

from bench.arms.models import Answerer, load_checkpoint
from bench.arms.profiles import load_profile
from bench.arms.untrained import Batch, Shape, batch_of, untrained_llava
from bench.cost.budget import Counted
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
# One, fewer and more than most stages divide by, and a share.
BUDGETS = tuple(Keep.parse(text) for text in ("1", "5", "9", "20", "0.5"))
# Thresholds of a tower that leaves some images fewer tokens than `MERGED` keeps, and some more.
MERGING, MERGED = (0.6, 0.5, 0.4, 1.0), Keep(count=7)

Rows = tuple[tuple[int, int], ...]
"""Of a batch, one after the other: whose text, and whose image."""


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
        return _untrained(self.layers, self.dtype)

    @cached_property
    def batch(self) -> Batch:
        return batch_of(self.shape, PROMPTS)

    def counted(self) -> Counted:
        """Counts budgets at the shape of the model, in half precision."""
        return _counted(self.layers)

    def orders(self) -> Iterator[tuple[Rows, Batch]]:
        """The batch in each rotation, so that each sample stands at each place; and with the
        longest text, the only one without padding, at both ends and everywhere."""
        samples = range(len(self.batch))
        longest = int(self.batch.attention_mask.sum(dim=1).argmax())
        inside = [place for place in samples if place != longest][: len(samples) - 2]
        texts = [[*samples[place:], *samples[:place]] for place in samples]
        for each in texts:
            yield self._of(each, each)
        yield self._of([longest, *inside, longest], samples)
        yield self._of([longest] * len(samples), samples)

    def _of(self, texts: Sequence[int], images: Sequence[int]) -> tuple[Rows, Batch]:
        ids, mask = self.batch.input_ids[[*texts]], self.batch.attention_mask[[*texts]]
        batch = Batch(ids, self.batch.pixel_values[[*images]], mask)
        return tuple(zip(texts, images, strict=True)), batch

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
        return _embedded(self.dtype)[0]

    @cached_property
    def batch(self) -> Batch:
        return _embedded(self.dtype)[1]

    def counted(self) -> Counted:
        return _counted_embedded()


@dataclass(frozen=True)
class BehindMerging(Trial):
    """The same behind a tower that merges, so that images come in different numbers of tokens."""

    def __str__(self) -> str:
        return f"{self.keep} behind merging"

    def config(self, keep: Keep | None = None, **others: Any) -> HybridConfig:
        return super().config(keep, thresholds=MERGING, **others)


@cache
def _untrained(layers: int, dtype: torch.dtype) -> Any:
    llava = untrained_llava(replace(SHAPE, text_layers=layers))
    return llava.to(dtype)


@cache
def _counted(layers: int) -> Counted:
    return Counted(replace(SHAPE, text_layers=layers).config(), torch.float16)


@cache
def _counted_embedded() -> Counted:
    return Counted(_embedded(torch.float64)[0].config, torch.float16)


@cache
def _embedded(dtype: torch.dtype) -> tuple[Any, Batch]:
    profile = load_profile("tiny")
    checkpoint = load_checkpoint(profile)
    asked = load_task(profile.data_of("mmbench")).samples[:QUESTIONS]
    asked = [*asked, load_task(profile.data_of("coco")).samples[0]]
    encoded = Answerer(checkpoint, None).encode(
        [sample.prompt for sample in asked], [sample.image() for sample in asked]
    )
    llava: Any = checkpoint.llava
    return llava.to(dtype), Batch(**encoded)


def trials(make: Factory, keeps: Sequence[Keep] = (), *, embedded: bool = True) -> list[Trial]:
    """At each of `keeps`, or of several budgets of 36 patches that the method takes.

    And once behind a tower that merges, where a method can stand there. `embedded` adds one on the
    embedded model, at the first of these budgets that the method takes there.

    Raises:
        ConfigError: it does not take one of `keeps`, or none of the several.
    """
    refused: list[str] = []
    for layers in DEPTHS:
        found, refused = [], []
        for trial in (Trial(make, budget, layers) for budget in keeps or BUDGETS):
            if refusal := _refusal(trial):
                refused.append(refusal)
            else:
                found.append(trial)
        if found and not (keeps and refused):
            # There may be a layer that the embedded model does not have, or too few of 144 patches.
            there = [OnEmbedded(make, each.keep) for each in found if embedded]
            taken = [trial for trial in there if not _refusal(trial)][:1]
            merged = BehindMerging(make, MERGED, layers)
            return [*found, *taken, *([] if _refusal(merged) else [merged])]
    raise ConfigError(refused[0])


def _refusal(trial: Trial) -> str:
    """Why the method can't be had so; empty if it can."""
    try:
        trial.model()
    except ConfigError as error:
        return str(error)
    return ""


def apart(one: Tensor, other: Tensor) -> float:
    """The largest difference of two [B, V] logits, in units of what logits are: their deviation."""
    return float((one - other).abs().max() / other.std())
