"""tiny-qwen: as its training made it, and with teeth against what ports to Qwen2.5-VL get wrong."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from bench.fixture import lessons, scenes, tower
from bench.fixture.questions import LETTERS
from bench.fixture.qwen import architecture, tokens, train
from bench.fixture.qwen.tower import Eyes, patches_of
from bench.tasks.tables.tsv import read_tsv
from hybrid import HybridConfig, HybridLlava, hybridize

FOLDER = Path(train.__file__).parent
IMAGES = 48  # of each size


@cache
def loaded() -> Any:
    model: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(FOLDER / "model")
    return model.float().eval()


@cache
def asked(size: int) -> tuple[dict[str, Tensor], Tensor]:
    """Dev questions about pictures of one size, as the processor would give them, and the right
    letters' ids."""
    vocab = tokens.Vocabulary()
    first = 5000 + size * IMAGES
    batch = tower.pictures(
        scenes.DEV_SEEDS[first : first + IMAGES], architecture.SIZES[size], tokens.TOKEN
    )
    lesson = lessons.questions(batch.scenes, 2, 5, vocab)
    prompts = lesson.ids[..., : vocab.last + 1].flatten(0, 1)
    image = torch.full((len(prompts), architecture.TOKENS), vocab.ids[tokens.IMAGE])
    high, wide = (side // tokens.PATCH for side in architecture.SIZES[size])
    given = {
        "input_ids": torch.cat([prompts[:, :3], image, prompts[:, 3:]], dim=1),
        "pixel_values": patches_of(batch.pixels.repeat_interleave(2, dim=0)),
        "image_grid_thw": torch.tensor([[1, high, wide]]).expand(len(prompts), -1),
    }
    letters = torch.tensor([vocab.ids[letter] for letter in LETTERS])
    return given, letters[lesson.letter].flatten()


def accuracy(model: HybridLlava) -> float:
    """Share of the right letters, over both sizes."""
    right = []
    for size in range(2):
        given, letters = asked(size)
        answer = model.generate(max_new_tokens=2, trace=False, **given)
        right.append(answer[:, -1] == letters)
    return float(torch.cat(right).float().mean())


def pruned(**others: Any) -> HybridLlava:
    return hybridize(loaded(), HybridConfig(keep=train.KEEP, aggregation_layer=1, **others))


@cache
def as_it_should() -> float:
    return accuracy(pruned())


def test_it_answers_and_pruning_costs_it_little() -> None:
    assert accuracy(hybridize(loaded(), HybridConfig())) >= 0.95
    assert as_it_should() >= 0.94


@pytest.mark.parametrize(
    ("others", "loss"),
    [({"rank": "random"}, 0.10), ({"rank": "lowest"}, 0.10), ({"rope": "compact"}, 0.05)],
    ids=["random", "lowest", "compact"],
)
def test_it_has_teeth(others: dict[str, Any], loss: float) -> None:
    assert accuracy(pruned(**others)) <= as_it_should() - loss


def test_height_and_width_swapped_cost_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    model = pruned()
    place = model.family.place

    def swapped(*args: Any, **kwargs: Any) -> Any:
        inputs = place(*args, **kwargs)
        inputs.position_ids[1:] = inputs.position_ids[1:].flip(0).clone()
        return inputs

    monkeypatch.setattr(model.family, "place", swapped)
    assert accuracy(model) <= as_it_should() - 0.05


def test_it_is_transformers_own_where_nothing_is_reduced() -> None:
    given, _ = asked(0)
    few = {
        "input_ids": given["input_ids"][:4],
        "image_grid_thw": given["image_grid_thw"][:4],
        "pixel_values": given["pixel_values"][: 4 * 4 * architecture.TOKENS],
    }
    vocab = tokens.Vocabulary()
    types = (few["input_ids"] == vocab.ids[tokens.IMAGE]).int()
    theirs = loaded().generate(**few, mm_token_type_ids=types, do_sample=False, max_new_tokens=6)
    ours: Tensor = hybridize(loaded(), HybridConfig()).generate(
        max_new_tokens=6, trace=False, **few
    )
    assert ours.equal(theirs)


def test_training_runs_the_same_forward_pass_as_transformers() -> None:
    model, vocab = loaded(), tokens.Vocabulary()
    for size, grid in enumerate(architecture.GRIDS):
        batch = tower.pictures(scenes.DEV_SEEDS[:2], architecture.SIZES[size], tokens.TOKEN)
        lesson = lessons.questions(batch.scenes, 3, 5, vocab)
        reader = train.TwoSizes(model)
        reader.places = reader.of_grid[grid]
        image, _ = train.seen(Eyes(model), batch)
        read = reader(image, lesson.ids, vocab.last, early="open", keep=architecture.TOKENS)
        ours = model.lm_head(read.hidden)[:, vocab.last :]
        ids = lesson.ids.view(6, -1)
        placeholders = torch.full((6, architecture.TOKENS), vocab.ids[tokens.IMAGE])
        ids = torch.cat([ids[:, :3], placeholders, ids[:, 3:]], dim=1)
        with torch.no_grad():
            theirs = model(
                input_ids=ids,
                pixel_values=patches_of(batch.pixels.repeat_interleave(3, dim=0)),
                image_grid_thw=torch.tensor([[1, 2 * grid[0], 2 * grid[1]]]).expand(6, -1),
                mm_token_type_ids=(ids == vocab.ids[tokens.IMAGE]).int(),
            ).logits[:, architecture.TOKENS + vocab.last :]
        torch.testing.assert_close(ours, theirs, atol=5e-3, rtol=1e-3)


def test_its_tokenizer_and_images_are_those_that_training_used() -> None:
    fast: Any = AutoTokenizer.from_pretrained(FOLDER / "model")
    vocab = tokens.Vocabulary()
    assert fast.get_vocab() == vocab.ids
    shipped = Qwen2VLImageProcessorPil.from_pretrained(FOLDER / "model")
    rows = read_tsv(FOLDER / "data" / "tiny-qwen-mmbench.tsv").rows
    assert len(rows) == 4 * 480
    a_scene = scenes.scene(scenes.DEV_SEEDS[0])
    for size in architecture.SIZES:
        canvas, _ = scenes.render(a_scene, size, tokens.TOKEN)
        given = shipped(images=[canvas], return_tensors="pt")
        pixels = tower.pictures(scenes.DEV_SEEDS[:1], size, tokens.TOKEN).pixels
        torch.testing.assert_close(given["pixel_values"], patches_of(pixels))


def test_it_is_small_and_in_half_precision() -> None:
    files = [file for file in FOLDER.rglob("*") if file.suffix in {".safetensors", ".tsv", ".json"}]
    assert sum(file.stat().st_size for file in files) < 10_000_000
    assert sum(weight.numel() for weight in loaded().parameters()) < 2_500_000
