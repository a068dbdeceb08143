"""The tower stops where `vision_feature_layer` says, counted as transformers counts."""

from typing import Any

import pytest
import torch

from hybrid import ConfigError, HybridConfig, hybridize
from hybrid.reference import Oracle
from tests.llavas import VISION_BLOCKS, batch, in_turns, random_llava

LAYERS = pytest.mark.parametrize("layer", range(-VISION_BLOCKS - 1, VISION_BLOCKS + 1))


def llava_that_reads(layer: Any) -> Any:
    llava = random_llava()
    llava.config.vision_feature_layer = layer
    return llava


@LAYERS
def test_features_and_logits_are_transformers_of_that_layer(layer: int) -> None:
    llava, given = llava_that_reads(layer), batch(4, in_turns(layer + VISION_BLOCKS + 1))
    model = hybridize(llava, HybridConfig())
    with torch.inference_mode():
        states = llava.model.vision_tower(given.pixel_values, output_hidden_states=True)
        ours = model.vision(given.pixel_values).features
        theirs = states.hidden_states[layer][:, 1:]
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
        if layer == 0:  # transformers' LLaVA itself fails there, its tower does not
            return
        positions = (given.attention_mask.cumsum(1) - 1).clamp(min=0)
        logits = llava(**vars(given), position_ids=positions).logits[:, -1]
    state = model.prefill(model.place(**vars(given)), 1)
    torch.testing.assert_close(state.logits, logits, rtol=1e-4, atol=1e-4)
    assert len(model.vision.blocks) == layer % (VISION_BLOCKS + 1)


@LAYERS
def test_blocks_merge_up_to_that_layer_as_the_oracle_s_do(layer: int) -> None:
    llava, given = llava_that_reads(layer), batch(1)
    config = HybridConfig(thresholds=(0.6, 0.5, 0.4, 0.3))
    with torch.inference_mode():
        ours = hybridize(llava, config).vision(given.pixel_values)
        theirs = Oracle(llava, config, torch.float64).see(given.pixel_values[0]).tokens
    assert ours.position[ours.valid].tolist() == [token.patches[0] for token in theirs]
    expected = torch.stack([token.feature for token in theirs]).float()
    torch.testing.assert_close(ours.features[ours.valid], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("vision_feature_layer", [-2]),
        ("vision_feature_layer", [-2, -1]),
        ("vision_feature_select_strategy", "full"),
    ],
)
def test_what_transformers_would_read_otherwise_is_refused(setting: str, value: Any) -> None:
    llava = random_llava()
    setattr(llava.config, setting, value)
    with pytest.raises(ConfigError, match=setting):
        hybridize(llava, HybridConfig())


@pytest.mark.parametrize("layer", [VISION_BLOCKS + 1, 99, -VISION_BLOCKS - 2, -99])
def test_a_layer_that_the_tower_does_not_have_is_refused(layer: int) -> None:
    llava = llava_that_reads(layer)
    with pytest.raises(ConfigError, match=rf"vision_feature_layer={layer} .*: -5 to 4$"):
        hybridize(llava, HybridConfig())
