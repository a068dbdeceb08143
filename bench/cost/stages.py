"""Vision, prefill and one decode step of a model, counted; of recorded ones on `meta`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import vision_utils

from bench.arms.random_prompts import random_prompts
from bench.cost.count import Cost, counting
from bench.cost.models import ARMS, LLAVA, Model, empty
from hybrid import HybridConfig, HybridLlava
from hybrid.inputs import Inputs
from hybrid.state import State

NEW_TOKENS = 64


@dataclass(frozen=True)
class Stages:
    """Name -> what to run, in order: decode needs what prefill leaves. cache: filled so far."""

    run: Mapping[str, Callable[[], object]]
    cache: Callable[[], list[Tensor]]


def cost_of(arm: str, batch: int, model: Model = LLAVA) -> dict[str, Cost]:
    """Costs of `vision` (with projector), `prefill` (vision included) and one `decode` step."""
    return config_cost(ARMS[arm], batch, model)


def config_cost(config: HybridConfig | None, batch: int, model: Model = LLAVA) -> dict[str, Cost]:
    """The same of a configuration; None is transformers as it ships."""
    llava = empty(model.config)
    given = random_prompts(llava.config, batch, image=model.image)
    return costs_of(llava, stages_of(llava, config, given))


def stages_of(llava: Any, config: HybridConfig | None, given: Mapping[str, Tensor]) -> Stages:
    """The stages of a hybrid, or of transformers' own model for None.

    Args:
        given: what `HybridLlava.place` takes, with one size of prompts if there is no config.
    """
    model = HybridLlava(llava, config or HybridConfig())
    inputs = model.place(**given)
    return _dense(llava, inputs, _sizes(llava, given)) if config is None else _hybrid(model, inputs)


def costs_of(llava: Any, stages: Stages) -> dict[str, Cost]:
    """Run the stages, one after the other, and count each."""
    costs = {}
    with torch.inference_mode():
        for name, work in stages.run.items():
            with counting(llava.parameters(), stages.cache) as cost:
                work()
            costs[name] = cost
    return costs


def _hybrid(model: HybridLlava, inputs: Inputs) -> Stages:
    left: list[State] = []

    def step() -> None:
        model.select(left[0])
        model.decode(left[0])

    def cache() -> list[Tensor]:
        return left[0].cache.buffers() if left else []

    stages = {
        "vision": lambda: model.family.project(model.family.look(inputs).visual.features),
        "prefill": lambda: left.append(model.prefill(inputs, NEW_TOKENS)),
        "decode": step,
    }
    return Stages(stages, cache)


def _dense(llava: Any, inputs: Inputs, sizes: Mapping[str, Tensor]) -> Stages:
    """transformers' own modules; its `generate` reads values, which `meta` does not have.

    So does what adds Qwen3-VL's DeepStack features to hidden states: it is left out, and has no
    FLOPs.
    """
    language: Any = llava.model.language_model
    left: list[Any] = []

    def vision() -> Tensor:
        seen = llava.model.get_image_features(inputs.pixel_values, return_dict=True, **sizes)
        return torch.cat(seen.pooler_output)

    def positions(of: slice, later: int = 0) -> dict[str, Tensor]:
        """What a language model counts itself on one axis, it is told on three."""
        ids = inputs.position_ids
        return {} if ids.ndim == 2 else {"position_ids": ids[..., of] + later}

    def prefill() -> None:
        text = language.embed_tokens(inputs.input_ids)
        is_image = (inputs.input_ids == llava.config.image_token_id)[..., None]
        embeddings = text.masked_scatter(is_image, vision())
        out = language(inputs_embeds=embeddings, use_cache=True, **positions(slice(None)))
        left.append(out.past_key_values)
        llava.lm_head(out.last_hidden_state[:, -1])

    def decode() -> None:
        token = inputs.input_ids[:, :1]
        told = positions(slice(-1, None), later=1)
        out = language(input_ids=token, past_key_values=left[0], use_cache=True, **told)
        llava.lm_head(out.last_hidden_state[:, -1]).argmax(dim=-1)

    def cache() -> list[Tensor]:
        layers = left[0].layers if left else []
        return [tensor for layer in layers for tensor in (layer.keys, layer.values)]

    return Stages({"vision": vision, "prefill": prefill, "decode": decode}, cache)


def _sizes(llava: Any, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What transformers' tower is told beside pixels; what it reads values of stays on the host.

    Qwen-VL's finds in each call where patches and windows stand. Here it is told, so that neither
    these operators nor their waits count.
    """
    told = {key: given[key] for key in ("image_sizes", "image_grid_thw") if key in given}
    if "image_grid_thw" not in told:
        return told
    grid, tower, utils = told["image_grid_thw"], llava.model.visual, vision_utils
    merge = tower.spatial_merge_size
    told["position_ids"] = utils.get_vision_position_ids(grid, merge).to(llava.device)
    told["cu_seqlens"] = utils.get_vision_cu_seqlens(grid)
    if hasattr(tower, "window_size"):
        told["window_index"], told["cu_window_seqlens"] = utils.get_vision_window_index(
            grid, merge, tower.window_size, tower.patch_size
        )
    else:
        taps = utils.get_vision_interpolation_indices_and_weights(
            grid,
            num_grid_per_side=tower.num_grid_per_side,
            mode=tower.interpolation_mode,
            align_corners=tower.interpolation_align_corners,
            spatial_merge_size=merge,
        )
        told["interp_indices"], told["interp_weights"] = (tap.to(llava.device) for tap in taps)
    return told
