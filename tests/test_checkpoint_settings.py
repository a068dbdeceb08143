"""What a checkpoint's files may not say: one line that names file and setting."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bench.arms.models import demand_aggregation_layer, load_checkpoint
from bench.arms.profiles import load_profile
from bench.arms.random_weights import random_model
from bench.base.errors import UserError
from hybrid import ConfigError, HybridConfig, hybridize
from tests.checkpoints import FIXTURE, Weights, copy_of_fixture, loaded, profile_on, set_in
from tests.llavas import random_llava


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"text_config__hidden_size": "128"}, "text_config.hidden_size is 128"),
        ({"text_config__hidden_size": -128}, "text_config.hidden_size is -128"),
        ({"text_config__num_hidden_layers": 10**9}, "text_config.num_hidden_layers"),
        ({"text_config__num_key_value_heads": 3}, "num_key_value_heads 3"),
        ({"text_config__rms_norm_eps": -1.0}, "text_config.rms_norm_eps"),
        ({"text_config__hidden_act": "swoosh"}, "text_config.hidden_act is swoosh"),
        ({"text_config__rope_parameters__rope_theta": -1.0}, "rope_theta is -1.0"),
        ({"text_config__vocab_size": 4}, "image_token_index 4 is not in a vocabulary of 4"),
        ({"text_config": []}, "text_config"),
        ({"vision_config__num_attention_heads": 5}, "96 does not divide into 5"),
        ({"vision_config__patch_size": 0}, "vision_config.patch_size is 0"),
        ({"vision_config__image_size": 7}, "image_size 7"),
        ({"vision_feature_layer": 9}, "vision_feature_layer 9 is not one of a tower of 4"),
        ({"vision_feature_layer": -6}, "vision_feature_layer -6"),
        ({"vision_feature_layer": "last"}, "vision_feature_layer"),
        ({"dtype": "float99"}, "dtype is float99"),
        ({"dtype": "nn"}, "dtype is nn"),
        ({"image_token_index": True}, "image_token_index is True"),
    ],
    ids=str,
)
def test_an_impossible_setting_is_named(
    settings: dict[str, Any], named: str, tmp_path: Path
) -> None:
    folder = copy_of_fixture(tmp_path / "model")
    set_in(folder / "config.json", **settings)
    with pytest.raises(UserError) as raised:
        loaded(folder)
    assert str(raised.value).startswith(f"{folder}/config.json: ")
    assert named in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe{}", b"[]", b"[" * 100_000], ids=range(4))
def test_a_config_that_is_no_json_object_is_one_line(content: bytes, tmp_path: Path) -> None:
    folder = copy_of_fixture(tmp_path / "model")
    (folder / "config.json").write_bytes(content)
    with pytest.raises(UserError, match=r"config\.json") as raised:
        loaded(folder)
    assert "\n" not in str(raised.value)


def test_weights_without_a_place_are_named(tmp_path: Path) -> None:
    """A model with a layer less answers worse, and as fast as one should."""
    folder = copy_of_fixture(tmp_path / "model")
    set_in(folder / "config.json", text_config__num_hidden_layers=4)
    with pytest.raises(UserError, match=r"layers\.4\..* and 6 more"):
        loaded(folder)


def test_what_old_checkpoints_hold_beside_their_weights_is_none(tmp_path: Path) -> None:
    def older(weights: Weights) -> Weights:
        name = "language_model.model.layers.0.self_attn.rotary_emb.inv_freq"
        return {**weights, name: torch.ones(16)}

    loaded(copy_of_fixture(tmp_path / "model", older))


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    folder = copy_of_fixture(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    torch.save({name: weight + 1 for name, weight in weights.items()}, folder / "pytorch_model.bin")
    beside = loaded(folder).llava.state_dict()
    alone = loaded(FIXTURE / "model").llava.state_dict()
    assert all(torch.equal(beside[name], weight) for name, weight in alone.items())
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"holds only pytorch_model\.bin.*: convert it"):
        loaded(folder)


@pytest.mark.parametrize(
    "name", ["patch_size", "vision_feature_select_strategy", "num_additional_image_tokens"]
)
def test_what_a_processor_leaves_out_follows_from_the_model(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_of_fixture(tmp_path / "model")
    set_in(folder / "processor_config.json", **{name: None})
    processor: Any = loaded(folder).processor
    assert getattr(processor, name) == getattr(loaded(FIXTURE / "model").processor, name)
    assert f"{folder}/processor_config.json does not say {name}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("patch_size", 7),
        ("vision_feature_select_strategy", "full"),
        ("num_additional_image_tokens", 2),
    ],
)
def test_a_processor_that_contradicts_the_model_is_refused(
    name: str, value: Any, tmp_path: Path
) -> None:
    folder = copy_of_fixture(tmp_path / "model")
    set_in(folder / "processor_config.json", **{name: value})
    with pytest.raises(UserError, match=rf"processor_config\.json: {name} is {value!r}"):
        loaded(folder)


@pytest.mark.parametrize("layer", [4, 5, 99])
def test_an_aggregation_layer_with_none_behind_it_is_found_before_weights(layer: int) -> None:
    """Before dense has answered everything, too."""
    profile = profile_on(FIXTURE / "model", threads=1)
    wrong = replace(profile, reduction=replace(profile.reduction, aggregation_layer=layer))
    with pytest.raises(UserError, match=rf"aggregation_layer is {layer}, .* 5 allows 0 to 3$"):
        load_checkpoint(wrong)
    with pytest.raises(UserError, match="allows 0 to 3"):
        random_model(wrong)


def test_of_a_single_layer_nothing_is_pruned() -> None:
    profile = load_profile("tiny")

    def of_one(keep: str, layer: int) -> None:
        reduction = replace(profile.reduction, keep=keep, aggregation_layer=layer)
        demand_aggregation_layer(replace(profile, reduction=reduction), 1)

    of_one("none", 0)
    with pytest.raises(UserError, match=r'one layer has none to prune: set keep = "none"'):
        of_one("18", 0)
    with pytest.raises(UserError, match="this language model of 1 allows 0 to 0"):
        of_one("none", 1)
    hybridize(random_llava(layers=1), HybridConfig())
    with pytest.raises(ConfigError, match=r"keep=5 .* has only one: keep must be none"):
        hybridize(random_llava(layers=1), HybridConfig(keep=5, aggregation_layer=0))


@pytest.mark.parametrize("layer", ["1", 1.5, None])
def test_an_aggregation_layer_is_a_whole_number(layer: Any) -> None:
    with pytest.raises(ConfigError, match="must be a whole number from 0"):
        HybridConfig(keep=5, aggregation_layer=layer)
