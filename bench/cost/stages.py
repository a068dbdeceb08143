"""Vision, prefill and one decode step of LLaVA-1.5-7B at its true shape, counted on `meta`."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from bench.cost.count import Cost, counting
from hybrid import HybridConfig, HybridLlava
from hybrid.inputs import Inputs
from hybrid.merging import THRESHOLDS_72OUT

BATCHES = (1, 8)
TOKENS = 640  # of an MMBench prompt: 64 of text and 576 of its image
PATCHES = 576
NEW_TOKENS = 64

ARMS: dict[str, HybridConfig | None] = {
    "dense": None,  # transformers as it ships
    "off": HybridConfig(),
    "dymu": HybridConfig(thresholds=THRESHOLDS_72OUT, capacity=256),
    "fastv": HybridConfig(keep=36),
    "hybrid": HybridConfig(keep=36, thresholds=THRESHOLDS_72OUT, capacity=256),
}


@cache
def _llava() -> Any:
    """LLaVA-1.5-7B in half precision, without memory: every tensor is on `meta`."""
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            image_size=336,
            patch_size=14,
            hidden_size=1024,
            intermediate_size=4096,
            num_hidden_layers=24,
            num_attention_heads=16,
        ),
        text_config=LlamaConfig(vocab_size=32064),  # Llama's other defaults are the 7B's
        image_token_index=32000,
        image_seq_length=PATCHES,
    )
    with torch.device("meta"):
        llava: Any = LlavaForConditionalGeneration(config)
    return llava.half().eval()


def cost_of(arm: str, batch: int) -> dict[str, Cost]:
    """Costs of `vision` (with projector), `prefill` (vision included) and one `decode` step."""
    config = ARMS[arm]
    with torch.inference_mode():
        stages = _dense(batch) if config is None else _hybrid(config, batch)
        costs = {}
        for name, work in stages.items():  # in this order: decode needs what prefill leaves
            with counting() as cost:
                work()
            costs[name] = cost
    return costs


def _inputs(batch: int) -> Inputs:
    ids = torch.empty(batch, TOKENS, dtype=torch.long, device="meta")
    pixels = torch.empty(batch, 3, 336, 336, dtype=torch.half, device="meta")
    return Inputs(ids, pixels, torch.empty_like(ids), padded=False)


def _hybrid(config: HybridConfig, batch: int) -> dict[str, Callable[[], None]]:
    model, inputs = HybridLlava(_llava(), config), _inputs(batch)
    left: list[Any] = []
    return {
        "vision": lambda: model.projector(model.vision(inputs.pixel_values).features),
        "prefill": lambda: left.append(model.prefill(inputs, NEW_TOKENS)),
        "decode": lambda: (model.select(left[0]), model.decode(left[0]))[-1],
    }


def _dense(batch: int) -> dict[str, Callable[[], None]]:
    """transformers' own modules; its `generate` reads values, which `meta` does not have."""
    llava, inputs = _llava(), _inputs(batch)
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

    return {"vision": vision, "prefill": prefill, "decode": decode}
