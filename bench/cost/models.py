"""The models whose costs are recorded, at their true shape."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch

from bench.arms.random_prompts import IMAGE, WORDS, Size, seen
from bench.arms.untrained import config_7b, config_next_7b, config_qwen_3b, config_qwen_7b
from bench.base.errors import UserError
from hybrid import HybridConfig, Keep
from hybrid.families import family_type
from hybrid.merging import THRESHOLDS_72OUT
from hybrid.methods import METHODS

BATCHES = (1, 8)
# Of the hybrid's tower: as many fewer a block as 72out merges of an image on average.
SCHEDULE = tuple(576 - 21 * (block + 1) for block in range(24))
BUDGETS = {"pyramiddrop": "0.5"}
KEEP = "64"  # of the other methods; all papers have it


def recorded_keep(method: str) -> Keep:
    """The budget of a shipped method's record; of others, what these mostly have."""
    return Keep.parse(BUDGETS.get(method, KEEP))


ARMS: dict[str, HybridConfig | None] = {
    "dense": None,  # transformers as it ships
    "off": HybridConfig(),
    "dymu": HybridConfig(thresholds=THRESHOLDS_72OUT, capacity=256),
    "fastv": HybridConfig(keep=36),
    "hybrid": HybridConfig(keep=36, thresholds=THRESHOLDS_72OUT, capacity=256),
    "scheduled": HybridConfig(keep=36, thresholds=THRESHOLDS_72OUT, schedule=SCHEDULE),
    **{name: HybridConfig(method=(make(recorded_keep(name)),)) for name, make in METHODS.items()},
}
CASES = tuple(
    (arm, batch)
    for arm in ARMS
    # Once, at the larger size, where a loop over samples is launches; the first arms at both.
    for batch in (BATCHES[-1:] if arm in METHODS or arm == "scheduled" else BATCHES)
)
"""What is counted of LLaVA-1.5: arm and batch size."""
# Of the others: nothing reduced, and what they can all run, by kinds of what it ranks by.
FEWER = (
    *("dense", "off", "fastv", "divprune", "visionzip", "pyramiddrop", "dart", "random-tokens"),
)


@dataclass(frozen=True)
class Model:
    """One whose costs are recorded.

    Attributes:
        name: of its record, and of its profile.
        title: as people call it.
        config: transformers' configuration.
        image: pixels, high and wide, where that says how many tokens an image has; else None.
        cases: arm and batch size.
    """

    name: str
    title: str
    config: Callable[[], Any]
    image: Size | None = IMAGE
    cases: tuple[tuple[str, int], ...] = tuple((arm, 1) for arm in FEWER)

    @cached_property
    def patches(self) -> int:
        """Placeholders of its image."""
        return seen(self.config(), self.image or IMAGE).placeholders

    @property
    def arms(self) -> tuple[str, ...]:
        """That have a record."""
        return tuple(dict.fromkeys(arm for arm, _ in self.cases))

    @property
    def batches(self) -> tuple[int, ...]:
        """Batch sizes that are counted."""
        return tuple(sorted({batch for _, batch in self.cases}))

    @property
    def says(self) -> str:
        """In words, with what it reads."""
        image = "" if self.image is None else f", an image of {self.image[0]} x {self.image[1]}"
        return f"{self.title}{image}, {WORDS + self.patches} prompt tokens"


LLAVA = Model("llava-1.5-7b", "LLaVA-1.5-7B", config_7b, None, CASES)
MODELS = (
    LLAVA,
    Model("llava-next-7b", "LLaVA-NeXT-7B", config_next_7b),
    Model("qwen2.5-vl-7b", "Qwen2.5-VL-7B", config_qwen_7b),
    Model("qwen2.5-vl-3b", "Qwen2.5-VL-3B", config_qwen_3b),
)
TOKENS = WORDS + 576  # of a prompt of LLaVA-1.5


def model_of(name: str) -> Model:
    """Raises UserError, with all names, if there is none of that name."""
    for model in MODELS:
        if model.name == name:
            return model
    raise UserError(f"--model {name}: choose one of {', '.join(model.name for model in MODELS)}")


@cache
def empty(config: Callable[[], Any]) -> Any:
    """transformers' model in half precision, without memory: every tensor is on `meta`."""
    return without_memory(config()).half()


def without_memory(config: Any) -> Any:
    """The same of any configuration, in float32."""
    with torch.device("meta"):
        made: Any = family_type(config.model_type).model_class(config)
    return made.eval()
