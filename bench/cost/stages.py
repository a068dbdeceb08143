"""Vision, prefill and one decode step of LLaVA-1.5-7B at its true shape, counted on `meta`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration

from bench.arms.untrained import config_7b
from bench.cost.count import Cost, counting
from hybrid import HybridConfig, HybridLlava, Keep
from hybrid.inputs import Inputs
from hybrid.merging import THRESHOLDS_72OUT
from hybrid.methods import METHODS
from hybrid.state import State

BATCHES = (1, 8)
WORDS = 64  # of an MMBench prompt, beside its image
TOKENS = WORDS + 576
NEW_TOKENS = 64
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
"""What is counted: arm and batch size."""


@cache
def _llava() -> Any:
    """LLaVA-1.5-7B in half precision, without memory: every tensor is on `meta`."""
    with torch.device("meta"):
        llava: Any = LlavaForConditionalGeneration(config_7b())
    return llava.half().eval()


@dataclass(frozen=True)
class Stages:
    """Name -> what to run, in order: decode needs what prefill leaves. cache: filled so far."""

    run: Mapping[str, Callable[[], object]]
    cache: Callable[[], list[Tensor]]


def cost_of(arm: str, batch: int) -> dict[str, Cost]:
    """Costs of `vision` (with projector), `prefill` (vision included) and one `decode` step."""
    return config_cost(ARMS[arm], batch)


def config_cost(config: HybridConfig | None, batch: int) -> dict[str, Cost]:
    """The same of a configuration; None is transformers as it ships."""
    llava = _llava()
    return costs_of(llava, stages_of(llava, config, inputs_of(llava, batch)))


def stages_of(llava: Any, config: HybridConfig | None, inputs: Inputs) -> Stages:
    """The stages of a hybrid, or of transformers' own model for None."""
    return _dense(llava, inputs) if config is None else _hybrid(HybridLlava(llava, config), inputs)


def costs_of(llava: Any, stages: Stages) -> dict[str, Cost]:
    """Run the stages, one after the other, and count each."""
    costs = {}
    with torch.inference_mode():
        for name, work in stages.run.items():
            with counting(llava.parameters(), stages.cache) as cost:
                work()
            costs[name] = cost
    return costs


def inputs_of(llava: Any, batch: int) -> Inputs:
    """Prompts of 64 words and an image, on `meta` as the model is."""
    vision = llava.config.vision_config
    patches = (vision.image_size // vision.patch_size) ** 2
    ids = torch.empty(batch, WORDS + patches, dtype=torch.long, device="meta")
    size = (batch, 3, vision.image_size, vision.image_size)
    pixels = torch.empty(size, dtype=llava.dtype, device="meta")
    return HybridLlava(llava, HybridConfig()).place(ids, pixels)


def _hybrid(model: HybridLlava, inputs: Inputs) -> Stages:
    left: list[State] = []

    def step() -> None:
        model.select(left[0])
        model.decode(left[0])

    def cache() -> list[Tensor]:
        return left[0].cache.buffers() if left else []

    stages = {
        "vision": lambda: model.projector(model.vision(inputs.pixel_values).features),
        "prefill": lambda: left.append(model.prefill(inputs, NEW_TOKENS)),
        "decode": step,
    }
    return Stages(stages, cache)


def _dense(llava: Any, inputs: Inputs) -> Stages:
    """transformers' own modules; its `generate` reads values, which `meta` does not have."""
    language: Any = llava.model.language_model
    left: list[Any] = []

    def vision() -> Any:
        tower = llava.model.vision_tower(inputs.pixel_values, output_hidden_states=True)
        return llava.model.multi_modal_projector(tower.hidden_states[-2][:, 1:])

    def prefill() -> None:
        text = language.embed_tokens(inputs.input_ids)
        is_image = (inputs.input_ids == llava.config.image_token_id)[..., None]
        embeddings = text.masked_scatter(is_image, vision())
        out = language(inputs_embeds=embeddings, use_cache=True)
        left.append(out.past_key_values)
        llava.lm_head(out.last_hidden_state[:, -1])

    def decode() -> None:
        token = inputs.input_ids[:, :1]
        out = language(input_ids=token, past_key_values=left[0], use_cache=True)
        llava.lm_head(out.last_hidden_state[:, -1]).argmax(dim=-1)

    def cache() -> list[Tensor]:
        layers = left[0].layers if left else []
        return [tensor for layer in layers for tensor in (layer.keys, layer.values)]

    return Stages({"vision": vision, "prefill": prefill, "decode": decode}, cache)
