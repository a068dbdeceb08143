"""What Qwen3-VL adds behind its first layers is chosen, merged and cut with its tokens."""

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from hybrid import HybridConfig, HybridLlava, Keep, hybridize
from hybrid.methods import METHODS
from hybrid.stages import HandOverStage
from tests.families import FAMILIES, IMAGE, Batch, apart, ours

EXACT = 1e-10  # of the logits' deviation, in float64
ROUNDED = 1e-3  # the same where transformers' own norm rounds to float32 in each layer
SOLVED = 1e-6  # of the features' deviation, behind least squares
KIND = FAMILIES["qwen3_vl"]
HAND_OVER = [m for m in METHODS if isinstance(METHODS[m](Keep(count=7)), HandOverStage)]
LAYER = pytest.mark.parametrize("layer", [1, 2, 3, 4])


@cache
def llava() -> Any:
    return KIND.make(5)


def pruned(layer: int, keep: str, **others: Any) -> HybridLlava:
    config = HybridConfig(keep=keep, aggregation_layer=layer - 1, **others)
    return hybridize(llava(), config)


def seen(given: Batch) -> list[Tensor]:
    """What transformers' tower gives of an image: [n, D], and what is added, [n, D] each."""
    out = llava().model.get_image_features(
        given["pixel_values"], given["image_grid_thw"], return_dict=True
    )
    return [out.pooler_output[0], *(level[0] for level in out.deepstack_features)]


@LAYER
def test_what_is_dropped_is_as_hidden_whatever_is_still_to_be_added(layer: int) -> None:
    given = KIND.batch(KIND.prompts, None)
    state, dropped = ours(pruned(layer, "7"), given, 3)
    _, hidden = ours(pruned(layer, "7", prune="mask"), given, 3)
    assert len(state.spans[1].layers) == 5 - layer
    assert apart(hidden, dropped) <= EXACT


@LAYER
def test_nothing_is_added_twice_where_a_stage_stands_between(layer: int) -> None:
    given = KIND.batch(KIND.prompts, None)
    _, off = ours(hybridize(llava(), HybridConfig()), given, 3)
    state, found = ours(pruned(layer, "500"), given, 3)
    assert len(state.trace.cuts) == 1 and apart(found, off) <= EXACT


@torch.inference_mode()
@pytest.mark.parametrize("method", HAND_OVER)
def test_what_is_handed_on_is_added_in_transformers_own_layers(method: str) -> None:
    """The reduced prompt through its language model, which takes what to add, and where."""
    given = KIND.batch(KIND.prompts, [0])
    model = hybridize(llava(), HybridConfig(method=(METHODS[method](Keep(count=7)),)))
    state, found = ours(model, given, 1)
    visual, places = state.trace.visual, state.trace.layout
    assert bool(visual.valid.all()) and visual.valid.shape[1] < 24
    own, *levels = visual.features[0].chunk(4, dim=-1)
    tower_own, *tower_levels = seen(given)
    # Of which tokens each is made: a row of a one for what was chosen.
    parts = torch.linalg.lstsq(tower_own.T, own.T).solution.T  # [K, 24]
    for made, level in zip((own, *levels), (tower_own, *tower_levels), strict=True):
        assert apart(parts @ level, made) <= SOLVED
    inner = llava().model.language_model
    ids = given["input_ids"].masked_fill(given["input_ids"] == IMAGE, 0)
    hidden = inner.embed_tokens(ids).gather(1, places.source[..., None].expand(-1, -1, 48))
    hidden[places.is_visual] = own
    read = inner(
        inputs_embeds=hidden,
        position_ids=state.trace.position_ids,
        attention_mask=torch.ones_like(places.source),
        visual_pos_masks=places.is_visual,
        deepstack_visual_embeds=levels,
    )
    expected = llava().lm_head(read.last_hidden_state[:, -1:])
    assert apart(found, expected) <= ROUNDED
