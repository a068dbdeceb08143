"""Checkpoints as they lie on disks: the hub's own layout, and what may be wrong with one."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlavaProcessor

from bench.arms.models import Checkpoint, load_checkpoint
from bench.arms.profiles import load_profile
from bench.base.errors import UserError
from bench.fixture import dataset
from hybrid import ConfigError, HybridConfig, HybridLlava
from hybrid.calibrate.towers import TowerSource
from hybrid.checkpoint import load_model

FIXTURE = Path(dataset.__file__).parent
Weights = dict[str, Tensor]


def copy_of_fixture(folder: Path, change: Callable[[Weights], Weights]) -> Path:
    shutil.copytree(FIXTURE / "model", folder)
    weights = load_file(folder / "model.safetensors")
    save_file(change(weights), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def without(name: str) -> Callable[[Weights], Weights]:
    return lambda weights: {key: w for key, w in weights.items() if name not in key}


def loaded(folder: Path) -> Checkpoint:
    profile = load_profile("tiny")
    return load_checkpoint(replace(profile, model=replace(profile.model, checkpoint=str(folder))))


def test_the_hubs_own_layout_is_read_whole(tmp_path: Path) -> None:
    """As llava-hf/llava-1.5-7b-hf lies there: its names, shards with an index, a preprocessor."""

    def named(weights: Weights) -> Weights:
        tower = "vision_tower."
        return {
            f"{tower}vision_model.{name.removeprefix(tower)}" if name.startswith(tower) else name: w
            for name, w in weights.items()
        }

    folder = copy_of_fixture(tmp_path / "model", named)
    weights = load_file(folder / "model.safetensors")
    assert {name.split(".")[0] for name in weights} == {
        "language_model",
        "multi_modal_projector",
        "vision_tower",
    }
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    shards = {f"model-0000{i + 1}-of-00003.safetensors": names[i::3] for i in range(3)}
    for file, held in shards.items():
        save_file({name: weights[name] for name in held}, folder / file, metadata={"format": "pt"})
    index = {
        "metadata": {"total_size": sum(w.nbytes for w in weights.values())},
        "weight_map": {name: file for file, held in shards.items() for name in held},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    processor = json.loads((folder / "processor_config.json").read_text())
    images = processor.pop("image_processor")
    (folder / "preprocessor_config.json").write_text(json.dumps(images))
    (folder / "processor_config.json").write_text(json.dumps(processor))

    theirs, ours = loaded(folder), loaded(FIXTURE / "model")
    assert all(
        torch.equal(*pair)
        for pair in zip(theirs.llava.parameters(), ours.llava.parameters(), strict=True)
    )
    assert theirs.processor.image_processor.image_mean == ours.processor.image_processor.image_mean


@pytest.mark.parametrize("name", ["lm_head", "vision_tower.embeddings.class_embedding"])
def test_a_weight_that_is_not_there_is_an_error_and_not_a_random_one(
    tmp_path: Path, name: str
) -> None:
    folder = copy_of_fixture(tmp_path / "model", without(name))
    with pytest.raises(ConfigError, match=f"it lacks the weight .*{name}"):
        HybridLlava.from_pretrained(folder, HybridConfig())
    with pytest.raises(UserError, match=f"lacks the weight .*{name}"):
        loaded(folder)


def test_of_many_missing_weights_one_is_named_and_the_others_are_counted(tmp_path: Path) -> None:
    folder = copy_of_fixture(tmp_path / "model", without("multi_modal_projector"))
    with pytest.raises(ConfigError, match=r"linear_1\.bias and 3 more$"):
        load_model(folder, torch.float32)


def test_weights_of_another_shape_are_one_line(tmp_path: Path) -> None:
    def wider(weights: Weights) -> Weights:
        head = "language_model.lm_head.weight"
        return {**weights, head: weights[head].repeat(2, 1)}

    folder = copy_of_fixture(tmp_path / "model", wider)
    with pytest.raises(ConfigError, match="cannot load the checkpoint") as raised:
        load_model(folder, torch.float32)
    assert "\n" not in str(raised.value)


def cut_short(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100_000])


def without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def without_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (cut_short, "cannot load the checkpoint"),
        (without_weights, "cannot load the checkpoint"),
        (without_tokenizer, "cannot load the processor"),
    ],
)
def test_damage_is_one_line(tmp_path: Path, damage: Callable[[Path], None], named: str) -> None:
    folder = copy_of_fixture(tmp_path / "model", dict)
    damage(folder)
    with pytest.raises(UserError, match=named) as raised:
        loaded(folder)
    assert "\n" not in str(raised.value)


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A repository in a Hugging Face cache, and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("went to the network"))
    repository = tmp_path / "models--somebody--llava"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    copy_of_fixture(repository / "snapshots" / COMMIT, dict)
    return "somebody/llava"


def test_a_cached_repository_is_loaded_without_a_network_and_known_by_its_commit(
    cached: str,
) -> None:
    theirs, ours = loaded(Path(cached)), loaded(FIXTURE / "model")
    assert theirs.weights_hash == f"hub:{COMMIT}"
    assert theirs.processor_hash == ours.processor_hash
    assert torch.equal(theirs.llava.lm_head.weight, ours.llava.lm_head.weight)


def test_a_repository_that_is_not_cached_is_one_line(cached: str) -> None:
    with pytest.raises(UserError, match="cannot load the checkpoint nobody/llava") as raised:
        loaded(Path("nobody/llava"))
    assert "\n" not in str(raised.value)


def test_pixels_are_pillows_with_and_without_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its resizing differs by up to two grey levels, and is the default where it is installed."""
    asked: list[object] = []
    original: Any = LlavaProcessor.from_pretrained

    def recorded(path: str, **options: object) -> object:
        asked.append(options.get("backend"))
        return original(path, **options)

    monkeypatch.setattr(LlavaProcessor, "from_pretrained", recorded)
    processor = loaded(FIXTURE / "model").processor
    source = TowerSource.load(str(FIXTURE / "model"), torch.float32, "cpu")
    assert asked == ["pil", "pil"]
    for images in (processor.image_processor, source.processor):
        assert type(images).__name__ == "CLIPImageProcessorPil"


def test_a_weight_without_a_place_is_an_error_in_python_too(tmp_path: Path) -> None:
    def more(weights: Weights) -> Weights:
        return {
            **weights,
            "language_model.model.layers.5.mlp.up_proj.weight": torch.zeros(384, 128),
        }

    folder = copy_of_fixture(tmp_path / "model", more)
    with pytest.raises(ConfigError, match=r"no place for the weight .*layers\.5\.mlp\.up_proj"):
        HybridLlava.from_pretrained(folder, HybridConfig())


@pytest.mark.parametrize(
    "shape", [(1, 3, 336, 336), (1, 3, 168, 84), (1, 1, 168, 168), (3, 168, 168)]
)
def test_pixels_of_another_size_are_named_by_it(shape: tuple[int, ...]) -> None:
    model = HybridLlava.from_pretrained(FIXTURE / "model", HybridConfig())
    ids = torch.tensor([[1] + [4] * 144 + [5]])
    with pytest.raises(ConfigError, match=r"takes \[I, 3, 168, 168\]") as raised:
        model.generate(ids, torch.zeros(shape))
    assert str(shape) in str(raised.value)
